"""How a script plays a router: it tells one by its request, reads whom it may choose, and decides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.kit.script import Block, Request, text, tool_use

DECIDE = "decide"


def is_router(request: Request) -> bool:
    """Whether a decision is asked for: by the schema of the answer, or by a tool."""
    return request.offers(DECIDE) or "decision" in (request.answer_schema or {}).get("properties", {})


def members(request: Request) -> dict[str, dict[str, Any]]:
    """The members a router may choose, in order, each with the schema its input is asked for in."""
    found = {}
    for branch in _schema(request)["properties"]["decision"]["anyOf"]:
        if "to" in (fields := branch["properties"]):
            found[fields["to"]["const"]] = fields["input"]
    return found


def decides(request: Request, decision: Mapping[str, Any]) -> Block:
    """Make a decision in the way it is asked for; an input whose schema is that of a text becomes JSON."""
    given = dict(decision)
    if "input" in given and members(request)[given["to"]].get("type") == "string":
        given["input"] = json.dumps(given["input"])
    answer = {"decision": given}
    return tool_use(DECIDE, answer) if request.offers(DECIDE) else text(json.dumps(answer))


def _schema(request: Request) -> dict[str, Any]:
    if request.offers(DECIDE):
        return request.input_schema(DECIDE)
    assert request.answer_schema is not None, "only a router is asked for a decision"
    return request.answer_schema
