"""Scores, and the events that scores follow from."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from harness import events as ev
from harness.tracing.scores import Score

GIVEN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def score_of(session_id: str, **given: Any) -> Score:
    """A person's score."""
    fields = {"id": str(uuid.uuid4()), "name": "quality", "value": "good", "given_at": GIVEN}
    return Score.model_validate({"session_id": session_id, **fields, **given})


def finished(checked: int, failed: int) -> ev.SessionFinished:
    """A session's end, of whose citations so many failed."""
    found = {"checked": checked, "failed": [{"citation": "[1]", "reason": "No."}] * failed}
    return ev.SessionFinished(status="done", report="R", problem=None, citations=found)


def gate(verdict: str, problem: str | None = None) -> ev.GateDecided:
    """A gate's word."""
    return ev.GateDecided.model_validate({"by": "reviewer", "verdict": verdict, "problem": problem})
