"""Which refusals are tried again, and what becomes of answers that break off."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest

from harness.gateway import relay
from harness.gateway.trouble import Trouble
from harness.gateway.upstream import Answer, Outgoing, Upstream, UpstreamLost
from harness.records import Usage
from harness.stops import why_final
from harness.store.database import Database
from tests.kit.gateways import MODEL, SPENT, USED, Bench, bench_on, once, read_into, step
from tests.kit.processes import until
from tests.kit.script import Fault
from tests.kit.scripted_api import Reply, ScriptedApi, refused, text

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


async def test_a_lasting_refusal_is_the_services_trouble(bench: Bench) -> None:
    """After the last attempt the client hears where and why; nothing is spent, and nobody asks again."""
    bench.api.script = lambda request: refused(529, "Overloaded, really.", retry_after=0)
    for _ in range(2):
        answer = await bench.send()
        assert answer.status_code == 402
        place = bench.api.base_url
        told = f"The model service at {place} gave no answer in 5 attempts (529: Overloaded, really.)."
        assert answer.json()["error"]["message"] == told
        assert bench.door.trouble == Trouble("service", told)
    assert bench.run.usage == Usage(attempts=relay.MAX_ATTEMPTS)
    failed = await bench.last()
    assert (failed.kind, failed.status, failed.problem) == ("model.failed", 529, "Overloaded, really.")


@pytest.mark.parametrize("status", [400, 413, 418])
async def test_a_refused_request_is_passed_on(bench: Bench, status: int) -> None:
    """The same request would be refused again; the CLI may be able to send a better one."""
    bench.api.script = lambda request: refused(status, "No.")
    for number in (1, 2):
        answer = await bench.send()
        assert (answer.status_code, answer.json()["error"]["message"]) == (status, "No.")
        assert bench.run.usage == Usage(attempts=number)
    assert bench.door.trouble is not None
    assert bench.door.trouble.concern == "request"


@pytest.mark.parametrize(
    ("status", "said", "problem", "remedy"),
    [
        (
            401,
            "invalid x-api-key",
            "does not accept the key",
            "set ANTHROPIC_API_KEY to a key that it accepts",
        ),
        (402, "Pay first.", "cannot pay for the call", "buy credit or raise its limit"),
        (403, "Not for you.", "does not let this key do it", "use a key that may"),
        (404, f"model: {MODEL}", f"has no model '{MODEL}'", "name another one with --model"),
        (404, "Not Found", "There is no Messages API at", "set ANTHROPIC_BASE_URL"),
        (302, "", "There is no Messages API at", "set ANTHROPIC_BASE_URL"),
        (400, "Your credit balance is too low to access the API.", "cannot pay", "buy credit"),
        (400, "You have reached your specified API usage limits.", "cannot pay", "raise its limit"),
    ],
)
async def test_what_concerns_the_account_ends_the_asking(
    bench: Bench, status: int, said: str, problem: str, remedy: str
) -> None:
    """One attempt, a sentence with the address, the service's words and a remedy; no further call is sent."""
    bench.api.script = lambda request: refused(status, said)
    for _ in range(2):
        answer = await bench.send()
        assert answer.status_code == 402
        told = answer.json()["error"]["message"]
        assert problem in told
        assert bench.api.base_url in told
        assert remedy in told
        assert said in told
    assert bench.door.trouble == Trouble("account", told)
    assert len(bench.api.calls.messages()) == 1


async def test_an_answer_ends_the_trouble(bench: Bench) -> None:
    """What failed before it is not counted against what comes after."""
    bench.api.script = once(*[refused(529)] * 4, Reply([text("a")]), *[refused(529)] * 4)
    for _ in range(2):
        assert (await bench.send()).status_code == 200
        assert (bench.door.missed, bench.door.trouble) == (0, None)


async def test_attempts_are_counted_over_the_clis_own(bench: Bench) -> None:
    """A stream that breaks is asked for again by the CLI: five attempts are all, whoever makes them."""
    bench.api.script = lambda request: Reply([text("Half of this.")], fault="cut_mid_block")
    for _ in range(5):
        with pytest.raises(httpx.RemoteProtocolError):
            await bench.send()
    assert bench.door.trouble is not None
    assert bench.door.trouble.concern == "service"
    assert bench.api.base_url in bench.door.trouble.problem
    answer = await bench.send()
    assert (answer.status_code, answer.json()["error"]["message"]) == (402, bench.door.trouble.problem)
    assert len(bench.api.calls.messages()) == 5


@pytest.mark.parametrize("stop", ["refusal", "model_context_window_exceeded"])
async def test_what_the_model_would_do_again_is_not_asked_again(bench: Bench, stop: str) -> None:
    """Neither the same nor with another word: the answer tells why, and nothing is sent."""
    bench.api.script = lambda request: Reply([text("No.")], stop_reason=stop)
    assert (await bench.send()).status_code == 200
    for request in (step(), step("Why?", "No.", "Please.")):
        answer = await bench.send(request)
        assert (answer.status_code, answer.json()["error"]["message"]) == (402, why_final(stop))
    assert len(bench.api.calls.messages()) == 1


async def test_a_cut_answer_may_go_on_but_is_not_asked_for_again(bench: Bench) -> None:
    """The rest is another request; the same request would be cut off again."""
    bench.api.script = lambda request: Reply([text("Part.")], stop_reason="max_tokens")
    assert (await bench.send()).status_code == 200
    assert (await bench.send(step("Why?", "Part.", "Go on."))).status_code == 200
    assert (await bench.send()).json()["error"]["message"] == why_final("max_tokens")
    assert len(bench.api.calls.messages()) == 2


async def test_a_service_that_is_away_is_tried_again(
    database: Database, api: ScriptedApi, free_port: int
) -> None:
    """Connection refused: each attempt is counted, and the client is told to come back, once all failed."""
    async with bench_on(database, api, base_url=f"http://127.0.0.1:{free_port}") as bench:
        answer = await bench.send()
        assert answer.status_code == 402
        told = f"The model service at http://127.0.0.1:{free_port} could not be reached: "
        assert answer.json()["error"]["message"].startswith(told)
        assert "refused" in answer.json()["error"]["message"]
        assert answer.json()["error"]["message"].endswith("(5 attempts).")
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
            message = {"id": "m", "type": "message", "model": MODEL, "content": [], "stop_reason": "end_turn"}
            body = json.dumps({**message, "usage": usage}).encode()
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
