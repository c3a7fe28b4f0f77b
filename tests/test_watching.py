"""Who watches a session from outside reads what is new of it, however long it has become."""

from __future__ import annotations

from harness.library import Harness
from harness.settings import from_environment
from harness.store.database import Database
from tests.cli.hand_made import keep, worked


async def test_no_event_is_read_that_was_not_asked_for(dsn: str, database: Database) -> None:
    """Not to find the session either: one of those before could not even be read."""
    session_id = await keep(database, worked(), status="done")
    change = "update event set version = 99 where session_id = %(id)s and seq = 2"
    await database.run(change, {"id": session_id})
    async with Harness(settings=from_environment(None, {"dsn": dsn}, {})) as harness:
        seen = [event.seq async for event in harness.events(session_id, after=2, follow=False)]
    assert seen[:2] == [3, 4]
