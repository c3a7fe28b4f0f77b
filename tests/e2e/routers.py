"""The crew behind an endpoint that refuses what the real one refuses, and routers whose answers go wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.e2e.crew import crew
from tests.kit.routing import DECIDE, is_router
from tests.kit.script import Block, Reply, Request, Tokens, text, tool_use
from tests.kit.signing import broken, thought

NOT_FORCED = ("claude-opus-5-5", "claude-sonnet-5-5")
"""Models that refuse to be forced to call a tool."""

_NOT_STRICT = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
    *("maxItems", "uniqueItems", "prefixItems", "patternProperties", "oneOf", "$ref"),
)

USED = Tokens(50, 10)


def crew_with_routers(request: Request, fault: str = "", refuses: tuple[str, ...] = ()) -> Reply:
    """Play the crew. `refuses` are fields that no router may send, `fault` is how its first answers fail."""
    if (problem := _refused(request, refuses)) is not None:
        return Reply(status=400, error=problem)
    if not is_router(request):
        return crew(request)
    thinking = thought(request, "Who is next?")
    if fault and (len(request.messages) == 1 or fault.startswith("always ")):
        return _gone_wrong(request, fault.removeprefix("always "), thinking)
    return Reply([thinking, *crew(request).content], usage=USED)


def _gone_wrong(request: Request, fault: str, thinking: Block) -> Reply:
    by_tool = request.offers(DECIDE)
    match fault:
        case "cut in its thinking":
            return Reply([thinking], usage=USED, stop_reason="max_tokens")
        case "cut":
            half: Block = tool_use(DECIDE, {}) if by_tool else text('{"decision": {"action": "rou')
            return Reply([thinking, half], usage=USED, stop_reason="max_tokens")
        case "missing":
            return Reply([thinking, *([text("I would ask a.")] if by_tool else [])], usage=USED)
        case "unreadable":
            return Reply([thinking, text('Here it is: {"decision": {"action": "help"}}')], usage=USED)
        case "unknown member":
            wrong = {"decision": {"action": "route", "reason": "Why not.", "to": "z", "input": {}}}
            made = tool_use(DECIDE, wrong) if by_tool else {"type": "structured", "value": wrong}
            return Reply([thinking, made], usage=USED)
        case "refusal":
            return Reply([], usage=USED, stop_reason="refusal")
    raise ValueError(fault)


def _refused(request: Request, refuses: tuple[str, ...]) -> str | None:
    """What the endpoint says against a request; None when it takes it."""
    body = request.body
    if request.model in NOT_FORCED and (body.get("tool_choice") or {}).get("type") in ("tool", "any"):
        return 'tool_choice: type "tool" and "any" are not supported for this model'
    if not is_router(request):
        return None
    for field in refuses:
        if field in body or any(field in tool for tool in body.get("tools", ())):
            return f"{field}: Extra inputs are not permitted"
    if (body.get("thinking") or {}).get("type") == "disabled":
        return "thinking.type: disabled is not supported for this model"
    if any(not message["content"] for message in body["messages"]):
        return "messages: all messages must have non-empty content"
    schemas = [tool["input_schema"] for tool in body.get("tools", ()) if tool.get("strict")]
    if "output_config" in body:
        schemas.append(body["output_config"]["format"]["schema"])
    for schema in schemas:
        for part in _parts(schema):
            if part.get("type") == "object" and part.get("additionalProperties") is not False:
                return "schema: For 'object' type, 'additionalProperties' must be explicitly set to false"
            if unknown := [word for word in _NOT_STRICT if word in part]:
                return f"schema: '{unknown[0]}' is not supported"
    return broken(request)


def _parts(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A schema, and all schemas within it."""
    yield schema
    within = [schema.get("items"), *schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    for each in within:
        if isinstance(each, Mapping):
            yield from _parts(each)
