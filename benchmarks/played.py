"""What the played model says in the benchmarks: streams of so many events, with no time to think."""

from __future__ import annotations

from tests.kit.script import Reply, Request, text, tool_use

FRAME = 6
"""Events of a text's stream that are not its deltas: message_start, ping, the block's two, the end's two."""

LOOK = "mcp__desk__look"
SEARCH = "mcp__corpus__search"


def stream(request: Request, events: int | None = None) -> Reply:
    """Answer with a stream of as many events as the question's last word says."""
    count = events or int(request.last_user_text.split()[-1])
    return Reply([text("word by " * (count - FRAME))], deltas=count - FRAME)


def looking(request: Request, calls: int, events: int) -> Reply:
    """Call the tool again and again, each time after a long text; the last of `calls` is the text alone."""
    if request.is_auxiliary or request.turn + 1 >= calls:
        return stream(request, events)
    call = tool_use(LOOK, {"at": f"place {request.turn}"})
    pieces = len('{"at": "place 10"}')
    words = events - FRAME - 2 - pieces
    return Reply([text("word by " * words), call], deltas=words)


def searching(request: Request) -> Reply:
    """Search twice, each time after a text, and then answer."""
    if request.is_auxiliary or request.turn >= 2:
        return Reply([text("That is all.")])
    words = "The documents may say more about this. " * 30
    return Reply([text(words), tool_use(SEARCH, {"query": "tide", "limit": 1})])
