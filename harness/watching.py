"""Watching a session from outside: its events as they are committed, by whatever process, on any machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import TypeVar

from harness.errors import StoreUnavailable
from harness.events import Event
from harness.state import SessionState
from harness.store.database import Database
from harness.store.journal import load_state, read_events
from harness.store.queries import queries

T = TypeVar("T")

POLL_S = 0.5

AWAY_S = 60.0
"""How long a store that is away is waited for, as when it restarts."""

UNSETTLED = frozenset({"queued", "running"})
"""As long as a session stands so, something may still happen to it by itself."""

_SQL = queries("journal")


async def committed(
    database: Database, session_id: str, after: int = 0, *, follow: bool = True
) -> AsyncGenerator[Event, None]:
    """Give the events with `seq` greater than `after`; `follow` goes on until the session is settled."""
    while True:
        unsettled = follow and await _unsettled(database, session_id)
        for event in await _patiently(partial(read_events, database, session_id, after)):
            after = event.seq
            yield event
        if not unsettled:
            return
        await asyncio.sleep(POLL_S)


async def settled(database: Database, session_id: str) -> SessionState:
    """Wait until nobody is at work on a session or will be, and give it."""
    while await _unsettled(database, session_id):  # noqa: ASYNC110 - it happens in another process
        await asyncio.sleep(POLL_S)
    return await _patiently(lambda: load_state(database, session_id))


async def _unsettled(database: Database, session_id: str) -> bool:
    row = await _patiently(lambda: database.one(_SQL["session"], {"id": session_id}))
    if row is None or row["status"] not in UNSETTLED:
        return False
    # Cut off, with no worker to take it up: only a person can go on with it.
    return bool(row["leased"]) or row["due_at"] is not None


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Give what is asked for, asked again while the store is away, but not for ever."""
    given_up = time.monotonic() + AWAY_S
    while True:
        try:
            return await ask()
        except StoreUnavailable:
            if time.monotonic() > given_up:
                raise
        await asyncio.sleep(POLL_S)
