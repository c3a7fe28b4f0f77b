"""The gateway: the loopback door through which every model call of an agent passes.

Its port and tokens are random and live in memory only, so a CLI that outlives this process can call nobody.
Every call is checkpointed before it is sent; a completed response is committed, and kept, before its end
reaches the CLI.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from harness.errors import GatewayError, LeaseLost
from harness.gateway.door import Call, Door
from harness.gateway.upstream import Answer, Upstream, UpstreamLost
from harness.limits import Refused
from harness.store.journal import KeptResponse
from harness.wire import StreamReader

log = logging.getLogger(__name__)

RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same request may succeed, by the Messages API's documentation of errors."""

MAX_ATTEMPTS = 5
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0


class Gateway:
    """A Starlette server on a random loopback port. Use it as an async context manager."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._doors: dict[str, Door] = {}
        self._reading: dict[asyncio.Task[None], Door] = {}
        self._app = Starlette(routes=[Route("/v1/messages", self._messages, methods=["POST"])])

    async def __aenter__(self) -> Gateway:
        """Start to listen."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind(("127.0.0.1", 0))
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = _QuietServer(config)
        self._serving = asyncio.create_task(self._server.serve([listener]), name="gateway")
        while not self._server.started:
            if self._serving.done():
                raise GatewayError(
                    "The gateway could not listen on a loopback port; check the machine's limits."
                )
            await asyncio.sleep(0.005)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening; answers that are still being read are given up."""
        self._server.should_exit = True
        for task in self._reading:
            task.cancel()
        await asyncio.gather(self._serving, *self._reading, return_exceptions=True)
        await self._upstream.close()

    @property
    def base_url(self) -> str:
        """The only base URL an agent's CLI knows."""
        return f"http://127.0.0.1:{self._port}"

    def open_door(self, door: Door) -> str:
        """Give a random token that is good for this agent run's calls."""
        token = "run-" + secrets.token_urlsafe(24)
        self._doors[token] = door
        return token

    def close_door(self, token: str) -> None:
        """Make a token worthless."""
        self._doors.pop(token, None)

    async def settle(self, token: str) -> None:
        """Wait until the answers that an agent run's dead CLI had asked for have been read to their end."""
        door = self._doors.get(token)
        await asyncio.gather(*(task for task, its in self._reading.items() if its is door))

    async def _messages(self, request: Request) -> Response:
        door = self._doors.get(request.headers.get("x-api-key", ""))
        if door is None:
            return _error(
                401, "authentication_error", "This token is not good for any agent run that is at work."
            )
        body = await request.body()
        try:
            parsed = json.loads(body)
        except ValueError:
            return _error(400, "invalid_request_error", "The request's body is not JSON.")
        try:
            call = await door.admit(body, parsed)
        except LeaseLost as problem:
            return _error(402, "billing_error", str(problem))
        if isinstance(call, Refused):
            return _error(402, "billing_error", call.problem)
        if isinstance(call, KeptResponse):
            return Response(call.body, media_type=call.content_type)
        relay = _Relay(door, call)
        headers = {name: value for name, value in request.headers.items()}
        # A task of its own: when only the CLI dies, the answer that is being paid for is read to its end.
        task = asyncio.create_task(relay.run(self._upstream, headers, request.url.query))
        self._reading[task] = door
        task.add_done_callback(self._reading.pop)
        answer = await relay.opened
        if answer is None:
            return _error(529, "overloaded_error", relay.problem)
        return StreamingResponse(relay.chunks(), status_code=answer.status, headers=dict(answer.headers))


class _QuietServer(uvicorn.Server):
    """A server that leaves the process's signals to the application it is part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _CutOff(Exception):
    """The upstream's answer broke off: break ours off too, so that the CLI sees it as it was."""


@dataclass
class _Relay:
    """Carries one call's answer from the upstream to the CLI and commits how it ended."""

    door: Door
    call: Call
    problem: str = ""
    opened: asyncio.Future[Answer | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    _parts: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    _whole: bool = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the answer's body as it arrives."""
        while (part := await self._parts.get()) is not None:
            yield part
        if not self._whole:
            raise _CutOff(self.problem)

    async def run(self, upstream: Upstream, headers: dict[str, str], query: str) -> None:
        """Send the request, again while that may help, and relay the answer."""
        try:
            while not await self._attempt(upstream, headers, query):
                pass
        except (UpstreamLost, LeaseLost) as problem:
            self.problem = str(problem)
            await self._fail(None, self.problem, may_have_cost=isinstance(problem, UpstreamLost))
        finally:
            if not self.opened.done():
                self.opened.set_result(None)
            self._parts.put_nowait(None)

    async def _attempt(self, upstream: Upstream, headers: dict[str, str], query: str) -> bool:
        self.call.attempts += 1
        last = self.call.attempts >= MAX_ATTEMPTS
        try:
            async with upstream.send(self.call.body, self.call.request, headers, query) as answer:
                if answer.status in RETRIED and not last:
                    pause = _pause(self.call.attempts, answer.headers.get("retry-after"))
                else:
                    await self._relay(answer)
                    return True
        except UpstreamLost:
            if self.opened.done() or last:
                raise
            pause = _pause(self.call.attempts, None)
        await asyncio.sleep(pause)
        return False

    async def _relay(self, answer: Answer) -> None:
        if answer.status != 200:
            body = b"".join([chunk async for chunk in answer.chunks])
            await self._fail(answer.status, _message_in(body), may_have_cost=False)
            self._whole = True
            self.opened.set_result(answer)
            self._parts.put_nowait(body)
            return
        if "text/event-stream" in answer.headers.get("content-type", ""):
            await self._relay_stream(answer)
        else:
            body = b"".join([chunk async for chunk in answer.chunks])
            kind = answer.headers.get("content-type", "application/json")
            await self.door.completed(self.call, json.loads(body), datetime.now(UTC), kind, body)
            self._whole = True
            self.opened.set_result(answer)
            self._parts.put_nowait(body)

    async def _relay_stream(self, answer: Answer) -> None:
        reader = StreamReader()
        first_token: datetime | None = None
        self.opened.set_result(answer)
        async for chunk in answer.chunks:
            reader.feed(chunk)
            if first_token is None and reader.content_seen:
                first_token = datetime.now(UTC)
            if reader.complete and not self._whole:
                kind = answer.headers["content-type"]
                await self.door.completed(self.call, _summary(reader), first_token, kind, bytes(reader.raw))
                self._whole = True
            self._parts.put_nowait(chunk)
        if not self._whole:
            self.problem = "The model's answer broke off before its end."
            if reader.error is not None:
                self.problem = f"The model's answer ended in an error: {reader.error.get('message')}"
                self._whole = True
            await self._fail(None, self.problem, may_have_cost=True)

    async def _fail(self, status: int | None, problem: str, *, may_have_cost: bool) -> None:
        log.info("model call %s failed: %s", self.call.call_id, problem)
        with contextlib.suppress(LeaseLost):
            await self.door.failed(self.call, status, problem, may_have_cost=may_have_cost)


def _summary(reader: StreamReader) -> dict[str, Any]:
    return {
        "id": reader.message_id,
        "model": reader.model,
        "stop_reason": reader.stop_reason,
        "usage": reader.usage,
    }


def _pause(attempt: int, retry_after: str | None) -> float:
    """Seconds to wait: what the service asks for, else exponential with full jitter."""
    if retry_after is not None:
        with contextlib.suppress(ValueError):
            return min(max(float(retry_after), 0.0), LONGEST_PAUSE_S)
    longest: float = min(FIRST_PAUSE_S * 2.0 ** (attempt - 1), LONGEST_PAUSE_S)
    return random.uniform(0.5, 1.0) * longest


def _message_in(body: bytes) -> str:
    try:
        error = json.loads(body).get("error") or {}
    except (ValueError, AttributeError):
        return body[:300].decode(errors="replace")
    return str(error.get("message") or "")[:300] if isinstance(error, dict) else str(error)[:300]


def _error(status: int, kind: str, message: str) -> JSONResponse:
    return JSONResponse({"type": "error", "error": {"type": kind, "message": message}}, status_code=status)
