"""The spans of sessions: read to be shown, and taken from the outbox to be exported once each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from harness.store.database import Database
from harness.store.queries import queries
from harness.tracing.span import Span

_SQL = queries("spans")


@dataclass(frozen=True)
class Standing:
    """How many spans are where.

    Of those `waiting`, some are `held` by an exporter at this moment, or by one that has died a short while
    ago. `sent_again` may have reached the receiver twice; `oldest` waits longest.
    """

    open: int
    waiting: int
    held: int
    sent: int
    refused: int
    sent_again: int
    oldest: datetime | None


@dataclass(frozen=True)
class Ended:
    """A span that has ended, with the tenant and the flow of its session, and the tags of its trace."""

    span: Span
    tenant: str
    flow: str
    tags: tuple[str, ...] = ()


async def read_spans(database: Database, session_id: str) -> list[Span]:
    """Read a session's spans, the open ones too, in the order of their starts."""
    return [_span(row) for row in await database.all(_SQL["spans"], {"session_id": session_id})]


async def read_ended(database: Database, session_id: str) -> list[Ended]:
    """Read a session's spans that have ended, in the order of their starts."""
    return [_ended(row) for row in await database.all(_SQL["ended_spans"], {"session_id": session_id})]


async def read_agent_run_spans(database: Database, session_id: str) -> list[Span]:
    """Read when and where a session's agent runs were taken up: their spans, without attributes."""
    return [_span(row) for row in await database.all(_SQL["agent_run_spans"], {"session_id": session_id})]


async def standing(database: Database, tenant: str, session_id: str | None = None) -> Standing:
    """Count a tenant's spans, or those of one session."""
    row = await database.one(_SQL["standing"], {"tenant": tenant, "session_id": session_id})
    assert row is not None, "a count is a row"
    return Standing(**row)


async def refusals(database: Database, tenant: str, session_id: str | None = None) -> list[tuple[str, int]]:
    """Give why spans were refused for good, the most frequent reasons first, each with its count."""
    given = {"tenant": tenant, "session_id": session_id}
    return [(row["problem"], row["spans"]) for row in await database.all(_SQL["refusals"], given)]


class Outbox:
    """A tenant's spans that have ended and wait to be exported; `session_id` narrows it to one session's.

    Taken spans are out of others' sight for `hold_s` seconds: an exporter that dies gives them back by that.
    """

    def __init__(
        self, database: Database, tenant: str, session_id: str | None = None, *, hold_s: float = 120.0
    ) -> None:
        self.hold_s = hold_s
        self._database = database
        self._tenant = tenant
        self._session_id = session_id

    async def take(self, limit: int) -> list[Ended]:
        """Take spans that are due, the longest waiting first."""
        given = {"tenant": self._tenant, "session_id": self._session_id, "limit": limit, "hold": self.hold_s}
        rows = await self._database.all(_SQL["take_spans"], given)
        return [_ended(row) for row in rows]

    async def sent(self, spans: Sequence[Span]) -> None:
        """Note that the receiver has these."""
        await self._database.run(_SQL["spans_sent"], _ids(spans))

    async def later(self, spans: Sequence[Span], *, doubtful: bool) -> None:
        """Give spans back, to be taken again by anybody; `doubtful`: the receiver may have them already."""
        await self._database.run(_SQL["spans_later"], _ids(spans) | {"doubtful": doubtful})

    async def refuse(self, span: Span, problem: str) -> None:
        """Note that the receiver will never take a span, and why."""
        given = {"session_id": span.session_id, "span_id": span.span_id, "problem": problem}
        await self._database.run(_SQL["span_refused"], given)

    async def standing(self) -> Standing:
        """Count the spans it is about."""
        return await standing(self._database, self._tenant, self._session_id)


def _ids(spans: Sequence[Span]) -> dict[str, Any]:
    return {
        "session_ids": sorted({span.session_id for span in spans}),
        "span_ids": [span.span_id for span in spans],
    }


def _ended(row: dict[str, Any]) -> Ended:
    found = (row["flow"], *row["tags"], *(("fork",) if row["is_fork"] else ()))
    return Ended(_span(row), row["tenant"], row["flow"], tuple(dict.fromkeys(found)))


_TURNS = ("session", "question", "result")
"""What stood for a turn before it was one span."""


def _span(row: dict[str, Any]) -> Span:
    return Span(
        session_id=str(row["session_id"]),
        span_id=row["span_id"],
        parent_span_id=row["parent_span_id"],
        agent_run_id=str(row["agent_run_id"]) if row["agent_run_id"] else None,
        kind="turn" if row["kind"] in _TURNS else row["kind"],
        name=row["name"],
        seq=row["seq"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        status=row["status"],
        attributes={**row["opened"], **(row["closed"] or {})},
    )
