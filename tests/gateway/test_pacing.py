"""Live calls that wait for the rate limit: of several pools on one Postgres, before one metered service."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from harness.gateway import rates, relay
from harness.store.database import Database
from harness.store.queries import trusted
from harness.store.rates import key_hash
from tests.kit.gateways import KEY, Bench, bench_on, step
from tests.kit.metering import Meter
from tests.kit.processes import until
from tests.kit.scripted_api import Reply, ScriptedApi, Tokens, refused, text

SHORT = Tokens(100, 20)
DONE = Reply([text("Understood.")], usage=SHORT)


@pytest.fixture(autouse=True)
def retried_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting but that for the rate limit."""
    monkeypatch.setattr(relay, "LONGEST_PAUSE_S", 0.01)


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi(lambda request: DONE) as played:
        yield played


@pytest.fixture
async def bench(database: Database, api: ScriptedApi) -> AsyncIterator[Bench]:
    async with bench_on(database, api, paced_for="t") as opened:
        yield opened


@pytest.fixture
async def other(dsn: str, api: ScriptedApi) -> AsyncIterator[Bench]:
    """Another session of another tenant, with connections of its own."""
    async with await Database.open(dsn) as own, bench_on(own, api, paced_for="u") as opened:
        yield opened


def metered(api: ScriptedApi, **limits: float) -> Meter:
    """Let the played model meter its calls; the buckets hold what is given as `<kind>_left`."""
    kinds: Any = {kind: limit for kind, limit in limits.items() if not kind.endswith("_left")}
    left: Any = {kind: limits.get(f"{kind}_left", limit) for kind, limit in kinds.items()}
    meter = Meter(kinds, left)
    api.script = lambda request: meter.answer(DONE)
    return meter


def refusing_once(reply: Reply) -> Any:
    """Refuse the first request, and answer all others."""
    return lambda request: reply if request.number == 1 else DONE


def asked_by(bench: Bench, api: ScriptedApi) -> list[int]:
    """The numbers of the requests that came from a session: each has words of its own."""
    return [c.request.number for c in api.calls.messages() if bench.run.id in c.request.first_user_text]


def own_step(bench: Bench, number: int = 0) -> dict[str, Any]:
    """A request that tells whose it is."""
    return step(f"{bench.run.id} {bench.journal.session_id} {number}", max_tokens=200)


async def test_retry_after_is_waited_for_by_all(bench: Bench, other: Bench, api: ScriptedApi) -> None:
    """One session is refused; another one, which was told nothing, sends nothing until then either."""
    api.script = refusing_once(refused(429, "Too many requests.", retry_after=2))
    first = asyncio.create_task(bench.send())
    await until(lambda: "model.retried" in _kinds(bench), "the refusal")
    heard: list[str] = []
    other.door.alive = heard.append
    second = await other.send()
    assert (await first).status_code == second.status_code == 200
    refusal, *after = api.calls.messages()
    assert len(after) == 2
    assert all(call.received_at - (refusal.ended_at or 0) >= 1.9 for call in after)
    assert heard.count(rates.WAITING) >= 2
    assert await other.kinds() == ["model.requested", "model.finished"]


def _kinds(bench: Bench) -> list[str]:
    run = bench.run
    return ["model.retried"] if any(call.attempts > 1 for call in run.open_calls.values()) else []


async def test_calls_wait_instead_of_being_refused(bench: Bench, other: Bench, api: ScriptedApi) -> None:
    """Many calls at once of two sessions: the service refuses none of them, and answers all."""
    meter = metered(api, requests=600, requests_left=3, input=300_000, output=30_000)
    assert (await bench.send(own_step(bench))).status_code == 200
    calls = [each.send(own_step(each, number)) for number in range(12) for each in (bench, other)]
    answers = await asyncio.gather(*calls)
    assert [answer.status_code for answer in answers] == [200] * 24
    assert meter.refused == 0
    assert len(api.calls.messages()) == 25
    assert bench.run.usage.attempts == 13


async def test_tokens_are_waited_for_too(bench: Bench, api: ScriptedApi) -> None:
    """Requests would be free; the tokens they need are not."""
    meter = metered(api, requests=10_000, input=60_000, input_left=500, output=30_000)
    assert (await bench.send(own_step(bench))).status_code == 200
    answers = await asyncio.gather(*(bench.send(own_step(bench, number)) for number in range(10)))
    assert [answer.status_code for answer in answers] == [200] * 10
    assert meter.refused == 0


async def test_a_single_call_passes_a_hundred_that_wait(bench: Bench, other: Bench, api: ScriptedApi) -> None:
    """While a hundred calls of one tenant wait, another's only one is among the next few that are sent."""
    rate_per_s = 5
    meter = metered(api, requests=60 * rate_per_s, requests_left=4)
    assert (await bench.send(own_step(bench))).status_code == 200
    crowd = [asyncio.create_task(bench.send(own_step(bench, number))) for number in range(100)]
    await until(lambda: len(asked_by(bench, api)) > 8, "the crowd at work")
    before = len(asked_by(bench, api))
    assert (await other.send(own_step(other))).status_code == 200
    (place,) = asked_by(other, api)
    sooner = [number for number in asked_by(bench, api)[before:] if number < place]
    # In one poll so many come in at most, and one may have been under way.
    assert len(sooner) <= math.ceil(rate_per_s * rates.POLL_S) + 1
    assert sum(not task.done() for task in crowd) > 50, "most of the crowd waits still"
    assert meter.refused == 0
    for task in crowd:
        task.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)


async def test_two_tenants_with_much_to_do_share(bench: Bench, other: Bench, api: ScriptedApi) -> None:
    """Forty calls of the one wait before ten of the other begin: those are done before half of the rest."""
    meter = metered(api, requests=1200, requests_left=2)
    assert (await bench.send(own_step(bench))).status_code == 200
    crowd = [asyncio.create_task(bench.send(own_step(bench, number))) for number in range(60)]
    await until(lambda: len(asked_by(bench, api)) > 4, "the crowd at work")
    before = len(asked_by(bench, api))
    await asyncio.gather(*(other.send(own_step(other, number)) for number in range(10)))
    last = max(asked_by(other, api))
    sooner = [number for number in asked_by(bench, api)[before:] if number < last]
    assert len(sooner) <= 25
    await asyncio.gather(*crowd)
    assert meter.refused == 0


async def test_a_call_that_nobody_wants_any_more_is_not_sent(bench: Bench, api: ScriptedApi) -> None:
    """Its process ended while it waited: nothing is sent or paid, and its end is in the journal."""
    api.script = refusing_once(refused(429, "Too many requests.", retry_after=300))
    heard: list[str] = []
    bench.door.alive = heard.append
    waiting = asyncio.create_task(bench.send())
    await until(lambda: rates.WAITING in heard, "the call to wait in line")
    bench.gateway.close_door(bench.token)
    await bench.gateway.settle(bench.door)
    assert (await waiting).status_code == 529
    assert len(api.calls.messages()) == 1
    failed = await bench.last()
    assert (failed.kind, failed.status) == ("model.failed", None)
    assert "ended while it waited" in failed.problem
    assert bench.run.usage.unattributed_calls == 0
    assert await noted(bench, "rate_call") == []


async def test_a_client_that_leaves_ends_the_wait(bench: Bench, api: ScriptedApi) -> None:
    """The connection is gone, as after a kill: its call leaves the line."""
    api.script = refusing_once(refused(429, "Too many requests.", retry_after=300))
    waiting = asyncio.create_task(bench.send())
    await until(lambda: "model.retried" in _kinds(bench), "the refusal")
    waiting.cancel()
    await bench.gateway.settle(bench.door)
    assert len(api.calls.messages()) == 1
    assert (await bench.last()).kind == "model.failed"


async def test_a_long_retry_after_is_not_waited_for(bench: Bench, other: Bench, api: ScriptedApi) -> None:
    """It is said until when; others hear of it without asking the service."""
    api.script = lambda request: refused(429, "Too many requests.", retry_after=3600)
    answer = await bench.send()
    assert answer.status_code == 402
    assert bench.gateway.limited is not None
    assert "takes no call of claude-sonnet-5-5 with this key until 20" in str(bench.gateway.limited)
    assert "UTC; the session can be resumed then." in str(bench.gateway.limited)
    assert answer.json()["error"]["message"] == str(bench.gateway.limited)
    assert await bench.kinds() == ["model.requested", "model.failed"]
    assert (await bench.last()).status == 429
    assert (await other.send()).status_code == 402
    for limited in (bench.gateway.limited, other.gateway.limited):
        assert limited is not None
        assert 3500 < (limited.again_s or 0) <= 3600
    assert len(api.calls.messages()) == 1


async def test_no_room_for_long_is_said(
    bench: Bench, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call does not wait for ever for a limit that others use up."""
    monkeypatch.setattr(rates, "LONGEST_WAIT_S", 0.2)
    metered(api, requests=1)
    assert (await bench.send()).status_code == 200
    assert (await bench.send()).status_code == 402
    assert "the rate limit of claude-sonnet-5-5 left no room" in str(bench.gateway.limited)
    assert len(api.calls.messages()) == 1


async def test_a_service_without_limits_is_not_slowed_down(bench: Bench, api: ScriptedApi) -> None:
    """It tells none: every call passes, and nothing is noted."""
    answers = await asyncio.gather(*(bench.send(own_step(bench, number)) for number in range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20
    for table in ("rate_limit", "rate_call", "rate_share"):
        assert await noted(bench, table) == []


async def test_what_was_written_makes_room(bench: Bench, api: ScriptedApi) -> None:
    """When an answer has ended, nothing of its estimate is left; a streamed one and a whole one alike."""
    metered(api, requests=6000, output=6000)
    await bench.send(own_step(bench))
    for number, stream in enumerate((True, False)):
        request = own_step(bench, number) | {"stream": stream, "max_tokens": 5000}
        assert (await bench.send(request)).status_code == 200
    assert await noted(bench, "rate_call") == []
    (row,) = await noted(bench, "rate_level")
    assert row["output_left"] > 6000 - 3 * SHORT.output_tokens - 100, "each was taken to write 2000"


async def noted(bench: Bench, table: str) -> list[dict[str, Any]]:
    """What a table holds of the played model's limits, once all answers have ended."""
    await bench.gateway.settle(bench.door)
    key = {"key": key_hash(bench.api.base_url, KEY)}
    return await bench.database.all(trusted(f"select * from {table} where key = %(key)s"), key)


async def test_the_request_is_not_asked_what_it_says(bench: Bench, api: ScriptedApi) -> None:
    """A request without the fields that every one has is refused, and not sent."""
    answer = await bench.send({"messages": [{"role": "user", "content": "Why?"}]})
    assert answer.status_code == 400
