"""A service that ends calls in ways that a session has to understand; it is well once a file says so."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.scripts import expedition, topic_of
from tests.kit import sse
from tests.kit.script import Reply, Request, in_turn, refused, text


def refusing(request: Request, well: str, status: int, said: str, only: str = "") -> Reply:
    """Play the expedition, but refuse each researcher (or `only` one) after its first, paid step."""
    topic = topic_of(request)
    sick = topic and request.turn >= 1 and (not only or topic == only) and not Path(well).exists()
    return refused(status, said, retry_after=0) if sick else expedition(request)


def stopping(request: Request, reason: str, said: str = "") -> Reply:
    """Stop for the same reason each time, with a word or without."""
    return Reply([text(f"{said}{request.turn}. ")] if said else [], stop_reason=reason)


def in_parts(request: Request, go: str = "") -> Reply:
    """Give a report in two answers, for the first is cut off; the second waits for the file `go`, if any."""
    last = Reply([text("part 2.")], hold=Path(go) if go else None)
    return in_turn(Reply([text("Part 1, ")], stop_reason="max_tokens"), last)(request)


def cut_in_a_call(request: Request) -> Reply:
    """Be cut off within a call's input, and then do without it."""
    if request.turn:
        return Reply([text("Without it.")])
    message = sse.message_of(Reply(stop_reason="max_tokens"), request)
    call = {"type": "tool_use", "id": "toolu_cut", "name": "mcp__corpus__search", "input": {}}
    begun = {"type": "input_json_delta", "partial_json": '{"que'}
    events = [
        *sse.opening(message),
        sse.event("content_block_start", index=0, content_block=call),
        sse.event("content_block_delta", index=0, delta=begun),
        sse.event("content_block_stop", index=0),
        sse.message_delta(message),
        sse.message_stop(),
    ]
    return Reply(raw=("text/event-stream", b"".join(events)))


def pausing(request: Request) -> Reply:
    """Pause once, as a model may that searches by itself, and end when it is asked to go on."""
    return in_turn(Reply([text("Wait. ")], stop_reason="pause_turn"), Reply([text("Done.")]))(request)


def no_key(request: Request) -> Reply:
    """Accept no key."""
    return refused(401, "invalid x-api-key")
