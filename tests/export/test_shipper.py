"""Delivering spans: each once, in every kind of weather, and never at the expense of the one who waits."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence

import pytest

from harness.errors import StoreUnavailable
from harness.export.address import required
from harness.export.receiver import Receiver
from harness.export.shipper import SUSPICIOUS, Shipper
from harness.settings import Settings
from harness.store.database import Database
from harness.store.spans import Ended, Outbox, refusals, standing
from harness.tracing.span import Span
from tests.export.conftest import Ship
from tests.kit.otlp_receiver import Mode, OtlpReceiver
from tests.kit.processes import until
from tests.kit.spans import Sheet, answered, keep, many, research


async def counts(database: Database) -> dict[str, int]:
    """How many spans are where, those left out that are nowhere."""
    stands = await standing(database, "default")
    found = {
        name: getattr(stands, name) for name in ("open", "waiting", "held", "sent", "refused", "sent_again")
    }
    return {name: count for name, count in found.items() if count}


async def test_spans_that_have_ended_are_delivered_once(
    database: Database, receiver: OtlpReceiver, shipping: Ship
) -> None:
    """Two sessions arrive whole, an open span stays; draining again finds nothing."""
    first, second = research(), research()
    first.add("tool", "execute_tool x", status="open")
    await keep(database, first, second)
    async with shipping() as shipper:
        drained = await shipper.drain()
        again = await shipper.drain()
    assert (drained.sent, drained.problem, again.sent) == (len(first.spans) + len(second.spans) - 1, "", 0)
    assert receiver.violations == []
    assert receiver.missing_parents() == set()
    assert len(receiver.roots()) == 4
    assert await counts(database) == {"open": 1, "sent": drained.sent}


async def test_only_the_tenants_and_the_sessions_own(
    database: Database, receiver: OtlpReceiver, shipping: Ship
) -> None:
    """A session's shipper leaves other sessions alone, a tenant's those of other tenants."""
    mine, sister, foreign = research(), research(), research(tenant="other")
    await keep(database, mine, sister, foreign)
    async with shipping(mine.session_id) as shipper:
        assert (await shipper.drain()).sent == len(mine.spans)
    assert {span.trace_id for span in receiver.spans} == {mine.root.trace_id}
    async with shipping() as shipper:
        assert (await shipper.drain()).sent == len(sister.spans)
    assert (await standing(database, "other")).waiting == len(foreign.spans)


async def test_what_ends_later_is_found(database: Database, receiver: OtlpReceiver, shipping: Ship) -> None:
    """The loop looks again by itself, and when it is woken."""
    async with shipping() as shipper:
        work = asyncio.create_task(shipper.run())
        await asyncio.sleep(0.1)
        sheet = research()
        await keep(database, sheet)
        shipper.wake()
        await until(lambda: len(receiver.spans) == len(sheet.spans), "the spans arrive")
        work.cancel()
        await asyncio.wait({work})
    assert not shipper.down


@pytest.mark.parametrize("mode", ["500", "503", "429", "reset", "hang"])
async def test_a_receiver_that_is_away_loses_nothing(
    database: Database,
    receiver: OtlpReceiver,
    shipping: Ship,
    caplog: pytest.LogCaptureFixture,
    mode: Mode,
) -> None:
    """Spans are kept, the log says so once, and all arrive once the receiver is back."""
    sheet = research()
    await keep(database, sheet)
    receiver.mode = mode
    async with shipping(read_s=0.3) as shipper:
        drained = await shipper.drain()
        assert (drained.sent, shipper.down) == (0, True)
        assert drained.problem
        assert await counts(database) == {"waiting": len(sheet.spans)}
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        receiver.mode = "ok"
        assert (await shipper.drain()).sent == len(sheet.spans)
        assert not shipper.down
    assert receiver.violations == []
    assert Counter(receiver.ids()) == Counter(span.span_id for span in sheet.spans)


async def test_a_receiver_that_refuses_connections_loses_nothing(
    database: Database, receiver: OtlpReceiver, shipping: Ship
) -> None:
    """Nobody listens: the spans wait, and none of them counts as perhaps sent."""
    sheet = research()
    await keep(database, sheet)
    receiver.stop()
    async with shipping() as shipper:
        drained = await shipper.drain()
    assert "cannot be reached" in drained.problem
    assert await counts(database) == {"waiting": len(sheet.spans)}


async def closed_and_all_kept(database: Database, shipping: Ship) -> None:
    """Ship until the loop ends by itself: no drain goes on after it, and every span still waits."""
    sheet = research()
    await keep(database, sheet)
    async with shipping() as shipper:
        await asyncio.wait_for(shipper.run(), 10)
        await shipper.drain()
    assert await counts(database) == {"waiting": len(sheet.spans)}


async def test_keys_that_are_wrong_are_said_once(
    database: Database, receiver: OtlpReceiver, shipping: Ship, caplog: pytest.LogCaptureFixture
) -> None:
    """The loop stops after one post with one line that says what to do; nothing is refused for good."""
    receiver.mode = "401"
    await closed_and_all_kept(database, shipping)
    assert len(receiver.posts) == 1
    (line,) = caplog.records
    assert line.levelno == logging.ERROR
    assert "correct its keys" in line.getMessage()
    assert "harness trace flush" in line.getMessage()


@pytest.mark.parametrize("mode", ["404", "html"])
async def test_an_address_that_is_wrong_takes_no_span_with_it(
    database: Database, receiver: OtlpReceiver, shipping: Ship, caplog: pytest.LogCaptureFixture, mode: Mode
) -> None:
    """What is no receiver refuses nothing for good; a page with status 200 is no success."""
    receiver.mode = mode
    await closed_and_all_kept(database, shipping)
    assert "correct its address" in caplog.text


async def test_a_server_that_calls_everything_unfit_is_no_receiver(
    database: Database, receiver: OtlpReceiver, shipping: Ship, caplog: pytest.LogCaptureFixture
) -> None:
    """Before a single span was taken, a few refusals mean a wrong address, not wrong spans."""
    receiver.mode = "400"
    await closed_and_all_kept(database, shipping)
    assert "whatever it is sent" in caplog.text
    assert len([post for post in receiver.posts if len(post.spans) == 1]) == SUSPICIOUS


async def test_a_request_too_large_is_halved(
    database: Database, receiver: OtlpReceiver, shipping: Ship
) -> None:
    """A receiver that takes four spans at once gets them all, four at most at once."""
    sheet = research()
    await keep(database, sheet)
    receiver.most_spans = 4
    async with shipping() as shipper:
        assert (await shipper.drain()).sent == len(sheet.spans)
    assert receiver.violations == []
    assert max(len(post.spans) for post in receiver.posts if post.answered == 200) <= 4


async def test_one_bad_span_is_refused_with_the_reason(
    database: Database, receiver: OtlpReceiver, shipping: Ship, caplog: pytest.LogCaptureFixture
) -> None:
    """The others arrive; it is not sent again, and the reason is kept."""
    sheet = research()
    await keep(database, sheet)
    receiver.poison = {"gate researcher"}
    async with shipping() as shipper:
        drained = await shipper.drain()
    assert (drained.sent, drained.refused) == (len(sheet.spans) - 1, 1)
    assert await counts(database) == {"sent": drained.sent, "refused": 1}
    ((problem, count),) = await refusals(database, "default")
    assert count == 1
    assert "400 (scripted 400)" in problem
    assert "will not be sent again: 1" in caplog.text


async def test_partial_success_is_read(
    database: Database, receiver: OtlpReceiver, shipping: Ship, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not told which spans were refused: none is sent again, and the log says how many."""
    sheet = research()
    await keep(database, sheet)
    receiver.mode = "partial"
    async with shipping() as shipper:
        drained = await shipper.drain()
    assert (drained.sent, drained.refused) == (len(sheet.spans) - 1, 1)
    assert f"refused 1 of {len(sheet.spans)} spans: One span is too old." in caplog.text
    assert len(receiver.posts) == 1


async def test_all_of_a_request_refused_is_refused(
    database: Database, receiver: OtlpReceiver, shipping: Ship
) -> None:
    """When a post of one span has one refused, it is known which."""
    await keep(database, Sheet())
    receiver.mode = "partial"
    async with shipping() as shipper:
        assert (await shipper.drain()).refused == 1
    assert await refusals(database, "default") == [("One span is too old.", 1)]


async def test_an_answer_that_got_lost_may_send_twice_and_is_counted(
    database: Database, receiver: OtlpReceiver, shipping: Ship
) -> None:
    """Nobody can know whether they arrived: they go again, and the status says how many may be double."""
    sheet = many(5)
    await keep(database, sheet)
    receiver.mode = "lost"
    async with shipping() as shipper:
        work = asyncio.create_task(shipper.run())
        await until(lambda: receiver.spans, "the receiver has them")
        receiver.spans.clear()  # as a receiver that takes them a second time
        receiver.mode = "ok"
        await until(lambda: receiver.spans, "the receiver has them again")
        await asyncio.sleep(0.1)
        work.cancel()
        await asyncio.wait({work})
    assert await counts(database) == {"sent": 5, "sent_again": 5}


async def test_retry_after_is_honoured(database: Database, receiver: OtlpReceiver, shipping: Ship) -> None:
    """A receiver that asks for an hour is left alone, though it would take them now."""
    await keep(database, research())
    receiver.mode, receiver.retry_after = "429", "3600"
    async with shipping() as shipper:
        work = asyncio.create_task(shipper.run())
        await until(lambda: receiver.posts, "it is asked once")
        receiver.mode = "ok"
        shipper.wake()
        await asyncio.sleep(0.5)
        assert len(receiver.posts) == 1
        work.cancel()
        await asyncio.wait({work})


async def test_requests_are_bounded_by_bytes(
    database: Database, receiver: OtlpReceiver, shipping: Ship
) -> None:
    """Large spans go in smaller numbers, one that is too large goes alone."""
    sheet = many(30, chars=150_000)
    sheet.chat(sheet.root, output=answered("y" * 1_500_000))
    await keep(database, sheet)
    async with shipping() as shipper:
        assert (await shipper.drain()).sent == 31
    sizes = [len(post.body) for post in receiver.posts if len(post.spans) > 1]
    assert max(sizes) < 2_001_000
    assert max(len(post.body) for post in receiver.posts) > 3_000_000


async def test_two_shippers_send_nothing_twice(
    database: Database, receiver: OtlpReceiver, shipping: Ship
) -> None:
    """Side by side they share the work."""
    sheet = many(1500)
    await keep(database, sheet)
    async with shipping() as one, shipping() as other:
        drained = await asyncio.gather(one.drain(), other.drain())
    assert sum(each.sent for each in drained) == 1500
    assert min(each.sent for each in drained) > 0
    assert receiver.violations == []
    assert Counter(receiver.ids()) == Counter(span.span_id for span in sheet.spans)
    assert await counts(database) == {"sent": 1500}


async def test_a_receiver_that_hangs_holds_up_nobody_else(
    database: Database, receiver: OtlpReceiver, shipping: Ship
) -> None:
    """While a large post hangs another task of the loop runs on; cut off, the spans are given back."""
    await keep(database, many(256, chars=5000))
    receiver.mode = "hang"
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.01)
            beats += 1

    async with shipping() as shipper:
        heart = asyncio.create_task(beat())
        drained = await shipper.drain(1.0)
        heart.cancel()
    assert beats > 20
    assert drained.sent == 0
    assert receiver.posts
    assert await counts(database) == {"waiting": 256}


async def test_what_a_dead_exporter_took_comes_back(
    database: Database, receiver: OtlpReceiver, shipping: Ship
) -> None:
    """Until the hold is over nobody else takes it; afterwards it is sent, and counted as perhaps double."""
    sheet = research()
    await keep(database, sheet)
    taken = await Outbox(database, "default", hold_s=1.0).take(256)
    assert len(taken) == len(sheet.spans)
    async with shipping() as shipper:
        assert (await shipper.drain()).sent == 0
        assert (await counts(database))["held"] == len(sheet.spans)
        work = asyncio.create_task(shipper.run())
        await until(lambda: len(receiver.spans) == len(sheet.spans), "they are sent after the hold")
        await asyncio.sleep(0.1)
        work.cancel()
        await asyncio.wait({work})
    assert await counts(database) == {"sent": len(sheet.spans), "sent_again": len(sheet.spans)}


class Away(Outbox):
    """An outbox whose store is away for the first tries of each kind."""

    def __init__(self, database: Database, tenant: str) -> None:
        super().__init__(database, tenant)
        self.tries = Counter[str]()

    async def take(self, limit: int) -> list[Ended]:
        self._try("take")
        return await super().take(limit)

    async def sent(self, spans: Sequence[Span]) -> None:
        self._try("sent")
        await super().sent(spans)

    def _try(self, what: str) -> None:
        self.tries[what] += 1
        if self.tries[what] <= 2:
            raise StoreUnavailable("Postgres stopped answering; try again.")


async def test_a_store_that_is_away_is_waited_for(
    database: Database,
    receiver: OtlpReceiver,
    settings: Settings,
    hasty: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is raised; what the receiver has is marked once the store is back, and not sent again."""
    sheet = research()
    await keep(database, sheet)
    async with Receiver(required(settings)) as to:
        drained = await Shipper(Away(database, "default"), to, "default").drain()
    assert (drained.sent, drained.problem) == (len(sheet.spans), "")
    assert len(receiver.posts) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert await counts(database) == {"sent": len(sheet.spans)}


async def test_a_row_that_cannot_be_read_holds_up_no_other(
    database: Database, receiver: OtlpReceiver, shipping: Ship
) -> None:
    """It is refused with the reason, whatever the receiver thinks of the others."""
    sheet = research()
    sheet.chat(sheet.root, usage={"input_tokens": "lots"})
    await keep(database, sheet)
    async with shipping() as shipper:
        drained = await shipper.drain()
    assert (drained.sent, drained.refused) == (len(sheet.spans) - 1, 1)
    ((problem, _),) = await refusals(database, "default")
    assert problem.startswith("It cannot be exported")
