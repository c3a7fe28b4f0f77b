"""Which sessions may be pruned: what a person or the settings choose, and what nobody is in the way of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from harness.records import ENDED, Record, SessionStatus
from harness.settings import Settings
from harness.store.database import Connection, Database
from harness.store.queries import queries

_SQL = queries("housekeeping")

ENDED_LIST = list(ENDED)
"""As a parameter of a statement."""


class Choice(Record):
    """Which sessions may go: those of a tenant (None: of all) in these states, untouched since `before`."""

    tenant: str | None
    before: datetime
    statuses: tuple[SessionStatus, ...] = ENDED


class Prunable(Record):
    """A session that may go. It is of the past: nobody holds it, and it waits in no queue."""

    session_id: str
    tenant: str
    question: str
    status: SessionStatus
    events: int
    created_at: datetime
    updated_at: datetime


async def prunable(database: Database, choice: Choice) -> list[Prunable]:
    """Name what would go, the longest untouched first.

    A recorded session stays as long as a replay of it has not ended, unless that goes too.
    """
    given = {**choice.model_dump(exclude={"statuses"}), "statuses": list(choice.statuses)}
    rows = await database.all(_SQL["prunable"], given)
    chosen = [Prunable(session_id=str(row.pop("id")), **row) for row in rows]
    origins = await read_origins(database)
    leaving = {each.session_id for each in chosen}
    needed = {origin for replay, origin in origins.items() if replay not in leaving}
    return [each for each in chosen if each.session_id not in needed]


def choice_of(settings: Settings, *, every_tenant: bool = False) -> Choice | None:
    """Which sessions the settings let go now; None when they keep all."""
    days = settings.housekeeping.keep_days
    if days is None:
        return None
    return Choice(tenant=None if every_tenant else settings.tenant, before=ago(timedelta(days=days)))


def ago(age: timedelta) -> datetime:
    """The moment so long before now."""
    return datetime.now(UTC) - age


async def read_origins(connection: Connection | Database) -> dict[str, str]:
    """Give, for each replay that has not ended, the session whose recording it needs."""
    rows = await connection.all(_SQL["replays"], {"ended": ENDED_LIST})
    return {str(row["id"]): row["created"]["replays"] for row in rows if row["created"].get("replays")}
