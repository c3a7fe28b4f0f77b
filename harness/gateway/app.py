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
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from aiohttp import web

from harness.backoff import pause_s
from harness.errors import BudgetSpent, GatewayError, LeaseLost
from harness.gateway.door import Call, Door, Failed
from harness.gateway.upstream import Answer, Outgoing, Upstream, UpstreamLost, UpstreamStopped
from harness.limits import Refused
from harness.log_fields import about
from harness.stopping import Stop, Stopping
from harness.store.journal import KeptResponse
from harness.store.ledger import hold
from harness.wire import StreamReader

log = logging.getLogger(__name__)

RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same request may succeed, by the Messages API's documentation of errors."""

MAX_ATTEMPTS = 5
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0

ROOM_PAUSE_S = 0.5
"""Before it is asked again whether calls on the wire have left room in a tenant's budget."""

_LAST_EVENT = b"event: message_stop"


class Gateway:
    """An HTTP server on a random loopback port. Use it as an async context manager."""

    def __init__(self, upstream: Upstream, stopping: Stopping | None = None) -> None:
        """`stopping` tells when no further call may begin."""
        self._upstream = upstream
        self._stopping = stopping or Stopping()
        self._doors: dict[str, Door] = {}
        self._reading: dict[asyncio.Task[web.StreamResponse], Door] = {}
        # Size 0: how large a request may be is for the model's service to say.
        application = web.Application(client_max_size=0)
        application.router.add_post("/v1/messages", self._messages)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)

    async def __aenter__(self) -> Gateway:
        """Start to listen."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        except OSError as problem:
            await self.__aexit__()
            raise GatewayError(
                f"The gateway could not listen on a loopback port ({problem}); check the machine's limits."
            ) from problem
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening; answers that are still being read are given up."""
        reading = list(self._reading)
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        await self._runner.cleanup()
        await self._upstream.close()

    @property
    def base_url(self) -> str:
        """The only base URL an agent's CLI knows."""
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    def open_door(self, door: Door) -> str:
        """Give a random token that is good for this agent run's calls."""
        token = "run-" + secrets.token_urlsafe(24)
        self._doors[token] = door
        return token

    def close_door(self, token: str) -> None:
        """Make a token worthless."""
        if door := self._doors.pop(token, None):
            door.closed.set()

    def on_the_wire(self, run_id: str) -> bool:
        """Whether an answer to this agent run is being waited for or read."""
        return any(door.run_id == run_id for door in self._reading.values())

    async def settle(self, door: Door) -> None:
        """Wait until the answers that an agent run's dead CLI had asked for have been read to their end."""
        if reading := [task for task, its in self._reading.items() if its is door]:
            await asyncio.wait(reading)

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        # The CLI sends its key in the one header, the anthropic package in the other.
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        door = self._doors.get(request.headers.get("x-api-key", bearer))
        if door is None:
            return _error(
                401, "authentication_error", "This token is not good for any agent run that is at work."
            )
        body = await request.read()
        try:
            parsed = json.loads(body)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            return _error(400, "invalid_request_error", "The request's body is not a JSON object.")
        if self._stopping.asked.is_set():
            return await self._hold(door, parsed)
        try:
            call = await self._admitted(door, body, parsed, request.headers)
        except LeaseLost as problem:
            return _error(402, "billing_error", str(problem))
        except BudgetSpent as spent:
            return await self._stop_for(spent, door, parsed)
        if isinstance(call, Refused):
            return _error(402, "billing_error", call.problem)
        if isinstance(call, KeptResponse):
            return web.Response(body=call.body, headers={"content-type": call.content_type})
        # A task of its own: when only the CLI dies, the answer that is being paid for is read to its end.
        task = asyncio.create_task(_Relay(door, call, request).run(self._upstream))
        self._reading[task] = door
        task.add_done_callback(self._reading.pop)
        try:
            return await asyncio.shield(task)
        except BudgetSpent as spent:
            if spent.passing:
                return _error(529, "overloaded_error", str(spent))
            return await self._stop_for(spent, door, parsed)

    async def _admitted(
        self, door: Door, body: bytes, request: dict[str, Any], headers: Mapping[str, str]
    ) -> Call | KeptResponse | Refused:
        """Admit a call; where calls on the wire take up its tenant's budget, once they leave enough of it."""
        while True:
            try:
                return await door.admit(body, request, headers)
            except BudgetSpent as spent:
                if not spent.passing or self._stopping.asked.is_set() or door.closed.is_set():
                    raise
            door.alive("waiting for calls that take up the tenant's budget")
            await asyncio.sleep(ROOM_PAUSE_S)

    async def _stop_for(self, spent: BudgetSpent, door: Door, request: dict[str, Any]) -> web.Response:
        """Let the session stop: an agent could do nothing about the budget of its tenant."""
        with contextlib.suppress(LeaseLost):
            await hold(door.journal.database, door.journal.lease, spent)
        waits_for: Literal["person", "worker"] = "person" if spent.again_s is None else "worker"
        self._stopping.ask(Stop(str(spent), waits_for, spent.again_s or 0.0))
        return await self._hold(door, request)

    async def _hold(self, door: Door, request: dict[str, Any]) -> web.Response:
        """Let an agent wait for its end; what its CLI asks beside its steps may come while a tool runs."""
        if door.is_step(request):
            await self._stopping.hold(door.run_id, door.closed)
        else:
            await door.closed.wait()
        return _error(402, "billing_error", "The session is being stopped.")


@dataclass
class _Relay:
    """Carries one call's answer from the upstream to the CLI and commits how it ended."""

    door: Door
    call: Call
    request: web.Request
    _begun: bool = False

    async def run(self, upstream: Upstream) -> web.StreamResponse:
        """Send the request, again while that may help, and relay the answer."""
        try:
            while True:
                response = await self._attempt(upstream)
                if response is not None:
                    return response
        except UpstreamStopped as problem:
            await self._fail(Failed(None, str(problem)))
            await self.door.stopped(problem.stopped)
            # The session hears of it and ends its agents; until then there is nothing to say to this one.
            await self.door.closed.wait()
            return _error(402, "billing_error", str(problem))
        except BudgetSpent as problem:
            await self._fail(Failed(None, str(problem)))
            raise
        except (UpstreamLost, LeaseLost) as problem:
            await self._fail(Failed(None, str(problem)))
            if not self._begun:
                return _error(529, "overloaded_error", str(problem))
            return self._cut_off()

    async def _attempt(self, upstream: Upstream) -> web.StreamResponse | None:
        """Send the request once and relay the answer; None when it is worth another attempt."""
        self.call.attempts += 1
        last = self.call.attempts >= MAX_ATTEMPTS
        outgoing = Outgoing(
            body=self.call.body,
            request=self.call.request,
            headers=self.call.headers,
            query=self.request.rel_url.raw_query_string,
            caller=self.door.caller(self.call),
        )
        try:
            async with upstream.send(outgoing) as answer:
                if answer.status not in RETRIED or answer.final or last:
                    return await self._relay(answer)
                body = b"".join([chunk async for chunk in answer.chunks])
                failed = Failed(answer.status, _message_in(body))
                pause = _pause(self.call.attempts, answer.headers.get("retry-after"))
        except UpstreamLost as problem:
            self.call.lost += problem.sent
            if self._begun or last:
                raise
            failed, pause = Failed(None, str(problem), problem.sent), _pause(self.call.attempts, None)
        await self.door.retried(self.call, failed, pause)
        await asyncio.sleep(pause)
        return None

    async def _relay(self, answer: Answer) -> web.StreamResponse:
        kind = answer.headers.get("content-type", "application/json")
        if answer.status == 200 and "text/event-stream" in kind:
            return await self._relay_stream(answer)
        body = b"".join([chunk async for chunk in answer.chunks])
        if answer.status == 200:
            await self.door.completed(self.call, _message(body), datetime.now(UTC), answer.headers, body)
        else:
            await self._fail(Failed(answer.status, _message_in(body)), (answer.headers, body))
        return web.Response(status=answer.status, headers=answer.headers, body=body)

    async def _relay_stream(self, answer: Answer) -> web.StreamResponse:
        reader = StreamReader()
        first_token: datetime | None = None
        committed = False
        response = web.StreamResponse(headers=answer.headers)
        self._begun = True
        with _perhaps_alone():
            await response.prepare(self.request)
        async for chunk in answer.chunks:
            reader.feed(chunk)
            self.door.alive("reading the model's answer")
            self.call.message_id = reader.message_id
            if first_token is None and reader.content_seen:
                first_token = datetime.now(UTC)
            if reader.complete and not committed:
                # Only the end has to wait for the commit.
                before, mark, after = chunk.rpartition(_LAST_EVENT)
                await _pass_on(response, before)
                raw = bytes(reader.raw)
                message = reader.message or _summary(reader)
                await self.door.completed(self.call, message, first_token, answer.headers, raw)
                committed, chunk = True, mark + after
            await _pass_on(response, chunk)
        if committed:
            return response
        if reader.error is None:
            raise UpstreamLost("The model's answer broke off before its end.")
        problem = f"The model's answer ended in an error: {reader.error.get('message')}"
        self.call.lost += 1
        await self._fail(Failed(None, problem))
        return response

    def _cut_off(self) -> web.StreamResponse:
        """Break the answer off as the upstream's broke off, so that the CLI sees it as it was."""
        if self.request.transport is not None:
            self.request.transport.close()
        return web.Response()

    async def _fail(self, failed: Failed, answered: tuple[Mapping[str, str], bytes] | None = None) -> None:
        named = about("model_call_failed", agent_run_id=self.door.run_id, status=failed.status)
        log.info("model call %s failed: %s", self.call.call_id, failed.problem, extra=named)
        with contextlib.suppress(LeaseLost):
            await self.door.failed(self.call, failed, answered)


async def _pass_on(response: web.StreamResponse, chunk: bytes) -> None:
    with _perhaps_alone():
        await response.write(chunk)


def _perhaps_alone() -> contextlib.suppress:
    """Go on when the CLI has gone: its answer is being paid for, and is read to its end."""
    return contextlib.suppress(ConnectionResetError)


def _summary(reader: StreamReader) -> dict[str, Any]:
    """What a message's frame says, when what is inside cannot be read."""
    return {
        "id": reader.message_id,
        "model": reader.model,
        "stop_reason": reader.stop_reason,
        "usage": reader.usage,
    }


def _pause(attempt: int, retry_after: str | None) -> float:
    """Seconds to wait: what the service asks for, else longer each time."""
    if retry_after is not None:
        with contextlib.suppress(ValueError):
            return min(max(float(retry_after), 0.0), LONGEST_PAUSE_S)
    return pause_s(attempt, FIRST_PAUSE_S, LONGEST_PAUSE_S)


def _message(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except ValueError as problem:
        raise UpstreamLost("The model service answered, but not with readable JSON.") from problem
    if not isinstance(message, dict):
        raise UpstreamLost("The model service answered, but not with a message.")
    return message


def _message_in(body: bytes) -> str:
    try:
        error = json.loads(body).get("error") or {}
    except (ValueError, AttributeError):
        return body[:300].decode(errors="replace")
    return str(error.get("message") or "")[:300] if isinstance(error, dict) else str(error)[:300]


def _error(status: int, kind: str, message: str) -> web.Response:
    return web.json_response({"type": "error", "error": {"type": kind, "message": message}}, status=status)
