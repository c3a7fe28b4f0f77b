"""What counts as an answer: its form, what is kept of it, what it says it used, and when it ends."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from harness.gateway import relay
from harness.gateway.bodies import MOST_TOKENS, counts_of, message_in
from harness.records import Usage
from harness.stops import why_final
from harness.store.database import Database
from harness.wire import stream_of
from tests.kit.gateways import MODEL, SPENT, USED, Bench, bench_on, once, step
from tests.kit.journals import started
from tests.kit.scripted_api import Reply, ScriptedApi, text, tool_use

JSON, SSE = "application/json", "text/event-stream"


def message(*content: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A message of the Messages API; `more` replaces its fields."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": list(content) or [{"type": "text", "text": "Well."}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
        **more,
    }


def whole(value: Any) -> Reply:
    return Reply(raw=(JSON, value if isinstance(value, bytes) else json.dumps(value).encode()))


def streamed(value: dict[str, Any]) -> Reply:
    return Reply(raw=(SSE, b"".join(stream_of(value))))


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in message().items() if key != name}


NONE_AT_ALL = {
    "an error": whole({"error": {"message": "No endpoints found", "code": 404}}),
    "an error of the API": whole({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}),
    "a page": Reply(raw=("text/html", b"<html>It works!</html>")),
    "a page as a stream": Reply(raw=(SSE, b"<html>It works!</html>")),
    "nothing": whole(b""),
    "an empty stream": Reply(raw=(SSE, b"")),
    "a list": whole([message()]),
    "deep": whole(b"[" * 200_000),
    "no type": whole(without("type")),
    "no content": whole(without("content")),
    "content of texts": whole(message(content=["a"])),
    "content as text": whole(message(content="a")),
    "no stop reason": whole(message(stop_reason=None)),
    "an id that is none": whole(message(id=5)),
    "a NUL in its model": whole(message(model="a\x00")),
    "a stream without a stop reason": streamed(message(stop_reason=None)),
    "a stream of no message": streamed(message(type="completion")),
    "an error event alone": Reply(
        raw=(
            SSE,
            b'event: error\ndata: {"type": "error", "error": {"type": "api_error", "message": "x"}}\n\n',
        )
    ),
}


@pytest.mark.parametrize("reply", NONE_AT_ALL.values(), ids=NONE_AT_ALL)
async def test_what_is_no_message_is_an_attempt_that_was_lost(bench: Bench, reply: Reply) -> None:
    """It is made again, the client sees nothing of it, and what it cost is not known."""
    bench.api.script = once(reply)
    answer = await bench.send()
    assert (answer.status_code, b"At last." in answer.content) == (200, True)
    assert await bench.kinds() == ["model.requested", "model.retried", "model.finished"]
    used = bench.run.usage
    assert (used.model_calls, used.attempts, used.unattributed_calls) == (1, 2, 1)


async def test_what_is_no_message_again_and_again_is_a_service_that_is_away(bench: Bench) -> None:
    """As often as an outage is tried, and nothing is kept that a resume would be given."""
    bench.api.script = lambda request: NONE_AT_ALL["an error"]
    answer = await bench.send()
    assert (answer.status_code, answer.json()["error"]["type"]) == (402, "billing_error")
    assert "No endpoints found" in answer.text
    assert len(bench.api.calls.messages()) == relay.MAX_ATTEMPTS
    bench.api.script = once()
    bench.another_sitting()
    await next_process(bench)
    assert b"At last." in (await bench.send()).content


# -- what is kept


async def next_process(bench: Bench) -> None:
    await bench.journal.append(started(bench.run), run_id=bench.run.id)


THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "x"}
OF_NO_USE = {
    "empty": message(content=[]),
    "blank": message({"type": "text", "text": " \n"}),
}
OF_NO_USE_TO_ANYBODY = {
    "thinking alone": message(THINKING, stop_reason="max_tokens"),
    "a refusal": message(stop_reason="refusal"),
}
OF_USE = {
    "a text": message(),
    "a call": message({"type": "tool_use", "id": "t", "name": "x", "input": {}}, stop_reason="tool_use"),
    "a part": message(THINKING, {"type": "text", "text": "Part 1."}, stop_reason="max_tokens"),
    "a pause": message(
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, stop_reason="pause_turn"
    ),
}


@pytest.mark.parametrize("reply", [whole, streamed])
@pytest.mark.parametrize("given", OF_NO_USE.values(), ids=OF_NO_USE)
async def test_an_answer_of_no_use_is_paid_for_and_not_kept(bench: Bench, given: Any, reply: Any) -> None:
    """A process that asks for it again is answered by the model."""
    bench.api.script = once(reply(given))
    await bench.send()
    assert (bench.run.usage.model_calls, bench.run.usage.unattributed_calls) == (1, 0)
    await next_process(bench)
    assert b"At last." in (await bench.send()).content


@pytest.mark.parametrize("reply", [whole, streamed])
@pytest.mark.parametrize("given", OF_NO_USE_TO_ANYBODY.values(), ids=OF_NO_USE_TO_ANYBODY)
async def test_an_answer_that_would_come_again_is_neither_kept_nor_asked_for(
    bench: Bench, given: Any, reply: Any
) -> None:
    """A later process hears why, and the model is not asked."""
    bench.api.script = once(reply(given))
    await bench.send()
    await next_process(bench)
    answer = await bench.send()
    told = (answer.status_code, answer.json()["error"]["message"])
    assert told == (402, why_final(given["stop_reason"]))
    assert len(bench.api.calls.messages()) == 1


@pytest.mark.parametrize("given", OF_USE.values(), ids=OF_USE)
async def test_an_answer_that_an_agent_can_go_on_from_is_kept(bench: Bench, given: Any) -> None:
    """Also one that was cut off: the agent goes on at its end. Its thinking is left out."""
    bench.api.script = once(streamed(given))
    first = await bench.send()
    await next_process(bench)
    again = message_in("text/event-stream", (await bench.send()).content)
    before = message_in("text/event-stream", first.content)
    assert again is not None
    assert before is not None
    said = [block for block in before["content"] if block["type"] != "thinking"]
    assert again == {**before, "content": said}
    assert len(bench.api.calls.messages()) == 1


async def test_a_kept_answer_is_given_once_in_a_process(bench: Bench) -> None:
    """Asked for again in the same process it has not been taken up, so it is of no use."""
    bench.api.script = once(Reply([text("Odd.")], usage=SPENT, deltas=1))
    await bench.send()
    await next_process(bench)
    assert b"Odd." in (await bench.send()).content
    for _ in range(2):
        assert b"At last." in (await bench.send()).content
    # What the model said instead is kept in its place.
    await next_process(bench)
    assert b"At last." in (await bench.send()).content
    assert len(bench.api.calls.messages()) == 2


async def test_a_kept_answer_survives_one_process_that_was_killed_over_it(bench: Bench) -> None:
    """The first that was given it may have died before it had written it down; the second has not."""
    bench.api.script = once(Reply([text("Odd.")], usage=SPENT, deltas=1))
    await bench.send()
    for said in (b"Odd.", b"Odd.", b"At last."):
        await next_process(bench)
        assert said in (await bench.send()).content
    assert len(bench.api.calls.messages()) == 2


@pytest.mark.parametrize("body", [b"no zlib", b"x\x9c\x03\x00\x00\x00\x00\x01"], ids=["broken", "empty"])
async def test_a_kept_answer_that_cannot_be_read_is_forgotten(bench: Bench, body: bytes) -> None:
    """Whatever stands in the store, the model is asked."""
    await bench.send()
    await bench.database.run("UPDATE kept_response SET body = %(body)s", {"body": body})
    await next_process(bench)
    bench.api.script = once()
    assert b"At last." in (await bench.send()).content
    assert "model.replayed" not in await bench.kinds()


# -- what it says that it used


@pytest.mark.parametrize(
    "wrong",
    [-1, -1e9, 1.5, "12", True, MOST_TOKENS + 1, 10**30, [], {}, float("nan"), float("inf")],
    ids=str,
)
@pytest.mark.parametrize("name", ["input_tokens", "cache_creation_input_tokens"])
async def test_a_count_that_is_none_makes_the_use_unknown(
    database: Database, api: ScriptedApi, name: str, wrong: Any
) -> None:
    """Neither the journal nor the tenant's account gets a number that nobody can have used."""
    used = {"input_tokens": 5, "output_tokens": 7, name: wrong}
    api.script = lambda request: whole(message(usage=used))
    async with bench_on(database, api, upstream="live") as bench:
        assert (await bench.send()).status_code == 200
        assert bench.run.usage == Usage(model_calls=1, attempts=1, unattributed_calls=1)
        assert bench.run.cost_usd == 0
        rows = await database.all(
            "SELECT tokens, usd, unattributed_calls FROM spending WHERE tenant = %(tenant)s",
            {"tenant": bench.journal.state.tenant},
        )
        assert [row["tokens"] for row in rows] == [0]
        assert rows[0]["usd"] == 0
        assert rows[0]["unattributed_calls"] > 0


def test_counts_are_whole_and_not_negative() -> None:
    """A null says nothing, and so does a usage without any count."""
    assert counts_of({"input_tokens": 3, "output_tokens": None}) == {
        "input_tokens": 3,
        "output_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 0,
    }
    nothing: tuple[Any, ...] = (None, {}, [], 5, "x")
    assert [counts_of(each) for each in nothing] == [None] * len(nothing)


# -- when it ends


async def test_an_answer_that_is_whole_ends_though_its_connection_stays_open(bench: Bench) -> None:
    """All events are there: the client is not kept waiting for the connection's end."""
    bench.api.script = lambda request: Reply(
        [text("x"), tool_use("t", {})], usage=SPENT, fault="open_end", headers={"connection": "keep-alive"}
    )
    began = time.monotonic()
    answer = await asyncio.wait_for(bench.send(), 10)
    assert answer.content.rstrip().endswith(b'{"type": "message_stop"}')
    assert time.monotonic() - began < relay.DRAIN_S + 3
    assert bench.run.usage == USED
    assert await bench.kinds() == ["model.requested", "model.finished"]


async def test_a_body_of_a_known_length_ends_with_it(database: Database, api: ScriptedApi) -> None:
    """However long the connection stays open behind it."""
    body = json.dumps(message()).encode()
    left = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        )
        writer.write(body)
        await left.wait()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with bench_on(database, api, base_url=url) as bench:
            answered = await asyncio.wait_for(bench.send(step(stream=False)), 5)
            assert answered.content == body
        left.set()
