"""The wire of model calls, kept with their events; and the gateway that answers from it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from harness import events as ev
from harness.errors import StoreUnavailable
from harness.records import Outcome
from harness.store.database import Database
from harness.store.journal import Along
from harness.store.recordings import Recording, count_recorded, recorded_auxiliaries, recorded_step
from tests.kit.gateways import KEY, RESUME, SEARCH, Bench, bench_on, step
from tests.kit.journals import started
from tests.kit.scripted_api import Reply, Request, ScriptedApi, refused, text, tool_use


def counted(request: Request) -> Reply:
    """Answer with the number of the turn."""
    return Reply([text(f"Turn {request.turn}.")], deltas=3)


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi(counted) as played:
        yield played


SECOND = step("Why?", "Turn 0.", "Go on.")


def aux(said: str) -> dict[str, Any]:
    """A call of the CLI's own."""
    return step(said, tools=())


@asynccontextmanager
async def recording(database: Database, api: ScriptedApi, **given: Any) -> AsyncIterator[Bench]:
    """An agent run whose model calls are recorded."""
    async with bench_on(database, api, record=True, **given) as bench:
        yield bench


@asynccontextmanager
async def replaying(database: Database, api: ScriptedApi, bench: Bench) -> AsyncIterator[Bench]:
    """The same agent run in a replay of that session; the model is not to be called."""
    before = len(api.calls.messages())
    async with bench_on(database, api, replays=bench.journal.session_id, upstream="replay") as again:
        yield again
    assert len(api.calls.messages()) == before


async def step_of(database: Database, bench: Bench, number: int) -> Recording | None:
    """The last answer to a step."""
    found = await recorded_step(database, bench.journal.session_id, bench.run.path, number)
    return found[0] if found else None


async def stopped(bench: Bench, request: Any) -> ev.ReplayStopped:
    """Make a call at which the replay stops; the call is not answered while its door is open."""
    sending = asyncio.create_task(bench.send(request))
    async with asyncio.timeout(10):
        while bench.journal.state.replay_stopped is None:
            assert not sending.done(), sending.result()
            await asyncio.sleep(0.01)
    assert not sending.done()
    bench.gateway.close_door(bench.token)
    assert (await sending).status_code == 402
    return bench.journal.state.replay_stopped


# -- what is recorded


async def test_a_call_is_kept_as_it_was_on_the_wire(database: Database, api: ScriptedApi) -> None:
    """Request and answer byte for byte, two headers of the request, and no key of anybody."""
    async with recording(database, api) as bench:
        answer = await bench.send(step(), anthropic_version="2023-06-01", anthropic_beta="one")
        kept = await step_of(database, bench, 1)
    assert kept is not None
    (call,) = api.calls.completed()
    assert kept.request == call.request.raw
    assert kept.response == answer.content
    assert kept.status == 200
    assert kept.content_type.startswith("text/event-stream")
    assert kept.request_headers == {"anthropic-version": "2023-06-01", "anthropic-beta": "one"}
    stored = repr(kept)
    assert KEY not in stored
    assert bench.token not in stored


async def test_nothing_is_recorded_unless_asked_for(database: Database, api: ScriptedApi) -> None:
    """The table stays empty."""
    async with bench_on(database, api) as bench:
        await bench.send()
        assert await count_recorded(database, bench.journal.session_id) == 0


async def test_recording_can_begin_when_a_session_is_resumed(database: Database, api: ScriptedApi) -> None:
    """Steps keep their numbers: the first recorded one is the second."""
    async with bench_on(database, api) as bench:
        await bench.send()
        await bench.journal.append(ev.SessionResumed(token=1, host="h", pid=1, record=True))
        await bench.send(SECOND)
        assert await step_of(database, bench, 1) is None
        assert await step_of(database, bench, 2) is not None
        async with replaying(database, api, bench) as again:
            assert "before recording began" in (await stopped(again, step())).problem


async def test_a_refused_step_is_kept_with_the_answer_it_got_in_the_end(
    database: Database, api: ScriptedApi
) -> None:
    """Under one number, the answer first; a replay gives each request what it got."""
    shorter = step("Why, in short?")
    async with recording(database, api) as bench:
        api.script = lambda request: refused(400, "prompt is too long")
        before = await bench.send()
        assert await count_recorded(database, bench.journal.session_id) == 0
        api.script = counted
        summary = await bench.send(aux("Sum up."))
        answer = await bench.send(shorter)
        found = await recorded_step(database, bench.journal.session_id, bench.run.path, 1)
        assert [each.status for each in found] == [200, 400]
    async with replaying(database, api, bench) as again:
        assert (await again.send()).text == before.text
        assert (await again.send(aux("Sum up."))).content == summary.content
        assert (await again.send(shorter)).content == answer.content


async def test_a_refusal_that_was_got_over_is_passed_over(database: Database, api: ScriptedApi) -> None:
    """The same request gets its answer at once: how often a service was busy is nobody's change."""
    async with recording(database, api) as bench:
        api.script = lambda request: refused(529, "Overloaded.")
        await bench.send()
        bench.another_sitting()
        api.script = counted
        answer = await bench.send()
    async with replaying(database, api, bench) as again:
        assert (await again.send()).content == answer.content


async def test_calls_of_the_clis_own_are_numbered_apart(database: Database, api: ScriptedApi) -> None:
    """Several at once lose nothing, and no step's number."""
    async with recording(database, api) as bench:
        await asyncio.gather(*(bench.send(aux(f"Title {n}")) for n in range(6)), bench.send())
        kept = await recorded_auxiliaries(database, bench.journal.session_id, bench.run.path)
        assert [each.number for each in kept] == [1, 2, 3, 4, 5, 6]
        assert len({each.request for each in kept}) == 6
        assert await step_of(database, bench, 1) is not None


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_commit_that_is_tried_again_records_once(
    database: Database, api: ScriptedApi, when: str
) -> None:
    """The store goes away before the event, or after its commit: event and recording are there together."""
    async with recording(database, api) as bench:
        tried = []
        commit = bench.journal._commit_with

        async def broken(row: Any, along: Along) -> Any:
            tried.append(when)
            if len(tried) > 1:
                return await commit(row, along)
            if when == "after":
                await commit(row, along)
            raise StoreUnavailable("The store is away.")

        bench.journal._commit_with = broken  # type: ignore[method-assign]
        await bench.send()
        assert len(tried) == 2
        assert await count_recorded(database, bench.journal.session_id) == 1
        assert (await bench.kinds()).count("model.finished") == 1


# -- what is answered from it


async def test_the_same_calls_get_the_same_answers(database: Database, api: ScriptedApi) -> None:
    """Streamed or not, byte for byte, and counted with the usage they had."""
    async with recording(database, api) as bench:
        before = [await bench.send(), await bench.send(SECOND), await bench.send(aux("A title?"))]
    async with replaying(database, api, bench) as again:
        now = [await again.send(), await again.send(SECOND), await again.send(aux("A title?"))]
        assert [each.content for each in now] == [each.content for each in before]
        assert again.run.usage == bench.run.usage
        assert again.run.usage.model_calls == 3
        assert again.journal.state.cost_usd == 0


async def test_a_router_is_answered_in_json(database: Database, api: ScriptedApi) -> None:
    """Its client asks for a whole message."""
    async with recording(database, api) as bench:
        before = await bench.send(step(stream=False))
    async with replaying(database, api, bench) as again:
        now = await again.send(step(stream=False))
        assert now.json() == before.json()


async def test_a_refusal_is_played_again_without_a_further_try(database: Database, api: ScriptedApi) -> None:
    """Also one that would be tried again of a living service."""
    api.script = lambda request: refused(529, "Overloaded.")
    async with recording(database, api) as bench:
        assert (await bench.send()).status_code == 402
    async with replaying(database, api, bench) as again:
        assert (await again.send()).status_code == 402
        assert "model.retried" not in await again.kinds()


async def test_a_changed_request_stops_the_replay(database: Database, api: ScriptedApi) -> None:
    """It is not answered; the journal says who, which call, which part and how."""
    async with recording(database, api) as bench:
        await bench.send()
        await bench.send(SECOND)
    async with replaying(database, api, bench) as again:
        await again.send()
        found = await stopped(again, step("Why?", "Turn 0.", "Go away."))
        assert (found.why, found.agent, found.path, found.call) == ("differs", again.run.agent, "q0", 2)
        assert [each.part for each in found.differences] == ["message 3 (user)"]
        assert "-Go on." in found.differences[0].diff
        assert "+Go away." in found.differences[0].diff
        assert (
            found.problem
            == f"Call 2 of {again.run.agent} differs from the recording in its message 3 (user)."
        )
        assert again.run.usage.unattributed_calls == 0, "nothing was sent"
        assert (await again.kinds())[-2:] == ["model.failed", "replay.stopped"]


async def test_one_call_more_stops_the_replay(database: Database, api: ScriptedApi) -> None:
    """What the recorded session did not do cannot be played."""
    async with recording(database, api) as bench:
        await bench.send()
        await _end(bench, "done")
    async with replaying(database, api, bench) as again:
        await again.send()
        found = await stopped(again, SECOND)
        assert found.why == "not recorded"
        assert "made no such call" in found.problem


async def test_an_agent_that_was_cancelled_waits_to_be_cancelled(
    database: Database, api: ScriptedApi
) -> None:
    """It may come further than it did, while others are at work; it stops the replay only when nobody is."""
    async with recording(database, api) as bench:
        await bench.send()
        await _end(bench, "cancelled")
    async with replaying(database, api, bench) as again:
        await again.send()
        assert (await stopped(again, SECOND)).why == "not recorded"


async def test_a_session_that_has_not_ended_is_played_as_far_as_it_goes(
    database: Database, api: ScriptedApi
) -> None:
    """Its end is no difference."""
    async with recording(database, api) as bench:
        await bench.send()
    async with replaying(database, api, bench) as again:
        await again.send()
        found = await stopped(again, SECOND)
        assert (found.why, found.problem) == (
            "recording ends",
            f"The recording ends before call 2 of {again.run.agent}.",
        )


async def test_calls_of_the_clis_own_may_come_in_any_order(database: Database, api: ScriptedApi) -> None:
    """Each gets the answer to itself, once; another one stops the replay."""
    async with recording(database, api) as bench:
        before = {name: (await bench.send(aux(name))).content for name in ("one", "two", "three")}
    async with replaying(database, api, bench) as again:
        for name in ("three", "one"):
            assert (await again.send(aux(name))).content == before[name]
        found = await stopped(again, aux("one"))
        assert (found.why, found.call) == ("differs", None)


async def test_where_the_recorded_session_was_interrupted_it_is_said(
    database: Database, api: ScriptedApi
) -> None:
    """The words of a resume alone do not count; what it changed otherwise need not be the person's change."""
    async with recording(database, api) as bench:
        await bench.send()
        await bench.journal.append(started(bench.run, entry="prompt", recovered=True), run_id=bench.run.id)
        await bench.send(step("Why?", "Turn 0.", RESUME))
        await bench.send(step("Why?", "Turn 0.", RESUME, "Turn 1.", "It was cut off."))
    async with replaying(database, api, bench) as again:
        await again.send()
        await again.send(step("Why?", "Turn 0."))
        found = await stopped(again, step("Why?", "Turn 0.", "Turn 1.", "A result."))
        assert found.interrupted
        assert "was interrupted before it" in found.problem


async def test_an_answer_names_what_is_in_the_new_session(database: Database, api: ScriptedApi) -> None:
    """A model that says an agent run's id meant the one at the same place."""
    async with recording(database, api) as bench:
        api.script = lambda request: Reply(
            [tool_use(SEARCH, {"query": f"continue {bench.run.id}"}, id="toolu_1")]
        )
        before = (await bench.send()).text
    async with replaying(database, api, bench) as again:
        now = (await again.send()).text
        assert bench.run.id in _joined(before)
        assert again.run.id in _joined(now)
        assert bench.run.id not in _joined(now)


def _joined(stream: str) -> str:
    """The input of the call in a stream, put together."""
    events = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: ")]
    return "".join(
        event["delta"].get("partial_json", "") for event in events if event["type"] == "content_block_delta"
    )


async def _end(bench: Bench, status: Any) -> None:
    outcome = Outcome(status=status, problem="It has ended.")
    await bench.journal.append(ev.AgentRunFinished(outcome=outcome, work_s=0), run_id=bench.run.id)
