"""The envelope of an event: its place in the session's journal and in its trace."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from harness.events.payloads import AnyPayload
from harness.records import Record


class Event(Record):
    """A payload with its place in the session's journal; `span_id` names the step it belongs to."""

    session_id: str
    seq: int
    id: str
    agent_run_id: str | None
    span_id: str | None
    recorded_at: datetime
    payload: AnyPayload


def now() -> datetime:
    """The time as spans carry it."""
    return datetime.now(UTC)


def pretty(value: Any) -> str:
    """A JSON value as a person reads it."""
    return json.dumps(value, ensure_ascii=False, indent=2)
