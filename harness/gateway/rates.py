"""Live calls that keep to the rate limits of their API key, which all workers share.

A call waits here for room instead of being refused by the service. Calls of one model stand in one line in
each session, whose first one asks Postgres; where nothing is short nobody stands in line.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from harness.gateway.quota import heard_of, need_of
from harness.gateway.upstream import Answer, CallDropped, Outgoing, RateLimited, Upstream
from harness.store.rates import Rates, Verdict

LONGEST_WAIT_S = 600.0
"""How long a call waits before its session is suspended."""

POLL_S = 1.0
"""At most this many seconds pass until a waiting call finds that there is room."""

SOONEST_S = 0.02

WAITING = "waiting for the rate limit"


class PacedUpstream:
    """An upstream whose calls are sent when the rate limits have room for them."""

    def __init__(self, upstream: Upstream, rates: Rates) -> None:
        self._upstream = upstream
        self._rates = rates
        self._lines: dict[str, deque[asyncio.Event]] = defaultdict(deque)

    @asynccontextmanager
    async def send(self, call: Outgoing) -> AsyncIterator[Answer]:
        """Wait for room, pass the request on, and note what its answer says of the limits.

        Raises:
            RateLimited: the wait would be too long.
            CallDropped: nobody wants the answer any more; nothing was sent.
        """
        model, ticket = str(call.request.get("model", "")), uuid.uuid4()
        verdict = await self._permit(model, ticket, call)
        async with self._upstream.send(call) as answer:
            heard = heard_of(answer.status, answer.headers, datetime.now(UTC))
            if verdict.noted or heard.buckets or heard.blocked_s is not None:
                await self._rates.heard(model, ticket, heard)
            if heard.blocked_s is not None and heard.blocked_s > LONGEST_WAIT_S:
                until = datetime.now(UTC) + timedelta(seconds=heard.blocked_s)
                raise RateLimited(_blocked(model, until), answer.status, heard.blocked_s)

            async def settle(output_tokens: int) -> None:
                if verdict.noted:
                    await self._rates.settle(model, ticket, output_tokens)

            yield replace(answer, settle=settle)

    async def close(self) -> None:
        """Close what is behind."""
        await self._upstream.close()

    async def _permit(self, model: str, ticket: uuid.UUID, call: Outgoing) -> Verdict:
        need, line = need_of(call.request, len(call.body)), self._lines[model]
        if not line:
            verdict = await self._rates.ask(model, ticket, need, waits=False)
            if verdict.granted:
                return verdict
        began, turn = time.monotonic(), asyncio.Event()
        line.append(turn)
        try:
            while True:
                pause = POLL_S
                waited = time.monotonic() - began
                if line[0] is turn:
                    verdict = await self._rates.ask(model, ticket, need, waited_s=waited)
                    if verdict.granted:
                        return verdict
                    if waited + verdict.blocked_s > LONGEST_WAIT_S and verdict.blocked_until is not None:
                        why = _blocked(model, verdict.blocked_until)
                        raise RateLimited(why, verdict.blocked_status, verdict.blocked_s)
                    pause = min(max(verdict.blocked_s, verdict.short_s, SOONEST_S), POLL_S)
                if waited > LONGEST_WAIT_S:
                    raise RateLimited(_no_room(model), None)
                if not call.wanted():
                    raise CallDropped("Its agent's process ended while it waited for the rate limit.")
                call.alive(WAITING)
                await _rest(turn if line[0] is not turn else None, pause)
        except (RateLimited, CallDropped):
            await self._rates.leave(model, ticket)
            raise
        finally:
            line.remove(turn)
            if line:
                line[0].set()


async def _rest(turn: asyncio.Event | None, pause_s: float) -> None:
    """Wait for one's turn, or for the pause if it is one's turn already."""
    if turn is None:
        await asyncio.sleep(pause_s)
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(pause_s):
            await turn.wait()


def _blocked(model: str, until: datetime) -> str:
    when = until.astimezone(UTC)
    return (
        f"The model service takes no call of {model} with this key until {when:%Y-%m-%d %H:%M:%S} UTC; "
        "the session can be resumed then."
    )


def _no_room(model: str) -> str:
    return (
        f"For {LONGEST_WAIT_S / 60:.0f} minutes the rate limit of {model} left no room for a call; "
        "resume the session later, let fewer work at a time, or have the limit raised."
    )
