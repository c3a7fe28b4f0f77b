"""What the gateway tells the ledger of each call, and what it does when a tenant's budget is spent."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from harness.gateway import app
from harness.gateway.upstream import Answer, Outgoing, Upstream, UpstreamLost
from harness.pricing import cost_usd, most
from harness.records import Usage
from harness.stopping import Stop
from harness.store.database import Database
from harness.store.embedded import EmbeddedServer
from harness.store.ledger import Entry, Reservation, sweep
from harness.store.tenants import Spent, read_tenant, set_limits
from tests.kit.databases import fresh_database
from tests.kit.gateways import MODEL, Bench, bench_on, step
from tests.kit.journals import requested
from tests.kit.processes import until
from tests.kit.script import Request
from tests.kit.scripted_api import Reply, ScriptedApi, Tokens, refused, text
from tests.kit.sessions import new_journal

SPENT = Tokens(900, 80, 7, 11)
USAGE = Usage(input_tokens=900, output_tokens=80, cache_read_input_tokens=7, cache_creation_input_tokens=11)
COST = cost_usd(MODEL, USAGE)
BODY = json.dumps(step()).encode()
BOUND = most(step(), len(BODY))


@pytest.fixture
def dsn(postgres: EmbeddedServer, migrated_template: str) -> Iterator[str]:
    """A database of each test's own: all sessions here are of one tenant."""
    with fresh_database(postgres.dsn, migrated_template) as own:
        yield own


class Losing:
    """An upstream whose first attempt is sent and then lost."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self.lost = 0

    @asynccontextmanager
    async def send(self, call: Outgoing) -> AsyncIterator[Answer]:
        if not self.lost:
            self.lost += 1
            raise UpstreamLost("The connection broke.")
        async with self._upstream.send(call) as answer:
            yield answer

    async def close(self) -> None:
        await self._upstream.close()


@dataclass(frozen=True)
class Waiting:
    """Two calls under way, and what lets the service answer."""

    first: asyncio.Task[httpx.Response]
    second: asyncio.Task[httpx.Response]
    goes_on: threading.Event


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi(lambda request: Reply([text("Understood.")], usage=SPENT)) as played:
        yield played


@pytest.fixture
async def bench(database: Database, api: ScriptedApi) -> AsyncIterator[Bench]:
    async with bench_on(database, api, upstream="live") as opened:
        yield opened


def once(*first: Reply) -> Callable[[Request], Reply]:
    """Play these replies, then an answer for ever."""
    replies = list(first)
    return lambda request: replies.pop(0) if replies else Reply([text("At last.")], usage=SPENT)


async def spent(database: Database) -> Spent:
    found = (await read_tenant(database, "t")).today
    return found.model_copy(
        update={name: round(value, 9) for name, value in found.model_dump().items() if name.endswith("usd")}
    )


def settled(calls: int = 1) -> Spent:
    assert COST is not None
    return Spent(calls=calls, tokens=USAGE.total_tokens * calls, usd=round(COST * calls, 9))


def lost(attempts: int, beside: Spent = Spent()) -> Spent:  # noqa: B008  (frozen)
    assert BOUND.usd is not None
    most_usd = round(BOUND.usd * attempts, 9)
    tokens = BOUND.tokens * attempts
    more = {"unattributed_calls": attempts, "unattributed_tokens": tokens, "unattributed_usd": most_usd}
    return beside.model_copy(update=more)


async def test_a_call_is_reserved_while_it_is_on_the_wire_and_settled_by_its_answer(
    bench: Bench, database: Database
) -> None:
    """Before it is sent the most that it can use is taken, afterwards what it used."""
    goes_on = threading.Event()
    bench.api.script = lambda request: Reply([text("At last.")], usage=SPENT, hold=goes_on)
    sending = asyncio.create_task(bench.send())
    await until(lambda: bench.api.calls.messages(), "the call to be on the wire")
    held = await spent(database)
    assert (held.reserved_calls, held.reserved_tokens) == (1, BOUND.tokens)
    assert held.reserved_usd == pytest.approx(BOUND.usd)
    goes_on.set()
    await sending
    assert await spent(database) == settled()


async def test_an_answer_under_another_name_is_settled_at_the_price_of_what_was_asked(
    bench: Bench, database: Database
) -> None:
    """It is booked under the name that was answered, and not among those of unknown price."""
    bench.api.script = lambda request: Reply([text("x")], usage=SPENT, model=f"anthropic/{MODEL}")
    await bench.send()
    assert await spent(database) == settled()


async def test_a_call_waits_for_those_on_the_wire_to_leave_room(bench: Bench, database: Database) -> None:
    """What they have reserved and do not use is enough for it: the session need not stop."""
    goes_on = threading.Event()
    bench.api.script = lambda request: Reply([text("At last.")], usage=SPENT, hold=goes_on)
    await set_limits(database, "t", {"daily_usd": (BOUND.usd or 0) * 1.5})
    first = asyncio.create_task(bench.send())
    await until(lambda: bench.api.calls.messages(), "the first call to be on the wire")
    second = asyncio.create_task(bench.send(step("How?")))
    await asyncio.sleep(2 * app.ROOM_PAUSE_S)
    assert len(bench.api.calls.messages()) == 1
    goes_on.set()
    assert [answer.status_code for answer in await asyncio.gather(first, second)] == [200, 200]
    assert bench.gateway.stopping.order is None
    assert await spent(database) == settled(2)


@pytest.fixture
async def waiting(bench: Bench, database: Database) -> AsyncIterator[Waiting]:
    """A call on the wire, and one behind it that waits for room in the budget."""
    goes_on = threading.Event()
    bench.api.script = lambda request: Reply([text("At last.")], usage=SPENT, hold=goes_on)
    await set_limits(database, "t", {"daily_usd": (BOUND.usd or 0) * 1.5})
    first = asyncio.create_task(bench.send())
    await until(lambda: bench.api.calls.messages(), "the first call to be on the wire")
    doing: list[str] = []
    bench.door.alive = doing.append
    second = asyncio.create_task(bench.send(step("How?")))
    await until(lambda: any("budget" in each for each in doing), "the second call to wait")
    yield Waiting(first, second, goes_on)
    goes_on.set()


async def test_a_call_whose_agent_has_ended_waits_no_longer(
    bench: Bench, database: Database, waiting: Waiting
) -> None:
    """It is nobody's any more: the session does not stop for want of room for it."""
    bench.gateway.close_door(bench.token)
    assert (await waiting.second).status_code == 401
    waiting.goes_on.set()
    assert (await waiting.first).status_code == 200
    assert bench.gateway.stopping.order is None
    assert len(bench.api.calls.messages()) == 1
    assert await spent(database) == settled()


@pytest.mark.parametrize("how", ["ended", "left"])
async def test_a_call_that_nobody_waits_for_is_not_sent_once_there_is_room(
    bench: Bench, database: Database, waiting: Waiting, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Its agent has ended, or the CLI that asked is gone: it would be paid for in vain."""
    monkeypatch.setattr(app, "ROOM_PAUSE_S", 0.5)
    await asyncio.sleep(0.1)
    if how == "ended":
        bench.gateway.close_door(bench.token)
    else:
        waiting.second.cancel()
    waiting.goes_on.set()
    await waiting.first
    await asyncio.gather(waiting.second, return_exceptions=True)
    await asyncio.sleep(2 * app.ROOM_PAUSE_S)
    assert bench.gateway.stopping.order is None
    assert len(bench.api.calls.messages()) == 1
    assert await spent(database) == settled()


async def test_a_call_that_waits_for_room_is_held_when_the_session_stops(
    bench: Bench, waiting: Waiting
) -> None:
    """The agent run is at rest, and the reason stays the one that was given."""
    stopping = bench.gateway.stopping
    stopping.ask(Stop("Enough."))
    await until(lambda: stopping.holds(bench.run.id), "the call to be held")
    assert stopping.order == Stop("Enough.")
    waiting.goes_on.set()
    bench.gateway.close_door(bench.token)
    assert (await waiting.second).status_code == 402
    assert len(bench.api.calls.messages()) == 1


@pytest.mark.parametrize("how", ["ended", "stopped"])
@pytest.mark.parametrize("when", ["before the refusal", "in the pause"])
async def test_no_further_attempt_is_made_for_nobody(
    bench: Bench, database: Database, how: str, when: str
) -> None:
    """What was reserved for it is given back."""
    goes_on = threading.Event()
    if when == "in the pause":
        bench.api.script = once(refused(500, retry_after=0.5))
    else:
        bench.api.script = once(Reply(status=500, hold=goes_on))
    sending = asyncio.create_task(bench.send())
    await until(lambda: bench.api.calls.messages(), "the call to be on the wire")
    if when == "in the pause":
        await until(lambda: any(call.retries for call in bench.run.open_calls.values()), "the pause")
    if how == "ended":
        bench.gateway.close_door(bench.token)
    else:
        bench.gateway.stopping.ask(Stop("Enough."))
    goes_on.set()
    assert (await sending).status_code == 529
    retried = ["model.retried"] if when == "in the pause" else []
    assert await bench.kinds() == ["model.requested", *retried, "model.failed"]
    assert len(bench.api.calls.messages()) == 1
    assert await spent(database) == Spent()


async def test_attempts_that_the_service_refuses_are_one_reservation(
    bench: Bench, database: Database
) -> None:
    """They cost nothing, and the answer is settled like any other."""
    bench.api.script = once(refused(529), refused(429, retry_after=0))
    assert (await bench.send()).status_code == 200
    assert await spent(database) == settled()


async def test_a_call_that_is_refused_for_good_costs_nothing(bench: Bench, database: Database) -> None:
    """What was reserved for it is given back."""
    bench.api.script = once(refused(400))
    assert (await bench.send()).status_code == 400
    assert await spent(database) == Spent()


async def test_an_attempt_that_was_lost_is_unattributed_and_the_next_one_reserved_anew(
    bench: Bench, database: Database
) -> None:
    """Both may have cost, so both are taken from the budget."""
    bench.gateway._upstream = Losing(bench.gateway._upstream)
    assert (await bench.send()).status_code == 200
    assert await spent(database) == lost(1, settled())


async def test_an_answer_that_breaks_off_is_unattributed(bench: Bench, database: Database) -> None:
    """How much of it was paid for nobody knows."""
    bench.api.script = once(Reply([text("Un")], usage=SPENT, fault="cut_mid_block"))
    with pytest.raises(httpx.RemoteProtocolError):
        await bench.send()
    await until(lambda: not bench.gateway.on_the_wire(bench.run.id), "the call to end")
    assert await spent(database) == lost(1)


async def test_what_costs_nobody_anything_is_not_booked(database: Database, api: ScriptedApi) -> None:
    """An offline session, whatever answers it."""
    api.script = lambda request: Reply([text("x")], model="offline")
    async with bench_on(database, api, upstream="offline") as bench:
        assert (await bench.send()).status_code == 200
        assert bench.run.cost_usd == 0
    assert await spent(database) == Spent()


async def test_a_spent_budget_holds_the_call_and_asks_the_session_to_stop(
    bench: Bench, database: Database
) -> None:
    """Nothing is committed or sent; the reason names the limit and what to do; nobody is told an error."""
    await bench.send()
    await set_limits(database, "t", {"daily_usd": 0.001})
    before = await bench.kinds()
    waiting = asyncio.create_task(bench.send(step("Why?", "Because.", "And?")))
    stopping = bench.gateway.stopping
    await until(lambda: stopping.holds(bench.run.id), "the call to be held")
    assert stopping.order is not None
    assert "harness tenants set t --daily-usd AMOUNT" in stopping.order.reason
    assert (stopping.order.waits_for, stopping.order.due_s) == ("person", 0)
    assert await bench.kinds() == before
    assert len(bench.api.calls.messages()) == 1
    assert await spent(database) == settled()
    bench.gateway.close_door(bench.token)
    assert (await waiting).status_code == 402


async def test_a_submitted_session_is_left_to_the_workers_until_there_is_room(
    bench: Bench, database: Database
) -> None:
    """It is due when the day ends, and marked, so that it goes on as soon as the limit is raised."""
    await bench.send()
    await database.run("UPDATE session SET due_at = now(), claims = 3")
    taken = (await spent(database)).usd
    await set_limits(database, "t", {"daily_usd": (BOUND.usd or 0) + taken / 2})
    waiting = asyncio.create_task(bench.send(step("Why?", "Because.", "And?")))
    stopping = bench.gateway.stopping
    await until(lambda: stopping.holds(bench.run.id), "the call to be held")
    assert stopping.order is not None
    assert stopping.order.waits_for == "worker"
    assert 0 < stopping.order.due_s <= 86_400
    row = await database.one(
        "SELECT claims, held_revision = revision AS held FROM session JOIN tenant ON name = tenant"
    )
    assert row == {"claims": 0, "held": True}
    bench.gateway.close_door(bench.token)
    await waiting


async def test_a_lost_attempt_without_room_for_another_ends_the_call(
    bench: Bench, database: Database
) -> None:
    """It is committed as failed, what was lost is unattributed, and the session is asked to stop."""
    await set_limits(database, "t", {"daily_usd": (BOUND.usd or 0) * 1.5})
    bench.gateway._upstream = Losing(bench.gateway._upstream)
    waiting = asyncio.create_task(bench.send())
    stopping = bench.gateway.stopping
    await until(lambda: stopping.holds(bench.run.id), "the call to be held")
    assert await bench.kinds() == ["model.requested", "model.failed"]
    assert (await bench.last()).usage.unattributed_calls == 1
    assert await spent(database) == lost(1)
    assert bench.api.calls.messages() == []
    bench.gateway.close_door(bench.token)
    await waiting


async def test_a_gateway_that_ends_with_a_call_on_the_wire_leaves_it_to_the_sweep(
    database: Database, api: ScriptedApi
) -> None:
    """Once the lease is released nobody settles it, and it becomes unattributed."""
    api.script = once(Reply(fault="hang"))
    async with bench_on(database, api, upstream="live") as bench:
        waiting = asyncio.create_task(bench.send())
        await until(lambda: len(api.calls.messages()) == 1, "the call to be on the wire")
        assert await sweep(database) == 0
        waiting.cancel()
    await bench.journal.lease.release()
    assert await sweep(database) == 1
    assert await spent(database) == lost(1)


async def test_what_a_dead_session_has_reserved_is_not_waited_for(bench: Bench, database: Database) -> None:
    """Its lease has ended, and no worker sweeps: the call that waits for it is soon refused for good."""
    dead = await new_journal(database)
    held = Reservation("t", MODEL, BOUND.tokens, BOUND.usd)
    await dead.append(requested(held.id), entry=Entry(begins=held))
    await set_limits(database, "t", {"daily_usd": (BOUND.usd or 0) * 1.5})
    waiting = asyncio.create_task(bench.send())
    stopping = bench.gateway.stopping
    await asyncio.sleep(2 * app.ROOM_PAUSE_S)
    assert stopping.order is None
    await database.run(
        "UPDATE session SET lease_until = '-infinity' WHERE id = %(id)s", {"id": dead.session_id}
    )
    await until(lambda: stopping.holds(bench.run.id), "the call to be held")
    assert stopping.order is not None
    assert "harness tenants set t --daily-usd AMOUNT" in stopping.order.reason
    assert bench.api.calls.messages() == []
    assert await spent(database) == lost(1)
    bench.gateway.close_door(bench.token)
    await waiting
