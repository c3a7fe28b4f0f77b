"""Spans as a tree, and what each one cost: for whoever shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.records import Usage
from harness.tracing.span import Span


@dataclass(frozen=True)
class Line:
    """A span in its place. `lasts` says of each step down to it whether it was the last of its siblings."""

    span: Span
    lasts: tuple[bool, ...]

    @property
    def depth(self) -> int:
        """How many spans stand above it."""
        return len(self.lasts) - 1


def outline(spans: Sequence[Span]) -> list[Line]:
    """Give the spans from the top down, siblings in the order of their starts.

    A span whose parent is not among them stands at the top.
    """
    known = {span.span_id for span in spans}
    below: dict[str | None, list[Span]] = {}
    for span in sorted(spans, key=lambda span: (span.started_at, span.seq)):
        below.setdefault(span.parent_span_id if span.parent_span_id in known else None, []).append(span)
    return list(_lines(below, None, ()))


def _lines(
    below: dict[str | None, list[Span]], parent: str | None, lasts: tuple[bool, ...]
) -> Iterator[Line]:
    children = below.get(parent, [])
    for span in children:
        line = Line(span, (*lasts, span is children[-1]))
        yield line
        yield from _lines(below, span.span_id, line.lasts)


def usage(span: Span) -> Usage | None:
    """What a span used; for an agent run that of the whole run, once it has ended."""
    found = span.attributes.get("usage")
    return None if found is None else Usage.model_validate(found)


def cost_usd(span: Span) -> float | None:
    """What a span cost in US dollars, where that is known."""
    found = span.attributes.get("cost_usd")
    return None if found is None else float(found)
