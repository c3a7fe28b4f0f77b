"""Watching a session from outside: its events as they are committed, by whatever process, on any machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from harness.events import Event
from harness.state import SessionState
from harness.store.database import Database
from harness.store.journal import load_state, read_events
from harness.store.queries import queries

POLL_S = 0.5

UNSETTLED = frozenset({"queued", "running"})
"""As long as a session stands so, something may still happen to it by itself."""

_SQL = queries("journal")


async def committed(
    database: Database, session_id: str, after: int = 0, *, follow: bool = True
) -> AsyncGenerator[Event, None]:
    """Give the events with `seq` greater than `after`; `follow` goes on until the session is settled."""
    while True:
        unsettled = follow and await _unsettled(database, session_id)
        for event in await read_events(database, session_id, after):
            after = event.seq
            yield event
        if not unsettled:
            return
        await asyncio.sleep(POLL_S)


async def settled(database: Database, session_id: str) -> SessionState:
    """Wait until nobody is at work on a session or will be, and give it."""
    while await _unsettled(database, session_id):  # noqa: ASYNC110 - it happens in another process
        await asyncio.sleep(POLL_S)
    return await load_state(database, session_id)


async def _unsettled(database: Database, session_id: str) -> bool:
    row = await database.one(_SQL["session"], {"id": session_id})
    if row is None or row["status"] not in UNSETTLED:
        return False
    # Cut off, with no worker to take it up: only a person can go on with it.
    return bool(row["leased"]) or row["due_at"] is not None
