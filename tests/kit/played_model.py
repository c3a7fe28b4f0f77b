"""The played model as an ASGI application: it asks the script, and sends what it says the way it says.

What the service would refuse it refuses as well, before its script is asked.
"""

from __future__ import annotations

import asyncio
import json
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.types import Receive, Scope, Send

from harness.offline.rules import refusal_of
from tests.kit import sse
from tests.kit.calls import Call, Calls
from tests.kit.script import Reply, Script, refused


class PlayedModel:
    """The application; `script` may be exchanged at any time, `error` is the first one a script raised."""

    def __init__(self, script: Script, calls: Calls) -> None:
        self.script = script
        self.calls = calls
        self.error: BaseException | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http = HttpRequest(scope, receive)
        try:
            raw = await http.body()
        except ClientDisconnect:
            return
        call = self.calls.began(http.method, http.url.path, dict(http.headers), raw)
        answering = asyncio.create_task(self._answer(call, send))
        leaving = asyncio.create_task(_gone(receive))
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if not answering.done():
            answering.cancel()
            self.calls.ended(call, "client_gone")
        elif error := answering.exception():
            await self._failed(call, error, send)

    async def _failed(self, call: Call, error: BaseException, send: Send) -> None:
        """Make a script's own error seen: on stderr, by the caller, and at the end of the test."""
        self.error = self.error or error
        traceback.print_exception(error)
        reply = refused(500, f"The script failed: {error!r}.")
        unanswered, call.status = call.status is None, call.status or reply.status
        self.calls.ended(call, "refused")
        if unanswered:
            await _send_json(send, reply, sse.error_body(reply.status, reply.error))

    async def _answer(self, call: Call, send: Send) -> None:
        if call.is_message and (refusal := refusal_of(call.request.raw, call.request.headers)) is not None:
            call.status, call.invalid = refusal.status, f"{refusal.message} (the rule: {refusal.rule})"
            self.calls.ended(call, "invalid")
            reply = refused(refusal.status, refusal.message)
            await _send_json(send, reply, refusal.body)
            return
        reply = (
            self.script(call.request) if call.is_message else refused(404, f"There is no {call.path} here.")
        )
        if reply.fault == "hang":
            await asyncio.Event().wait()
        if reply.hold_after == 0:
            await _released(reply)
        await asyncio.sleep(reply.first_token_s)
        call.status = reply.status
        if reply.status != 200:
            self.calls.ended(call, "refused")
            await _send_json(send, reply, sse.error_body(reply.status, reply.error))
            return
        call.message = sse.message_of(reply, call.request)
        if call.request.body.get("stream"):
            await self._stream(call, call.message, reply, send)
            return
        call.usage = reply.usage if reply.fault is None else None
        self.calls.ended(call, "completed" if reply.fault is None else "cut")
        await _send_json(send, reply, call.message)

    async def _stream(self, call: Call, message: dict[str, Any], reply: Reply, send: Send) -> None:
        """Send the events; where the reply is cut, return without the end: the server drops the connection.

        The end is recorded before its last bytes are sent, so that whoever has read them finds it recorded.
        """

        async def put(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        await _start(send, reply, content_type="text/event-stream; charset=utf-8", cache_control="no-cache")
        for event in sse.opening(message):
            await put(event)
        blocks = message["content"]
        added = len(blocks) - len(reply.content)
        for index, block in enumerate(blocks):
            if index:
                await asyncio.sleep(reply.between_blocks_s)
            events = sse.block_events(index, block, reply.deltas)
            if reply.fault == "cut_mid_block" and index == len(blocks) - 1:
                events = events[: max(1, len(events) // 2)]
            for nth, event in enumerate(events):
                if nth > 1:
                    await asyncio.sleep(reply.between_deltas_s)
                await put(event)
            if reply.hold_after == index + 1 - added:
                await _released(reply)
        if reply.fault in ("cut_mid_block", "cut_before_delta"):
            self.calls.ended(call, "cut")
            return
        if reply.fault in (None, "cut_before_stop"):
            call.usage = reply.usage
            await put(sse.message_delta(message))
        self.calls.ended(call, "completed" if reply.fault is None else "cut")
        match reply.fault:
            case "cut_before_stop":
                return
            case "malformed":
                await put(b'event: message_delta\ndata: {"type": "message_delta", "delta": {\n\n')
            case "error_event":
                await put(sse.event("error", error=sse.error_body(529, reply.error or "Overloaded")["error"]))
            case _:
                await put(sse.message_stop())
        await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _lifted(hold: threading.Event | Path) -> bool:
    return hold.is_set() if isinstance(hold, threading.Event) else hold.exists()


async def _released(reply: Reply) -> None:
    """Wait until the reply's hold is lifted; polled, because the event may belong to another thread."""
    hold = reply.hold
    while hold is not None and not _lifted(hold):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def _start(send: Send, reply: Reply, **headers: str) -> None:
    named = {**headers, **reply.headers}.items()
    encoded = [(name.replace("_", "-").encode(), value.encode()) for name, value in named]
    await send({"type": "http.response.start", "status": reply.status, "headers": encoded})


async def _send_json(send: Send, reply: Reply, body: Mapping[str, Any]) -> None:
    """Send a whole body, or half of it when the reply has a fault: the server then drops the connection."""
    data = json.dumps(body).encode()
    await _start(send, reply, content_type="application/json", content_length=str(len(data)))
    if reply.fault is not None:
        await send({"type": "http.response.body", "body": data[: len(data) // 2], "more_body": True})
        return
    await send({"type": "http.response.body", "body": data})
