"""A service that ends calls in ways that a session has to understand; it is well once a file says so."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.scripts import expedition, topic_of
from tests.kit.script import Reply, Request, in_turn, refused, text


def refusing(request: Request, well: str, status: int, said: str, only: str = "") -> Reply:
    """Play the expedition, but refuse each researcher (or `only` one) after its first, paid step."""
    topic = topic_of(request)
    sick = topic and request.turn >= 1 and (not only or topic == only) and not Path(well).exists()
    return refused(status, said, retry_after=0) if sick else expedition(request)


def stopping(request: Request, reason: str, said: str = "") -> Reply:
    """Stop for the same reason each time, with a word or without."""
    return Reply([text(f"{said}{request.turn}. ")] if said else [], stop_reason=reason)


def in_parts(request: Request) -> Reply:
    """Give a report in two answers, for the first is cut off."""
    return in_turn(Reply([text("Part 1, ")], stop_reason="max_tokens"), Reply([text("part 2.")]))(request)


def no_key(request: Request) -> Reply:
    """Accept no key."""
    return refused(401, "invalid x-api-key")
