"""What Langfuse's public API shows of spans and scores that it has taken, in the form of its newest paths.

Forms: https://api.reference.langfuse.com, `GET /api/public/v2/observations`, `/api/public/v3/scores` and, as
long as a server has it, `/api/public/traces/ID`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.kit.langfuse_scores import Score
from tests.kit.seen import Seen

Shown = dict[str, Any]

_OWN = "langfuse.observation."

_GROUPS = {
    "basic": ("name", "level", "statusMessage", "environment", "userId", "sessionId", "isRootObservation"),
    "io": ("input", "output"),
    "model": ("model",),
    "usage": ("usageDetails", "costDetails", "totalCost"),
    "trace_context": ("tags", "release", "traceName"),
}
"""Which fields come only when their group is asked for."""


def observations(spans: Iterable[Seen], asked: Mapping[str, str]) -> Shown:
    """A page of a trace's observations, from the newest on."""
    groups = asked.get("fields", "basic").split(",")
    hidden = {name for group, names in _GROUPS.items() if group not in groups for name in names}
    mine = [span for span in spans if span.trace_id == asked["traceId"]]
    mine.sort(key=lambda span: span.start_ns, reverse=True)
    found = [_observation(span) for span in mine]
    return _page([{k: v for k, v in each.items() if k not in hidden} for each in found], asked)


def scores(taken: Iterable[Score], asked: Mapping[str, str]) -> Shown:
    """A page of a trace's scores."""
    groups = asked.get("fields", "").split(",")
    mine = [score for score in taken if score.get("traceId") == asked["traceId"]]
    page = _page([_score(score, groups) for score in mine], asked)
    page["meta"]["limit"] = int(asked.get("limit", 50))
    return page


def trace(spans: Iterable[Seen], trace_id: str) -> Shown | None:
    """A trace: what it was about and what came of it is that of its newest root."""
    mine = [span for span in spans if span.trace_id == trace_id]
    roots = sorted((span for span in mine if not span.parent_id), key=lambda span: span.start_ns)
    if not roots:
        return None
    shown = [_observation(span) for span in mine]
    newest = _observation(roots[-1])
    return {
        "id": trace_id,
        "name": newest["traceName"],
        **{name: newest[name] for name in ("input", "output", "userId", "sessionId")},
        **{name: newest[name] for name in ("environment", "release", "tags")},
        "totalCost": sum(each["totalCost"] or 0 for each in shown),
        "observations": shown,
    }


def _observation(span: Seen) -> Shown:
    about = span.attributes
    usage = json.loads(about.get(f"{_OWN}usage_details", "{}"))
    cost = json.loads(about.get(f"{_OWN}cost_details", "{}"))
    return {
        "id": span.span_id,
        "traceId": span.trace_id,
        "projectId": "project-1",
        "parentObservationId": span.parent_id or None,
        "isRootObservation": not span.parent_id,
        "type": about[f"{_OWN}type"].upper(),
        # A tool's row has the name of its tool.
        "name": about.get("gen_ai.tool.name", span.name),
        "startTime": _moment(span.start_ns),
        "endTime": _moment(span.end_ns),
        "level": about.get(f"{_OWN}level", "DEFAULT"),
        "statusMessage": about.get(f"{_OWN}status_message") or span.message or None,
        "input": about.get(f"{_OWN}input"),
        "output": about.get(f"{_OWN}output"),
        "model": about.get(f"{_OWN}model.name"),
        "usageDetails": {**usage, "total": usage.get("total", sum(usage.values()))} if usage else {},
        "costDetails": cost,
        "totalCost": cost.get("total"),
        "userId": about.get("langfuse.user.id"),
        "sessionId": about.get("langfuse.session.id"),
        "environment": about.get("langfuse.environment", "default"),
        "release": about.get("langfuse.release"),
        "traceName": about.get("langfuse.trace.name"),
        "tags": about.get("langfuse.trace.tags", []),
    }


def _score(score: Score, groups: Iterable[str]) -> Shown:
    step = score.get("observationId")
    subject = {"kind": "trace", "id": score["traceId"]}
    if step:
        subject = {"kind": "observation", "id": step, "traceId": score["traceId"]}
    return {
        **{name: score[name] for name in ("id", "name", "value", "dataType", "environment", "timestamp")},
        "projectId": "project-1",
        "source": "API",
        "createdAt": score["timestamp"],
        "updatedAt": score["timestamp"],
        **({"comment": score.get("comment")} if "details" in groups else {}),
        **({"subject": subject} if "subject" in groups else {}),
    }


def _page(rows: list[Shown], asked: Mapping[str, str]) -> Shown:
    first, count = int(asked.get("cursor", 0)), int(asked.get("limit", 50))
    more = {"cursor": str(first + count)} if len(rows) > first + count else {}
    return {"data": rows[first : first + count], "meta": more}


def _moment(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="milliseconds")
