"""What is committed of a model call, and when; what has been paid already is given again."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import httpx
import pytest

from harness import events as ev
from harness.pricing import cost_usd
from harness.records import Limits, Usage, derived_id
from harness.store.database import Database
from harness.store.journal import read_events
from tests.kit.gateways import MODEL, RESUME, SEARCH, SPENT, USED, Bench, bench_on, once, read_into, step
from tests.kit.journals import requested, started
from tests.kit.processes import until
from tests.kit.script import Request
from tests.kit.scripted_api import Reply, ScriptedApi, refused, text, tool_use

# -- what is committed, and when


async def test_the_checkpoint_comes_before_the_call(bench: Bench) -> None:
    """When the service sees the request, any process can read that it was about to be made."""
    seen: list[list[str]] = []
    loop = asyncio.get_running_loop()

    def script(request: Request) -> Reply:
        seen.append(asyncio.run_coroutine_threadsafe(bench.kinds(), loop).result(10))
        return Reply([text("x")])

    bench.api.script = script
    await bench.send()
    assert seen == [["model.requested"]]
    assert await bench.kinds() == ["model.requested", "model.finished"]


async def test_the_settlement_comes_before_the_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client does not have the last event as long as the answer is not committed."""
    may_commit = asyncio.Event()
    committing = asyncio.Event()
    append = bench.journal.append

    async def held(payload: ev.AnyPayload, **given: Any) -> ev.Event:
        if payload.kind == "model.finished":
            committing.set()
            await may_commit.wait()
        return await append(payload, **given)

    monkeypatch.setattr(bench.journal, "append", held)
    seen: list[bytes] = []
    reading = asyncio.create_task(read_into(seen, bench))
    await committing.wait()
    await until(lambda: b"content_block_delta" in b"".join(seen), "the beginning of the answer")
    assert b"message_stop" not in b"".join(seen)
    assert await bench.kinds() == ["model.requested"]
    may_commit.set()
    await reading
    assert b"message_stop" in b"".join(seen)


async def test_usage_cost_and_times_are_those_of_the_wire(bench: Bench) -> None:
    """Tokens of all kinds, price, stop reason, ids and the time to the first token, in the run's span."""
    bench.api.script = lambda request: Reply(
        [text("x"), tool_use(SEARCH, {"query": "tides"})], usage=SPENT, first_token_s=0.05
    )
    await bench.send()
    opened, closed = (await read_events(bench.database, bench.journal.session_id))[-2:]
    (call,) = bench.api.calls.completed()
    payload = closed.payload
    assert isinstance(payload, ev.ModelFinished)
    assert call.message is not None
    assert (payload.message_id, payload.stop_reason, payload.model) == (call.message["id"], "tool_use", MODEL)
    assert payload.usage == USED
    assert payload.cost_usd == cost_usd(MODEL, USED)
    assert payload.first_token_s is not None
    assert payload.first_token_s >= 0.05
    assert isinstance(opened.payload, ev.ModelRequested)
    assert opened.payload.call_id == payload.call_id
    assert opened.agent_run_id == closed.agent_run_id == bench.run.id
    assert opened.span_id == closed.span_id


async def test_the_same_request_again_is_another_call(bench: Bench) -> None:
    """After an answer the ordinal rises; after an error it does not."""
    bench.api.script = once(Reply([text("x")]), refused(400, "No."))
    for _ in range(3):
        await bench.send()
    events = await read_events(bench.database, bench.journal.session_id, after=3)
    asked = [event.payload for event in events if isinstance(event.payload, ev.ModelRequested)]
    assert [payload.ordinal for payload in asked] == [0, 1, 1]
    assert len({payload.request_hash for payload in asked}) == 1
    assert asked[0].call_id != asked[1].call_id == asked[2].call_id


async def test_an_answer_without_usage_is_unattributed(bench: Bench) -> None:
    """What is not told is not zero."""
    message = {"id": "m", "type": "message", "model": MODEL, "content": [], "stop_reason": "end_turn"}
    await bench.door.completed(await _admitted(bench), message, None, {}, json.dumps(message).encode())
    assert bench.run.usage.unattributed_calls == 1


async def _admitted(bench: Bench) -> Any:
    return await bench.door.admit(json.dumps(step()).encode(), step(), {})


# -- what has been paid already


async def next_process(bench: Bench) -> None:
    await bench.journal.append(started(bench.run), run_id=bench.run.id)


async def test_a_paid_answer_is_not_paid_twice(bench: Bench) -> None:
    """The next process asks for the same conversation, in a resume's words: it gets the same bytes."""
    first = await bench.send(step("Why?"))
    await next_process(bench)
    again = await bench.send(step("Why?", "No response requested.", RESUME))
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert len(bench.api.calls.messages()) == 1
    assert bench.run.usage == USED
    assert bench.run.steps == 1
    assert (await bench.kinds())[-1] == "model.replayed"


async def test_a_paid_answer_is_given_when_nothing_is_left_to_spend(
    database: Database, api: ScriptedApi
) -> None:
    """It costs nothing; what follows it is refused."""
    async with bench_on(database, api, limits=Limits(max_steps=1)) as bench:
        await bench.send(step("Why?"))
        await next_process(bench)
        assert (await bench.send(step("Why?"))).status_code == 200
        assert (await bench.send(step("Why?", "Because.", "And?"))).status_code == 402


@pytest.mark.parametrize(
    "request_",
    [step("Why not?"), step("Why?", model="claude-opus-5-5"), step("Why?", tools=(SEARCH, "Read"))],
    ids=["another question", "another model", "other tools"],
)
async def test_another_conversation_is_asked_anew(bench: Bench, request_: dict[str, Any]) -> None:
    """Only the very same one was paid for."""
    bench.door.models = (MODEL, "claude-opus-5-5")
    await bench.send(step("Why?"))
    await next_process(bench)
    await bench.send(request_)
    assert len(bench.api.calls.messages()) == 2


async def test_one_process_asks_each_time(bench: Bench) -> None:
    """Within a process the CLI means what it asks, also twice."""
    for _ in range(2):
        await bench.send(step("Why?"))
    assert len(bench.api.calls.messages()) == 2


async def test_an_answer_that_broke_off_is_asked_for_again(bench: Bench) -> None:
    """Nothing is kept of it."""
    bench.api.script = once(Reply([text("Half")], fault="cut_mid_block"))
    with pytest.raises(httpx.RemoteProtocolError):
        await bench.send()
    await next_process(bench)
    assert b"At last." in (await bench.send()).content


async def test_an_answer_is_kept_for_its_own_run_alone(database: Database, api: ScriptedApi) -> None:
    """Another agent run that happens to ask the same is answered by the model."""
    async with bench_on(database, api) as one, bench_on(database, api) as other:
        await one.send(step("Why?"))
        await next_process(other)
        await other.send(step("Why?"))
    assert len(api.calls.messages()) == 2


# -- the end


async def test_closing_gives_up_what_is_still_read(database: Database, api: ScriptedApi) -> None:
    """An answer that hangs does not hold the gateway open; its call is left for the next process to count."""
    api.script = lambda request: Reply(fault="hang")
    async with bench_on(database, api) as bench:
        asking = asyncio.create_task(bench.send())
        await until(lambda: api.calls.messages(), "the call")
    with pytest.raises(httpx.HTTPError):
        await asking
    assert list(bench.run.open_calls)
    await next_process(bench)
    assert bench.run.usage == Usage(attempts=1, unattributed_calls=1)


async def test_a_used_request_is_named_by_what_was_sent(bench: Bench) -> None:
    """The call's id follows from run, request and ordinal, so a later process gives the same."""
    await bench.send(step("Why?"))
    event = (await read_events(bench.database, bench.journal.session_id))[-2].payload
    assert isinstance(event, ev.ModelRequested)
    request_hash = hashlib.sha256(json.dumps(step("Why?")).encode()).hexdigest()
    call_id = derived_id(bench.run.id, request_hash, 0)
    assert event == requested(call_id, request_hash=request_hash, model=MODEL)
