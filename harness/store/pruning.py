"""Deletes sessions with everything that hangs on them, in batches, each proved before it is committed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import LiteralString

from harness.store.database import Database
from harness.store.prunable import ENDED_LIST, Prunable
from harness.store.queries import queries
from harness.store.soundness import prove_kept, touched
from harness.store.tables import OWN, delete

_SQL = queries("housekeeping")
_CACHE = queries("tool_cache")

AT_ONCE = 20
"""Sessions, or documents, that one transaction deletes: seconds of work, should they be long."""

_ROWS_AT_ONCE = 5_000


async def prune(
    database: Database, chosen: Sequence[Prunable], before: datetime
) -> AsyncGenerator[list[str]]:
    """Delete the chosen sessions; gives the ids of each batch that has been committed.

    One that somebody has taken up, or forks at this moment, is left.

    Raises:
        PruneRefused: the batch would have harmed a session that is kept; it was undone.
    """
    ids = [each.session_id for each in chosen]
    for start in range(0, len(ids), AT_ONCE):
        async with database.transaction() as connection:
            await connection.at_leisure()
            began = await touched(connection)
            locked = await connection.all(
                _SQL["lock_prunable"], {"ids": ids[start : start + AT_ONCE], "before": before}
            )
            gone = [str(row["id"]) for row in locked]
            deleted = {
                table.name: await connection.run(delete(table), {"ids": gone})
                for table in reversed(OWN)
                if table.pruned
            }
            # Those that are to go in a later batch are not kept.
            await prove_kept(connection, database, began, deleted, leaving=set(ids))
        yield gone


async def drop_unused_documents(database: Database) -> int:
    """Delete the documents that no session has among its sources; gives how many."""
    dropped = 0
    while True:
        async with database.transaction() as connection:
            await connection.at_leisure()
            began = await touched(connection)
            locked = await connection.all(_SQL["lock_unused_documents"], {"limit": AT_ONCE})
            if not locked:
                return dropped
            # Asked again: until they were locked, one of them may have become a source.
            unused = await connection.all(_SQL["still_unused"], {"ids": [row["id"] for row in locked]})
            given = {"ids": [row["id"] for row in unused]}
            deleted = {
                "passage": await connection.run(_SQL["drop_passages"], given),
                "document": await connection.run(_SQL["drop_documents"], given),
            }
            await prove_kept(connection, database, began, deleted, leaving=())
            dropped += deleted["document"]


async def drop_unused_versions(database: Database) -> int:
    """Delete the kept versions of bundles that no session began with; gives how many."""
    return await database.run(_SQL["drop_unused_versions"])


async def drop_sent_spans(database: Database, tenant: str | None, before: datetime) -> int:
    """Delete the spans of ended sessions that a receiver has had since before then; gives how many."""
    given = {"tenant": tenant, "before": before, "ended": ENDED_LIST, "limit": AT_ONCE}
    return await _until_none(database, _SQL["drop_sent_spans"], given)


async def drop_expired_answers(database: Database) -> int:
    """Delete the tools' answers that are past their time; gives how many."""
    return await _until_none(database, _CACHE["drop_expired"], {"limit": _ROWS_AT_ONCE})


async def _until_none(database: Database, statement: LiteralString, given: Mapping[str, object]) -> int:
    """Repeat a statement, each time in a transaction of its own, until it finds nothing more."""
    touched = 0
    while count := await database.run(statement, given):
        touched += count
    return touched
