"""The gateway: what passes, what is committed before and after it, what is tried again, what is refused."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from harness import events as ev
from harness.gateway import relay
from harness.gateway.upstream import Answer, Outgoing, Upstream, UpstreamLost
from harness.pricing import cost_usd
from harness.records import Limits, Usage, derived_id
from harness.redaction import REDACTED, Redactor
from harness.store.database import Database
from harness.store.journal import kept_response, read_events
from harness.store.patient import PatientDatabase
from tests.kit import sse
from tests.kit.gateways import KEY, MODEL, RESUME, SEARCH, Bench, bench_on, step
from tests.kit.journals import finished, requested, started
from tests.kit.processes import until
from tests.kit.script import Fault, Request
from tests.kit.scripted_api import Reply, ScriptedApi, Tokens, refused, text, tool_use
from tests.kit.sessions import FaultyDatabase, take_over

SPENT = Tokens(900, 80, 7, 11)
USED = Usage(
    input_tokens=900,
    output_tokens=80,
    cache_read_input_tokens=7,
    cache_creation_input_tokens=11,
    model_calls=1,
    attempts=1,
)


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi(lambda request: Reply([text("Understood. " * 20)], usage=SPENT, deltas=9)) as played:
        yield played


@pytest.fixture
async def bench(database: Database, api: ScriptedApi) -> AsyncIterator[Bench]:
    async with bench_on(database, api) as opened:
        yield opened


def once(*first: Reply, then: Reply | None = None) -> Callable[[Request], Reply]:
    """Play these replies, then the last one for ever."""
    replies = list(first)
    return lambda request: (
        replies.pop(0) if replies else then or Reply([text("At last.")], usage=SPENT, deltas=1)
    )


async def read_into(seen: list[bytes], bench: Bench) -> None:
    """Read an answer as it comes."""
    async with bench.stream() as answer:
        async for chunk in answer.aiter_raw():
            seen.append(chunk)


# -- what passes


async def test_an_answer_passes_byte_for_byte(bench: Bench) -> None:
    """The events reach the client exactly as the model's service sent them."""
    answer = await bench.send()
    (call,) = bench.api.calls.completed()
    assert call.message is not None
    sent = [*sse.opening(call.message)]
    for index, block in enumerate(call.message["content"]):
        sent += sse.block_events(index, block, 9)
    sent += [sse.message_delta(call.message), sse.message_stop()]
    assert answer.content == b"".join(sent)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"


async def test_a_request_passes_byte_for_byte(bench: Bench) -> None:
    """Odd spacing, escapes and unknown fields included; query and headers of the API's own too."""
    body = json.dumps(step("\ud83d é \x00", metadata={"user_id": "x"}), indent=3).encode()
    await bench.http.post(
        "/v1/messages?beta=true",
        content=body,
        headers={
            "x-api-key": bench.token,
            "anthropic-version": "2023-06-01",
            "anthropic-beta": "one,two",
            "x-claude-code-session-id": "claude-1",
        },
    )
    (call,) = bench.api.calls.completed()
    assert call.request.raw == body
    headers = call.request.headers
    assert headers["anthropic-version"] == "2023-06-01"
    assert headers["anthropic-beta"] == "one,two"
    assert call.request.session == "claude-1"
    assert int(headers["content-length"]) == len(body)


async def test_a_body_in_chunks_passes_too(bench: Bench) -> None:
    """However the client framed it, the service gets one framing of its own."""

    async def parts() -> AsyncIterator[bytes]:
        body = json.dumps(step()).encode()
        for start in range(0, len(body), 50):
            yield body[start : start + 50]

    await bench.http.post("/v1/messages", content=parts(), headers={"x-api-key": bench.token})
    (call,) = bench.api.calls.completed()
    assert call.request.body == step()
    assert "transfer-encoding" not in call.request.headers


async def test_the_key_takes_the_tokens_place(bench: Bench) -> None:
    """The service sees the real key and no token; the client sees no key."""
    answer = await bench.send(authorization=f"Bearer {bench.token}")
    (call,) = bench.api.calls.completed()
    assert call.request.api_key == KEY
    assert bench.token not in str(call.request.headers) + call.request.raw.decode()
    assert KEY not in str(answer.headers) + answer.text
    assert KEY not in str(
        [event.payload for event in await read_events(bench.database, bench.journal.session_id)]
    )


async def test_an_answer_is_not_held_back(bench: Bench) -> None:
    """The first bytes are here while the last have not been sent."""
    release = threading.Event()
    bench.api.script = lambda request: Reply(
        [text("first"), text("last")], deltas=1, hold=release, hold_after=1
    )
    seen = b""
    async with bench.stream() as answer:
        async for chunk in answer.aiter_raw():
            seen += chunk
            if b"first" in seen and not release.is_set():
                assert b"last" not in seen
                assert bench.api.calls.messages()[0].outcome == "open"
                release.set()
    assert b"last" in seen
    assert b"message_stop" in seen


async def test_an_answer_without_streaming_passes(bench: Bench) -> None:
    """The complete message as JSON, counted like a streamed one."""
    answer = await bench.send(step(stream=False))
    (call,) = bench.api.calls.completed()
    assert answer.json() == call.message
    assert bench.run.usage == USED
    assert (await bench.last()).stop_reason == "end_turn"


async def test_headers_the_client_needs_come_back(bench: Bench) -> None:
    """Request id and rate limits are passed on, and nothing else of the service's."""
    headers = {
        "request-id": "req_1",
        "anthropic-ratelimit-tokens-remaining": "9",
        "set-cookie": "a=b",
        "x-x": "y",
    }
    bench.api.script = lambda request: Reply([text("x")], headers=headers)
    answer = await bench.send()
    assert answer.headers["request-id"] == "req_1"
    assert answer.headers["anthropic-ratelimit-tokens-remaining"] == "9"
    assert not {"set-cookie", "x-x"} & answer.headers.keys()


# -- who may ask


@pytest.mark.parametrize("token", ["", "run-made-up", KEY])
async def test_an_unknown_token_is_turned_away(bench: Bench, token: str) -> None:
    """Nothing is committed or sent."""
    answer = await bench.send(token=token)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "authentication_error"
    assert bench.api.calls.messages() == []
    assert await bench.kinds() == []


async def test_a_closed_door_is_shut(bench: Bench) -> None:
    """The token of a run that is no longer at work is worth nothing, and closing twice does no harm."""
    for _ in range(2):
        bench.gateway.close_door(bench.token)
    assert (await bench.send()).status_code == 401


async def test_tokens_are_each_runs_own(bench: Bench) -> None:
    """Two doors have two tokens that cannot be guessed from one another."""
    other = bench.gateway.open_door(bench.door)
    assert other != bench.token
    assert len(other) > 30
    assert (await bench.send(token=other)).status_code == 200


async def test_only_messages_can_be_asked_for(bench: Bench) -> None:
    """There is no other path and no other method, and no trace of one in the journal."""
    for method, path in (("GET", "/v1/messages"), ("POST", "/v1/messages/count_tokens"), ("GET", "/")):
        answer = await bench.http.request(method, path, headers={"x-api-key": bench.token})
        assert answer.status_code in (404, 405)
    assert bench.api.calls.all == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"null", b"[1]", b'"x"'])
async def test_what_is_no_request_is_turned_away(bench: Bench, body: bytes) -> None:
    """A body that is not a JSON object is the client's error, not ours."""
    answer = await bench.send(body)
    assert answer.status_code == 400
    assert await bench.kinds() == []


async def test_it_listens_on_loopback_only(bench: Bench) -> None:
    """Nobody on the network can reach it."""
    host, port = httpx.URL(bench.gateway.base_url).host, httpx.URL(bench.gateway.base_url).port
    assert host == "127.0.0.1"
    assert port
    with socket.socket() as probe:
        probe.settimeout(0.5)
        with pytest.raises(OSError):
            probe.connect(("127.0.0.2", port))  # another address of this very machine


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
    message = {"id": "m", "model": MODEL, "content": [], "stop_reason": "end_turn"}
    await bench.door.completed(await _admitted(bench), message, None, {}, json.dumps(message).encode())
    assert bench.run.usage.unattributed_calls == 1


async def test_an_answer_that_cannot_be_read_is_kept_without_secrets(bench: Bench) -> None:
    """What its frame tells has no secret; that says nothing of what stands between."""
    bench.journal.redactor = Redactor(["open-sesame-1001"])
    call = await _admitted(bench)
    told = {"id": "m", "model": MODEL, "stop_reason": "end_turn", "usage": {"output_tokens": 1}}
    await bench.door.completed(call, told, None, {}, b"data: {broken open-sesame-1001")
    kept = await kept_response(bench.database, bench.journal.session_id, bench.run.id, call.conversation)
    assert kept is not None
    assert kept.body == f"data: {{broken {REDACTED}".encode()


async def _admitted(bench: Bench) -> Any:
    return await bench.door.admit(json.dumps(step()).encode(), step(), {})


# -- what is tried again


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
async def test_a_passing_refusal_is_tried_again(bench: Bench, status: int) -> None:
    """The client sees the answer alone; the journal has one call with its attempts."""
    bench.api.script = once(refused(status), refused(status))
    answer = await bench.send()
    assert answer.status_code == 200
    assert b"At last." in answer.content
    assert await bench.kinds() == ["model.requested", "model.retried", "model.retried", "model.finished"]
    assert (bench.run.usage.attempts, bench.run.usage.model_calls) == (3, 1)
    assert len({call.request.raw for call in bench.api.calls.messages()}) == 1


async def test_the_service_says_how_long_to_wait(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """retry-after is kept to, up to a limit; without it, or if it makes no sense, pauses grow."""
    pauses: list[float] = []
    pause = relay._pause

    def told(attempt: int, retry_after: str | None) -> float:
        pauses.append(pause(attempt, retry_after))
        return 0.0

    monkeypatch.setattr(relay, "_pause", told)
    monkeypatch.setattr(relay, "FIRST_PAUSE_S", 4.0)
    nonsense = Reply(status=529, error="x", headers={"retry-after": "Sun, 22 Nov 2026 00:00:00 GMT"})
    bench.api.script = once(
        refused(429, retry_after=7), refused(429, retry_after=9999), nonsense, refused(529)
    )
    await bench.send()
    assert pauses[:2] == [7, relay.LONGEST_PAUSE_S]
    assert 8 <= pauses[2] <= 16
    assert relay.LONGEST_PAUSE_S / 2 <= pauses[3] <= relay.LONGEST_PAUSE_S


async def test_a_lasting_refusal_is_passed_on(bench: Bench) -> None:
    """After the last attempt the client gets the service's own words, and nothing counts as spent."""
    bench.api.script = lambda request: refused(529, "Overloaded, really.", retry_after=0)
    answer = await bench.send()
    assert answer.status_code == 529
    assert answer.json()["error"]["message"] == "Overloaded, really."
    assert answer.headers["retry-after"] == "0"
    assert bench.run.usage == Usage(attempts=relay.MAX_ATTEMPTS)
    failed = await bench.last()
    assert (failed.kind, failed.status, failed.problem) == ("model.failed", 529, "Overloaded, really.")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
async def test_a_final_refusal_is_not_tried_again(bench: Bench, status: int) -> None:
    """The same request would be refused again."""
    bench.api.script = lambda request: refused(status, "No.")
    answer = await bench.send()
    assert answer.status_code == status
    assert bench.run.usage == Usage(attempts=1)
    assert len(bench.api.calls.messages()) == 1


async def test_a_service_that_is_away_is_tried_again(
    database: Database, api: ScriptedApi, free_port: int
) -> None:
    """Connection refused: each attempt is counted, and the client is told to come back, once all failed."""
    async with bench_on(database, api, base_url=f"http://127.0.0.1:{free_port}") as bench:
        answer = await bench.send()
        assert answer.status_code == 529
        assert "The model service could not be reached" in answer.json()["error"]["message"]
        assert bench.run.usage.attempts == relay.MAX_ATTEMPTS
        retried = ["model.retried"] * (relay.MAX_ATTEMPTS - 1)
        assert await bench.kinds() == ["model.requested", *retried, "model.failed"]
        assert bench.run.usage.unattributed_calls == 0, "nothing was sent"


async def test_an_attempt_without_an_answer_is_unattributed(database: Database, api: ScriptedApi) -> None:
    """Sent, and the connection broke before an answer: the next attempt is settled, this one is unknown."""
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        if asked > 1:
            usage = {"input_tokens": 5, "output_tokens": 6}
            body = json.dumps({"id": "m", "model": MODEL, "content": [], "usage": usage}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
            writer.write(b"connection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with bench_on(database, api, base_url=f"http://127.0.0.1:{port}") as bench:
            assert (await bench.send()).status_code == 200
            known = Usage(input_tokens=5, output_tokens=6, model_calls=1, attempts=2, unattributed_calls=1)
            assert bench.run.usage == known
            assert await bench.kinds() == ["model.requested", "model.retried", "model.finished"]


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port of loopback at which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


# -- what breaks off


@pytest.mark.parametrize("fault", ["cut_mid_block", "cut_before_delta", "cut_before_stop", "malformed"])
async def test_a_cut_stream_is_broken_off_and_unattributed(bench: Bench, fault: Fault) -> None:
    """The client sees the break as it was, what came was passed on, and what it cost is not known."""
    bench.api.script = lambda request: Reply([text("Half of this.")], usage=SPENT, fault=fault)
    seen: list[bytes] = []
    with pytest.raises(httpx.RemoteProtocolError):
        await read_into(seen, bench)
    assert b"message_start" in b"".join(seen)
    await until(lambda: not bench.run.open_calls, "the call's end")
    assert bench.run.usage == Usage(attempts=1, unattributed_calls=1)
    assert (await bench.last()).problem
    assert bench.run.steps == 0


class Breaking:
    """An upstream whose connection breaks behind the last event of an answer."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    @asynccontextmanager
    async def send(self, call: Outgoing) -> AsyncIterator[Answer]:
        async with self._upstream.send(call) as answer:
            yield replace(answer, chunks=self._broken(answer.chunks))

    async def _broken(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            yield chunk
        raise UpstreamLost("The connection broke.")

    async def close(self) -> None:
        await self._upstream.close()


async def test_a_break_behind_the_end_of_an_answer_is_no_loss(bench: Bench) -> None:
    """It is committed once, as finished, and the client gets all of it."""
    bench.gateway._upstream = Breaking(bench.gateway._upstream)
    answer = await bench.send()
    assert answer.text.rstrip().endswith('{"type": "message_stop"}')
    await bench.gateway.settle(bench.door)
    assert await bench.kinds() == ["model.requested", "model.finished"]
    assert bench.run.usage == USED


async def test_an_error_within_the_stream_is_passed_on(bench: Bench) -> None:
    """The client gets the service's error event, whole; the call is unattributed."""
    bench.api.script = lambda request: Reply([text("x")], fault="error_event", error="Overloaded.")
    answer = await bench.send()
    assert b"event: error" in answer.content
    assert bench.run.usage == Usage(attempts=1, unattributed_calls=1)
    assert "Overloaded." in (await bench.last()).problem


async def test_an_answer_is_read_to_its_end_without_its_client(bench: Bench) -> None:
    """The CLI died, the answer is being paid for: it is settled, with what it used."""
    release = threading.Event()
    bench.api.script = lambda request: Reply([text("a"), text("b")], usage=SPENT, hold=release, hold_after=1)
    async with bench.stream() as answer:
        await anext(answer.aiter_raw())
    await asyncio.sleep(0.1)
    assert bench.api.calls.messages()[0].outcome == "open"
    release.set()
    await bench.gateway.settle(bench.door)
    assert bench.api.calls.messages()[0].outcome == "completed"
    assert bench.run.usage == USED
    assert await bench.kinds() == ["model.requested", "model.finished"]


async def test_a_client_that_leaves_early_changes_nothing(bench: Bench) -> None:
    """Gone before the first byte: the call is made, read and settled all the same."""
    release = threading.Event()
    bench.api.script = lambda request: Reply([text("a")], usage=SPENT, hold=release)
    with pytest.raises(httpx.ReadTimeout):
        await bench.http.post(
            "/v1/messages",
            json=step(),
            headers={"x-api-key": bench.token},
            timeout=httpx.Timeout(5, read=0.3),
        )
    release.set()
    await until(lambda: bench.run.usage == USED, "the settlement")


async def test_answers_at_the_same_time_do_not_mix(bench: Bench) -> None:
    """Many at once: each client gets its own, and all are counted."""
    bench.api.script = lambda request: Reply(
        [text(request.first_user_text)], usage=SPENT, between_deltas_s=0.001
    )
    answers = await asyncio.gather(*(bench.send(step(f"Question {n:02}.")) for n in range(20)))
    for n, answer in enumerate(answers):
        told = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
        said = "".join(event["delta"].get("text", "") for event in told if "text" in event.get("delta", {}))
        assert said == f"Question {n:02}."
    assert (bench.run.usage.model_calls, bench.run.steps, bench.run.usage.input_tokens) == (20, 20, 18000)


# -- what is refused before it is sent


async def test_a_spent_budget_refuses_before_sending(database: Database, api: ScriptedApi) -> None:
    """402 with the sentence, no checkpoint, and the service is not asked."""
    async with bench_on(database, api, budget=1.0) as bench:
        await bench.journal.append(finished("x", cost_usd=1.0), run_id=bench.run.id)
        answer = await bench.send()
        assert answer.status_code == 402
        error = answer.json()["error"]
        assert error["type"] == "billing_error"
        assert "harness resume" in error["message"]
        assert api.calls.messages() == []
        assert await bench.kinds() == ["model.finished"]


async def test_a_model_that_answers_under_another_name_costs_what_was_asked_for(
    database: Database, api: ScriptedApi
) -> None:
    """As LiteLLM does: the name it gives has no price, and the budget is kept all the same."""
    api.script = lambda request: Reply([text("x")], usage=SPENT, model=f"anthropic/{MODEL}")
    async with bench_on(database, api, budget=0.001, upstream="live") as bench:
        assert (await bench.send()).status_code == 200
        answered = await bench.last()
        assert (answered.model, answered.cost_usd) == (f"anthropic/{MODEL}", cost_usd(MODEL, USED))
        assert (await bench.send(step("And?"))).status_code == 402
        assert len(api.calls.messages()) == 1


async def test_spent_steps_refuse_before_sending(database: Database, api: ScriptedApi) -> None:
    """Steps are counted over the run's processes, by the journal."""
    async with bench_on(database, api, limits=Limits(max_steps=2)) as bench:
        codes = [(await bench.send(step(f"{n}"))).status_code for n in range(4)]
        assert codes == [200, 200, 402, 402]
        assert len(api.calls.messages()) == 2


async def test_without_the_lease_nothing_is_sent(bench: Bench) -> None:
    """Taken over by another process, this one's call is refused for good."""
    await take_over(bench.database, bench.journal.session_id)
    for _ in range(2):
        answer = await bench.send()
        assert answer.status_code == 402
        assert bench.journal.session_id in answer.json()["error"]["message"]
    assert bench.api.calls.messages() == []
    assert await bench.kinds() == []


async def test_an_answer_after_the_lease_was_lost_is_not_given(bench: Bench) -> None:
    """What could not be committed does not reach the CLI as an answer: its stream breaks off."""
    release = threading.Event()
    bench.api.script = lambda request: Reply([text("a")], usage=SPENT, hold=release, hold_after=1)
    seen: list[bytes] = []
    reading = asyncio.create_task(read_into(seen, bench))
    await until(lambda: seen, "the beginning of the answer")
    await take_over(bench.database, bench.journal.session_id)
    release.set()
    with pytest.raises(httpx.RemoteProtocolError):
        await reading
    assert b"message_stop" not in b"".join(seen)
    assert await bench.kinds() == ["model.requested"]


async def test_a_store_that_is_away_for_a_moment_is_waited_for(bench: Bench) -> None:
    """Neither checkpoint nor settlement is left out, and the client notices nothing."""
    failures = iter([True, True, False, True, False])

    def fault(sql: str) -> str:
        return "before" if "insert into event" in sql.lower() and next(failures, False) else ""

    faulty = FaultyDatabase(bench.database, fault)
    bench.journal.database = PatientDatabase(faulty, bench.journal.lease)
    answer = await bench.send()
    assert answer.status_code == 200
    assert await bench.kinds() == ["model.requested", "model.finished"]


# -- the last turn


async def sent_last(bench: Bench, request: dict[str, Any]) -> dict[str, Any]:
    answer = await bench.send(request)
    assert answer.status_code == 200
    body: dict[str, Any] = bench.api.calls.messages()[-1].request.body
    return body


async def test_the_last_turn_offers_the_typed_answer_alone(database: Database, api: ScriptedApi) -> None:
    """Of the tools only StructuredOutput is left, no tool is forced, and the agent is told."""
    async with bench_on(database, api, limits=Limits(max_steps=2)) as bench:
        request = step("a", tools=(SEARCH, "StructuredOutput"), tool_choice={"type": "auto"}, temperature=0.5)
        assert await sent_last(bench, request) == request
        asked = await sent_last(bench, request)
        assert [each["name"] for each in asked["tools"]] == ["StructuredOutput"]
        assert "tool_choice" not in asked
        assert asked["messages"][:-1] == request["messages"]
        assert asked["messages"][-1]["role"] == "user"
        assert asked["messages"][-1]["content"][0]["text"] == "This is the last turn: steps."
        kept = {name: value for name, value in asked.items() if name not in ("tools", "messages")}
        assert kept == {name: value for name, value in request.items() if name in kept}
        (_, _, second, _) = await read_events(bench.database, bench.journal.session_id, after=3)
        assert isinstance(second.payload, ev.ModelRequested)
        assert second.payload.last_turn
        assert bench.run.took_last_turn


async def test_the_last_turn_in_prose_chooses_no_tool(database: Database, api: ScriptedApi) -> None:
    """The history holds calls, so the tools stay defined; they may just not be chosen."""
    async with bench_on(database, api, limits=Limits(max_steps=2)) as bench:
        request = step("a")
        await bench.send(request)
        asked = await sent_last(bench, request)
        assert asked["tools"] == request["tools"]
        assert asked["tool_choice"] == {"type": "none"}


async def test_money_running_out_brings_the_last_turn(database: Database, api: ScriptedApi) -> None:
    """Near the end of the budget, and the agent is told what it is that ends."""
    async with bench_on(database, api, budget=1.0) as bench:
        await bench.journal.append(finished("x", cost_usd=0.95), run_id=bench.run.id)
        asked = await sent_last(bench, step("a"))
        assert asked["messages"][-1]["content"][0]["text"] == "This is the last turn: cost."


# -- calls of the CLI's own


@pytest.mark.parametrize(
    "request_",
    [step(tools=()), step(tools=("web_search",)), step(tools=("mcp__other__search",))],
    ids=["no tools", "a server's tool", "somebody else's"],
)
async def test_a_call_without_the_agents_tools_is_no_step(
    database: Database, api: ScriptedApi, request_: dict[str, Any]
) -> None:
    """Titles and searches of the CLI's own are charged and committed, and take no step away."""
    async with bench_on(database, api, limits=Limits(max_steps=1)) as bench:
        for n in range(3):
            assert (await bench.send({**request_, "max_tokens": n + 1})).status_code == 200
        assert (bench.run.steps, bench.run.usage.model_calls) == (0, 3)
        assert (await bench.last()).auxiliary
        assert (await bench.send()).status_code == 200
        assert bench.run.steps == 1


async def test_an_agent_without_tools_is_known_by_its_prompt(database: Database, api: ScriptedApi) -> None:
    """Its steps carry its system prompt, in whatever form; other calls do not."""
    async with bench_on(database, api, tools=()) as bench:
        for number, system in enumerate(
            [
                [{"type": "text", "text": "x"}, *step()["system"]],
                step()["system"][0]["text"],
                "A title, please.",
            ]
        ):
            await bench.send(step(f"{number}", tools=(), system=system))
        assert (bench.run.steps, bench.run.usage.model_calls) == (2, 3)


async def test_a_budget_holds_for_the_clis_own_calls(database: Database, api: ScriptedApi) -> None:
    """They cost the same money."""
    async with bench_on(database, api, budget=1.0) as bench:
        await bench.journal.append(finished("x", cost_usd=1.0), run_id=bench.run.id)
        assert (await bench.send(step(tools=()))).status_code == 402
        assert api.calls.messages() == []


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
    [step("Why not?"), step("Why?", model="claude-opus-4-5"), step("Why?", tools=(SEARCH, "Read"))],
    ids=["another question", "another model", "other tools"],
)
async def test_another_conversation_is_asked_anew(bench: Bench, request_: dict[str, Any]) -> None:
    """Only the very same one was paid for."""
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
