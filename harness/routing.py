"""A router's decision, typed: what it may decide, and the schema that a model is held to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from harness.bundles.validate import Taker
from harness.records import Record
from harness.strict_schema import NotStrict, Room


class Decide(Record):
    """The next thing.

    A member's task; more for a result that needs help; the end, with the result that is the answer; or help.
    An `input` that is a text is JSON: that is how an input is given that the strict form cannot say.
    """

    action: Literal["route", "grant", "finish", "help"]
    reason: str
    to: str | None = None
    input: dict[str, Any] | str | None = None
    result: int | None = None
    told: str | None = None


class Decided(Record):
    """A whole answer: one decision."""

    decision: Decide


def decision_schema(members: Mapping[str, Taker]) -> dict[str, Any]:
    """The JSON Schema of `Decided` in the strict form: a branch for each member, and for what else there is.

    A member's input is typed where the strict form can say it and has room for it.
    """
    room = Room()
    room.unions -= 1
    routes = [
        _action("route", to={"const": name}, input=_input(each, room)) for name, each in members.items()
    ]
    number = {"type": "integer", "description": "The number of a result that needs help."}
    told = {"type": "string", "description": "What its agent is told."}
    last = {"type": "integer", "description": "The number of the result to hand on."}
    others = [_action("grant", result=number, told=told), _action("finish", result=last), _action("help")]
    return _object({"decision": {"anyOf": [*routes, *others]}})


def given_input(given: dict[str, Any] | str | None) -> dict[str, Any]:
    """A decision's input as an object.

    Raises:
        ValueError: it is a text, and no JSON object.
    """
    if isinstance(given, str):
        given = json.loads(given)
        if not isinstance(given, dict):
            raise ValueError("It is no object.")
    return given or {}


def _action(name: str, **fields: Any) -> dict[str, Any]:
    why = {"type": "string", "description": "Why, in one sentence."}
    return _object({"action": {"const": name}, "reason": why, **fields})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _input(member: Taker, room: Room) -> dict[str, Any]:
    schema = member.input.model_json_schema()
    try:
        return room.take(schema)
    except NotStrict:
        fits = json.dumps(schema, ensure_ascii=False)
        return {"type": "string", "description": f"The JSON text of an object that fits this schema: {fits}"}
