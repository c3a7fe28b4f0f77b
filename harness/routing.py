"""A router's decision, typed: what it may decide, and the tool it decides with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from harness.bundles.validate import Taker
from harness.delegation import member_schemas
from harness.records import Record

DECIDE = "decide"


class Decide(Record):
    """The next thing.

    A member's task; more for a result that needs help; the end, with the result that is the answer; or help.
    """

    action: Literal["route", "grant", "finish", "help"]
    reason: str
    to: str | None = None
    input: dict[str, Any] | None = None
    result: int | None = None
    told: str | None = None


def decide_tool(members: Mapping[str, Taker]) -> dict[str, Any]:
    """The tool as the Messages API takes it, with each member's input typed."""
    inputs, definitions = member_schemas(members)
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "action": {"enum": ["route", "grant", "finish", "help"]},
            "reason": {"type": "string", "description": "Why, in one sentence."},
            "to": {"enum": list(members), "description": "route: who works next."},
            "input": {
                "description": "route: the member's input, which must fit its own schema.",
                "anyOf": list(inputs.values()),
            },
            "result": {
                "type": "integer",
                "description": "finish: the number of the result to hand on. grant: of one that needs help.",
            },
            "told": {"type": "string", "description": "grant: what its agent is told."},
        },
        "required": ["action", "reason"],
        "additionalProperties": False,
    }
    if definitions:
        schema["$defs"] = definitions
    return {"name": DECIDE, "description": "Decide the next thing.", "input_schema": schema}
