"""Spans packed into requests that a receiver takes: not too many in one, not too large."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from harness.export import otlp
from harness.store.spans import Ended
from harness.tracing.span import Span

MOST_SPANS = 256
"""Spans of one request at most."""

MOST_BYTES = 2_000_000
"""Bytes of one request before compression; a single span that is larger goes alone."""

_LEVEL = 3
"""Of gzip. Level 6 takes four times the CPU for bodies that are an eighth smaller."""


@dataclass(frozen=True)
class Parcel:
    """A span and its message."""

    span: Span
    message: Message


def pack(taken: Sequence[Ended], environment: str) -> tuple[list[Parcel], list[tuple[Span, str]]]:
    """Make the messages of spans; what cannot be one comes second, with the reason."""
    parcels: list[Parcel] = []
    spoilt: list[tuple[Span, str]] = []
    for each in taken:
        try:
            parcels.append(Parcel(each.span, otlp.message(each, environment)))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as problem:
            # A row that another version wrote, or somebody by hand; it must not hold up the others.
            spoilt.append((each.span, f"It cannot be exported: {problem}"))
    return parcels, spoilt


def piles(parcels: Sequence[Parcel]) -> Iterator[list[Parcel]]:
    """Split parcels into the fewest requests, in their order."""
    pile: list[Parcel] = []
    size = 0
    for parcel in parcels:
        more = parcel.message.ByteSize()
        if pile and (len(pile) == MOST_SPANS or size + more > MOST_BYTES):
            yield pile
            pile, size = [], 0
        pile.append(parcel)
        size += more
    if pile:
        yield pile


def fitting(parcels: Sequence[Parcel]) -> int:
    """Give how many spans like these make one request."""
    mean = sum(parcel.message.ByteSize() for parcel in parcels) / max(1, len(parcels))
    return max(1, min(MOST_SPANS, int(MOST_BYTES / max(1.0, mean))))


def body(pile: Sequence[Parcel], environment: str) -> bytes:
    """Give the request's body, gzipped."""
    sent = otlp.request((parcel.message for parcel in pile), environment)
    return gzip.compress(sent.SerializeToString(), _LEVEL, mtime=0)
