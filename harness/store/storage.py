"""How much room the sessions take, and how much of it pruning would free."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from harness.records import Record
from harness.store.database import Database
from harness.store.prunable import Prunable
from harness.store.queries import queries
from harness.store.tables import OWN

_SQL = queries("housekeeping")


class TableSize(Record):
    """A table with the bytes it takes on disk, its indexes and long values included."""

    table: str
    bytes: int


class StatusCount(Record):
    """How many sessions of a tenant are in a state, and when the oldest of them was begun."""

    status: str
    sessions: int
    oldest: datetime


class Storage(Record):
    """The tables, the largest first; a tenant's sessions by status; and what pruning would free.

    `freed_bytes` is an estimate: the part of the tables that is like the part of all events.
    """

    tables: tuple[TableSize, ...]
    sessions: tuple[StatusCount, ...]
    oldest: datetime | None
    prunable: int
    freed_bytes: int


async def read_storage(database: Database, tenant: str, chosen: Sequence[Prunable]) -> Storage:
    """Measure a database, as a tenant sees it who would prune the `chosen` sessions."""
    tables = tuple(TableSize(**row) for row in await database.all(_SQL["table_sizes"]))
    counted = await database.all(_SQL["sessions_by_status"], {"tenant": tenant})
    sessions = tuple(StatusCount(**row) for row in counted)
    return Storage(
        tables=tables,
        sessions=sessions,
        oldest=min((each.oldest for each in sessions), default=None),
        prunable=len(chosen),
        freed_bytes=await freed_bytes(database, chosen, tables),
    )


async def freed_bytes(
    database: Database, chosen: Sequence[Prunable], tables: Sequence[TableSize] = ()
) -> int:
    """Estimate what deleting the chosen sessions frees: looked up in no table but that of sessions."""
    row = await database.one(_SQL["all_events"])
    events = int(row["events"]) if row else 0
    sizes = tables or [TableSize(**row) for row in await database.all(_SQL["table_sizes"])]
    names = {table.name for table in OWN if table.pruned}
    taken = sum(each.bytes for each in sizes if each.table in names)
    return taken * sum(each.events for each in chosen) // events if events else 0
