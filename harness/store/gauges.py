"""How the whole store stands, all tenants together: what waits, for whom, and how much there is."""

from __future__ import annotations

from dataclasses import dataclass

from harness.store.database import Database
from harness.store.queries import queries

TENANTS = 100
"""How many tenants are told apart: those with the most sessions that have not ended."""

MOST_SPANS = 100_000
"""Up to how many waiting spans are counted."""

_SQL = queries("gauges")


@dataclass(frozen=True)
class Standing:
    """A tenant's sessions in one queue that have not ended; `tenant` is empty for all beyond `TENANTS`.

    `oldest_s` is for how many seconds one of them has been due, `claims` how often at most one was taken up
    since a model call of it was answered.
    """

    tenant: str
    queue: str
    at_work: int
    due: int
    later: int
    person: int
    oldest_s: float
    claims: int


@dataclass(frozen=True)
class Gauges:
    """What stands in the store; `spans_waiting` is None when it was not asked for."""

    sessions: tuple[Standing, ...]
    spans_waiting: int | None
    size_bytes: int


async def read_gauges(database: Database, *, spans: bool) -> Gauges:
    """Look once; with `spans` also at those that wait to be exported."""
    sessions = await database.all(_SQL["sessions"], {"tenants": TENANTS})
    waiting = await database.one(_SQL["spans_waiting"], {"most": MOST_SPANS}) if spans else None
    size = await database.one(_SQL["size"])
    assert size is not None, "a size is a row"
    return Gauges(
        sessions=tuple(Standing(**row) for row in sessions),
        spans_waiting=None if waiting is None else waiting["spans"],
        size_bytes=size["bytes"],
    )
