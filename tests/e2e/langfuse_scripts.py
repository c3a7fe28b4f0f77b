"""Played models of sessions looked at in Langfuse: refusals, long searches, a router that is lost."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.crew import task_of
from tests.kit.routing import decides, is_router
from tests.kit.script import Reply, Request, Tokens, generic, refused, structured, text, tool_use

DELEGATE = "mcp__harness__delegate"
SEARCH = "mcp__corpus__search"
WORDS = ("tides", "winds", "stars", "ropes")
REPORT = "# Navigation\n\nBy tides, winds and stars."
FOLLOW_UP = "And who made the ropes?"
ANSWER = "# Ropes\n\nThe notes do not say."
TOO_LONG = "prompt is too long: 1200000 tokens > 1000000 maximum"
BUSY = "busy"
"""The file in `holds` that has the first call refused by an overloaded service."""


def large(request: Request, holds: str = "") -> Reply:
    """Play a lead whose first call is refused, and a researcher with four long searches side by side."""
    busy = Path(holds) / BUSY
    if busy.exists():
        busy.unlink()
        return refused(529, "Overloaded.", retry_after=0)
    if not request.offers(DELEGATE):
        return _searching(request)
    used = Tokens(1000, 50, cache_read_input_tokens=400, cache_creation_input_tokens=200)
    if FOLLOW_UP in request.last_user_text or FOLLOW_UP in str(request.messages[-1]):
        return Reply([text(ANSWER)], usage=used)
    results = request.tool_results(DELEGATE)
    if len(results) == 2:
        return Reply([text(REPORT)], usage=used)
    # A subagent that nobody has is refused, and named rightly the second time.
    to = "researcher" if results else "nobody"
    return Reply([tool_use(DELEGATE, {"tasks": [{"to": to, "input": {"objective": "All."}}]})], usage=used)


def _searching(request: Request) -> Reply:
    if not request.tool_results(SEARCH):
        calls = [tool_use(SEARCH, {"query": word}) for word in WORDS]
        return Reply([text("Four at once."), *calls], usage=Tokens(300, 20))
    return Reply([structured({"summary": "All of it.", "findings": []})], usage=Tokens(20_000, 30))


def lost(request: Request) -> Reply:
    """Play a router that sends the task to a researcher, and then cannot say what comes next."""
    if not is_router(request):
        return found(request)
    if task_of(request)["results"]:
        return Reply([text("I would rather not say.")], usage=Tokens(50, 10))
    given = {"action": "route", "reason": "First find out.", "to": "researcher"}
    return Reply([decides(request, {**given, "input": {"objective": "Tides."}})], usage=Tokens(50, 10))


def found(request: Request) -> Reply:
    """Play anybody: a researcher with one finding, others with the least that is asked for."""
    schema = request.answer_schema or {}
    if "findings" not in schema.get("properties", {}):
        return generic(request)
    quote = {"source": "S1", "quote": "Tides, winds and stars."}
    output = {
        "summary": "They go by tides.",
        "findings": [{"statement": "They go by tides.", "citations": [quote]}],
        "not_found": ["Who made the ropes?"],
    }
    return Reply([structured(output)], usage=Tokens(400, 30))


def too_long(request: Request) -> Reply:
    """Refuse what is asked, as too long."""
    return refused(400, TOO_LONG)
