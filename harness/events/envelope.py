"""The envelope of an event: its place in the session's journal and in its trace."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from harness.events.payloads import AnyPayload
from harness.records import Record


class Span(Record):
    """A place in the trace. `started_at` is given when an event closes the step it opened."""

    trace_id: str
    span_id: str | None = None
    parent_span_id: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


class Event(Record):
    """A payload with its place in the session's journal and in its trace."""

    session_id: str
    seq: int
    id: str
    agent_run_id: str | None
    span: Span
    recorded_at: datetime
    payload: AnyPayload


def trace_id(session_id: str) -> str:
    """Give the session's trace id: 16 bytes as hex, the same in any process.

    The formula is the one Langfuse documents for seeded trace ids, so that both agree.
    """
    return hashlib.sha256(session_id.encode()).hexdigest()[:32]


def span_id(session_id: str, kind: str, key: str) -> str:
    """Give a step's span id: 8 bytes as hex, the same in any process that speaks of the same step."""
    return hashlib.sha256("\x1f".join((session_id, kind, key)).encode()).hexdigest()[:16]


def now() -> datetime:
    """The time as spans carry it."""
    return datetime.now(UTC)


def pretty(value: Any) -> str:
    """A JSON value as a person reads it."""
    return json.dumps(value, ensure_ascii=False, indent=2)
