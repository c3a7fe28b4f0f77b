"""The gateway: what passes, and who may ask."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import AsyncIterator

import httpx
import pytest

from harness.store.journal import read_events
from tests.kit import sse
from tests.kit.gateways import KEY, USED, Bench, step
from tests.kit.scripted_api import Reply, text

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
    body = json.dumps(step("\U0001f600 é \x00", metadata={"user_id": "x"}), indent=3).encode()
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
