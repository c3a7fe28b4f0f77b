"""The gateway: the loopback door through which every model call of an agent passes.

Its port and tokens are random and live in memory only, so a CLI that outlives this process can call nobody.
Every call is checkpointed before it is sent; a completed response is committed, and kept, before its end
reaches the CLI.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
import time
from typing import Any, Literal

from aiohttp import web

from harness.beside import end
from harness.errors import BudgetSpent, GatewayError, LeaseLost
from harness.gateway.admission import Forbidden
from harness.gateway.asked import BadRequest, read_request
from harness.gateway.door import Call, Denied, Door
from harness.gateway.relay import Relay, error, gone
from harness.gateway.upstream import RateLimited, Upstream
from harness.limits import Refused
from harness.stopping import Stop, Stopping
from harness.store.journal import KeptResponse
from harness.store.ledger import hold, sweep

ROOM_PAUSE_S = 0.5
"""Before it is asked again whether calls on the wire have left room in a tenant's budget."""

SWEEP_S = 5.0
"""Between two looks for calls in the way that nobody will settle: their session's lease has ended."""


class Gateway:
    """An HTTP server on a random loopback port. Use it as an async context manager.

    `stopping` tells when no further call may begin. `fallback` is the model that answers in the place of one
    that stays overloaded or is not there. `limited` says why no model may be called for a long time, once
    that is so.
    """

    def __init__(
        self, upstream: Upstream, stopping: Stopping | None = None, *, fallback: str | None = None
    ) -> None:
        self.stopping = stopping or Stopping()
        self.fallback = fallback
        self.limited: RateLimited | None = None
        self._upstream = upstream
        self._doors: dict[str, Door] = {}
        self._reading: dict[asyncio.Task[web.StreamResponse], Door] = {}
        self._swept = -math.inf
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
        await end(*self._reading)
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

    def _limit(self, why: RateLimited) -> None:
        self.limited = why

    async def settle(self, door: Door) -> None:
        """Wait until the answers that an agent run's dead CLI had asked for have been read to their end."""
        if reading := [task for task, its in self._reading.items() if its is door]:
            await asyncio.wait(reading)

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        # The CLI sends its key in the one header, the anthropic package in the other.
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        door = self._doors.get(request.headers.get("x-api-key", bearer))
        if door is None:
            return _turned_away()
        body = await request.read()
        try:
            parsed = read_request(body)
        except BadRequest as problem:
            return error(400, "invalid_request_error", str(problem))
        try:
            call = await self._admitted(door, body, parsed, request)
        except LeaseLost as problem:
            return error(402, "billing_error", str(problem))
        except BudgetSpent as spent:
            return await self._stop_for(spent, door, parsed)
        if isinstance(call, web.Response):
            return call
        if isinstance(call, Forbidden):
            return error(400, "invalid_request_error", call.problem)
        if isinstance(call, Refused | Denied):
            return error(402, "billing_error", call.problem)
        if isinstance(call, KeptResponse):
            return web.Response(body=call.body, headers={"content-type": call.content_type})
        # A task of its own: when only the CLI dies, the answer that is being paid for is read to its end.
        task = asyncio.create_task(
            self._carried(Relay(door, call, request, self.stopping, self.fallback, self._limit))
        )
        self._reading[task] = door
        task.add_done_callback(self._reading.pop)
        try:
            return await asyncio.shield(task)
        except BudgetSpent as spent:
            if spent.passing:
                return error(529, "overloaded_error", str(spent))
            return await self._stop_for(spent, door, parsed)

    async def _carried(self, relay: Relay) -> web.StreamResponse:
        with relay.door.calling():
            return await relay.run(self._upstream)

    async def _admitted(
        self, door: Door, body: bytes, parsed: dict[str, Any], request: web.Request
    ) -> Call | KeptResponse | Forbidden | Refused | Denied | web.Response:
        """Admit a call; where calls on the wire take up its tenant's budget, once they leave enough of it.

        A response is for a call that may not begin any more: its agent has ended, or the session stops.
        """
        while True:
            if gone(request, door):
                return _turned_away()
            if self.stopping.asked.is_set():
                return await self._hold(door, parsed)
            try:
                return await door.admit(body, parsed, request.headers)
            except BudgetSpent as spent:
                if not spent.passing:
                    raise
            door.alive("waiting for calls that take up the tenant's budget")
            # Without a worker nobody else would look, and the call wait until its agent's time is up.
            if time.monotonic() - self._swept > SWEEP_S:
                self._swept = time.monotonic()
                await sweep(door.journal.database)
            await asyncio.sleep(ROOM_PAUSE_S)

    async def _stop_for(self, spent: BudgetSpent, door: Door, request: dict[str, Any]) -> web.Response:
        """Let the session stop: an agent could do nothing about the budget of its tenant."""
        with contextlib.suppress(LeaseLost):
            await hold(door.journal.database, door.journal.lease, spent)
        waits_for: Literal["person", "worker"] = "person" if spent.again_s is None else "worker"
        self.stopping.ask(Stop(str(spent), waits_for, spent.again_s or 0.0))
        return await self._hold(door, request)

    async def _hold(self, door: Door, request: dict[str, Any]) -> web.Response:
        """Let an agent wait for its end; what its CLI asks beside its steps may come while a tool runs."""
        if door.is_step(request):
            await self.stopping.hold(door.run_id, door.closed)
        else:
            await door.closed.wait()
        return error(402, "billing_error", "The session is being stopped.")


def _turned_away() -> web.Response:
    return error(401, "authentication_error", "This token is not good for any agent run that is at work.")
