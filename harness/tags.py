"""Tags: what a person finds traces by."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

MOST_TAGS = 20
"""Tags of one session: each of its spans carries all of them."""


def checked_tag(value: str) -> str:
    """Give a tag of a trace. Raises ValueError when it is none."""
    # Langfuse drops tags that are longer: see "Tags" in its documentation of tracing.
    if not 0 < len(value) <= 200 or not value.isprintable() or value != value.strip():
        raise ValueError("should be a text of up to 200 characters on one line")
    return value


TraceTag = Annotated[str, AfterValidator(checked_tag)]
"""What a trace is found by."""
