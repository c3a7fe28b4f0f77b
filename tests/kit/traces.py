"""Holds a session's spans against its journal: one tree, every step in it, every token once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness import events as ev
from harness.records import Usage
from harness.state import SessionState
from harness.tracing import outline as tree
from harness.tracing.span import Span

CHECKPOINTS = {"model.requested": "model", "tool.requested": "tool", "delegation.requested": "delegation"}


def violations(spans: Sequence[Span], journal: Sequence[ev.Event], state: SessionState) -> list[str]:
    """Say in sentences what is wrong with the spans of a session that nobody advances any more."""
    return [*_shape(spans, state), *_journal(spans, journal), *_sums(spans, state)]


def usage_of(spans: Sequence[Span]) -> Usage:
    """The sum of what the spans of model calls say."""
    return sum((tree.usage(span) or Usage() for span in calls(spans)), Usage())


def calls(spans: Sequence[Span]) -> list[Span]:
    """The spans of model calls that say what they used."""
    return [span for span in spans if span.kind == "model" and "usage" in span.attributes]


def outline(spans: Sequence[Span]) -> list[str]:
    """The names of a trace's spans, indented under their parents, in the order of their beginnings."""
    return [
        "  " * line.depth + line.span.name + ("" if line.span.status == "ok" else f" [{line.span.status}]")
        for line in tree.outline(spans)
    ]


def _shape(spans: Sequence[Span], state: SessionState) -> Iterator[str]:
    known = {span.span_id for span in spans}
    roots = {span.kind for span in spans if span.parent_span_id is None}
    if roots != {"turn"}:
        yield f"the roots are {sorted(roots)}"
    for span in spans:
        if span.parent_span_id and span.parent_span_id not in known:
            yield f"{span.name} has lost its parent"
        if span.ended_at is None and (span.kind != "turn" or state.finished):
            yield f"{span.name} is open"
        if span.kind not in ("model", "agent_run", "turn") and "usage" in span.attributes:
            yield f"{span.name} tells tokens that are counted elsewhere"


def _journal(spans: Sequence[Span], journal: Sequence[ev.Event]) -> Iterator[str]:
    known = {span.span_id for span in spans}
    opened = {(span.seq, span.kind) for span in spans}
    for event in journal:
        if event.span_id not in known:
            yield f"event {event.seq} ({event.payload.kind}) names a span that is not there"
        kind = CHECKPOINTS.get(event.payload.kind)
        if kind is not None and (event.seq, kind) not in opened:
            yield f"the checkpoint {event.seq} ({event.payload.kind}) has no span"


def _sums(spans: Sequence[Span], state: SessionState) -> Iterator[str]:
    runs = {run.id: run for run in state.runs.values()}
    for run_id, run in runs.items():
        told = usage_of([span for span in spans if span.agent_run_id == run_id])
        if told != run.settled:
            yield f"{run.agent} settled {run.settled}, its spans tell {told}"
    total = sum((run.settled for run in runs.values()), Usage())
    if usage_of(spans) != total:
        yield f"the session settled {total}, its spans tell {usage_of(spans)}"
