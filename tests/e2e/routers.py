"""The crew with routers whose answers go wrong, and an endpoint that knows less than the service."""

from __future__ import annotations

from collections.abc import Sequence

from tests.e2e.crew import crew
from tests.kit.routing import DECIDE, is_router
from tests.kit.script import Block, Reply, Request, Tokens, refused, text, thinking, tool_use

USED = Tokens(50, 10)


def crew_with_routers(request: Request, fault: str = "", refuses: Sequence[str] = ()) -> Reply:
    """Play the crew. `refuses` are fields that no router may send, `fault` is how its first answers fail."""
    if not is_router(request):
        return crew(request)
    for field in refuses:
        if field in request.body or any(field in tool for tool in request.body.get("tools", ())):
            return refused(400, f"{field}: Extra inputs are not permitted")
    if fault and (len(request.messages) == 1 or fault.startswith("always ")):
        return _gone_wrong(request, fault.removeprefix("always "))
    return crew(request)


def _gone_wrong(request: Request, fault: str) -> Reply:
    by_tool = request.offers(DECIDE)
    thought = thinking("Who is next?")
    match fault:
        case "cut in its thinking":
            return Reply([thought], usage=USED, stop_reason="max_tokens")
        case "cut":
            half: Block = tool_use(DECIDE, {}) if by_tool else text('{"decision": {"action": "rou')
            return Reply([thought, half], usage=USED, stop_reason="max_tokens")
        case "missing":
            return Reply([thought, *([text("I would ask a.")] if by_tool else [])], usage=USED)
        case "unreadable":
            return Reply([thought, text('Here it is: {"decision": {"action": "help"}}')], usage=USED)
        case "unknown member":
            wrong = {"decision": {"action": "route", "reason": "Why not.", "to": "z", "input": {}}}
            made = tool_use(DECIDE, wrong) if by_tool else {"type": "structured", "value": wrong}
            return Reply([thought, made], usage=USED)
        case "refusal":
            return Reply([], usage=USED, stop_reason="refusal")
    raise ValueError(fault)
