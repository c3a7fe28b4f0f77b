"""The trace that Langfuse makes of its observations: nothing is kept above them.

Source: `EVENTS_AGGREGATION_FIELDS` in
https://github.com/langfuse/langfuse/blob/62751446149b702b419a9292ddfc2280cdf74b8c/packages/shared/src/server/queries/clickhouse-sql/event-query-builder.ts
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.kit.langfuse.observation import Observation


@dataclass(frozen=True)
class Trace:
    """A trace's row. Input, output and metadata are those of the root that came last; sums are of all."""

    name: str | None
    user_id: str | None
    session_id: str | None
    environment: str | None
    release: str | None
    version: str | None
    tags: tuple[str, ...]
    input: str | None
    output: str | None
    metadata: Mapping[str, str]
    usage: Mapping[str, int]
    cost_usd: float
    level: str
    latency_s: float


def roots(rows: Sequence[Observation]) -> list[Observation]:
    """The rows that "Is Root Observation" leaves, in the order of their starts: the table of traces."""
    return sorted((row for row in rows if row.is_root), key=lambda row: row.start_ns)


def above(row: Observation, rows: Sequence[Observation]) -> list[Observation]:
    """The rows that a row hangs under, from its parent up; the last is its root, if that has come."""
    known = {each.id: each for each in rows}
    found: list[Observation] = []
    while (parent := known.get(row.parent_id)) is not None:
        found.append(row := parent)
    return found


def trace(rows: Sequence[Observation]) -> Trace:
    """Make the trace of its observations, in the order in which they came: Langfuse's time of an event is
    that of its arrival."""
    last = next((row for row in reversed(rows) if row.is_root), None)

    def newest(of: Callable[[Observation], Any]) -> Any:
        return next((of(row) for row in reversed(rows) if of(row)), None)

    levels = {row.level for row in rows}
    return Trace(
        name=newest(lambda row: row.trace_name) or (last.name if last else None),
        user_id=newest(lambda row: row.user_id),
        session_id=newest(lambda row: row.session_id),
        environment=newest(lambda row: row.environment),
        release=newest(lambda row: row.release),
        version=newest(lambda row: row.version),
        tags=newest(lambda row: row.tags) or (),
        input=last.input if last else None,
        output=last.output if last else None,
        metadata=last.metadata if last else {},
        usage=sum((Counter(row.usage) for row in rows), Counter()),
        cost_usd=sum(row.cost_usd or 0.0 for row in rows),
        level=next(level for level in ("ERROR", "WARNING", "DEFAULT", "DEBUG") if level in levels),
        latency_s=(max(row.end_ns for row in rows) - min(row.start_ns for row in rows)) / 1e9,
    )
