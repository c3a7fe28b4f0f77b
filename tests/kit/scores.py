"""Scores, and the events that scores follow from."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from harness import events as ev
from harness.tracing.scores import Score
from harness.tracing.span import trace_id

GIVEN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def score_of(session_id: str, **given: Any) -> Score:
    """A person's score."""
    fields = {"id": str(uuid.uuid4()), "name": "quality", "value": "good", "given_at": GIVEN}
    return Score.model_validate({"session_id": session_id, **fields, **given})


def arrived(taken: Iterable[dict[str, Any]], kept: Iterable[Score], step: str) -> dict[str, dict[str, Any]]:
    """Hold what a server took of one session in "trial" against what is kept, and give it by its names.

    Among it are a number `quality` with a comment, and a word `gate reviewer` of a step.
    """
    by_name, sent = {score["name"]: score for score in taken}, list(kept)
    quality, gate = by_name["quality"], by_name["gate reviewer"]
    assert {name: score["id"] for name, score in by_name.items()} == {score.name: score.id for score in sent}
    assert (quality["value"], quality["dataType"], quality["comment"]) == (0.5, "NUMERIC", "so so")
    assert (gate["value"], gate["dataType"], gate["observationId"]) == ("fix", "CATEGORICAL", step)
    assert {score["traceId"] for score in by_name.values()} == {trace_id(sent[0].session_id)}
    assert {score["environment"] for score in by_name.values()} == {"trial"}
    return by_name


def finished(checked: int, failed: int) -> ev.SessionFinished:
    """A session's end, of whose citations so many failed."""
    found = {"checked": checked, "failed": [{"citation": "[1]", "reason": "No."}] * failed}
    return ev.SessionFinished(status="done", report="R", problem=None, citations=found)


def gate(verdict: str, problem: str | None = None) -> ev.GateDecided:
    """A gate's word."""
    return ev.GateDecided.model_validate({"by": "reviewer", "verdict": verdict, "problem": problem})
