"""The router offline: each member once, in the order they are offered; then the last good result.

A member that takes a list is passed over as long as there is nothing to put into it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from harness.offline.fill import NOT_DETERMINED, conforming
from harness.offline.turn import Turn

_SAID = re.compile(r"\b((?:exclusive)?(?:min|max)[A-Z]?\w+): (-?\d+(?:\.\d+)?)\b")
"""A limit of a value, as the strict form of a schema says it in the value's description."""


def is_decision(schema: Mapping[str, Any]) -> bool:
    """Whether an answer of this schema is a router's decision."""
    return bool(_routes(schema))


def route(request: Mapping[str, Any], schema: Mapping[str, Any]) -> Turn:
    """Decide the next thing from what the router is shown: the task, and the results so far."""
    shown = _shown(request)
    results = [result for result in shown.get("results") or () if isinstance(result, dict)]
    done = [result for result in results if result.get("status") == "done"]
    known, routed = _known(shown, done), {result.get("to") for result in results}
    for name, given in _routes(schema).items():
        own = _input_schema(given)
        task = conforming(own, known=known)
        if name in routed or not _has_work(task, own):
            continue
        filled = json.dumps(task, ensure_ascii=False) if given.get("type") == "string" else task
        return _decided(action="route", reason=f"{name} has not worked yet.", to=name, input=filled)
    if done:
        return _decided(action="finish", reason="Every member has worked.", result=done[-1].get("number"))
    return _decided(action="help", reason="No member came to a result.")


def _decided(**decision: Any) -> Turn:
    return Turn(json.dumps({"decision": decision}, ensure_ascii=False))


def _routes(schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The schemas of the members' inputs by their names, in the order they are offered."""
    match schema:
        case {"properties": {"decision": {"anyOf": list(branches)}}}:
            pass
        case _:
            return {}
    found: dict[str, Mapping[str, Any]] = {}
    for branch in branches:
        match branch:
            case {"properties": {"to": {"const": str(name)}, "input": {} as given}}:
                found[name] = given
    return found


def _input_schema(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema an input has to fit: where it is given as a text, its description holds it."""
    if given.get("type") != "string":
        limited: Mapping[str, Any] = _limited(given)
        return limited
    _, _, text = str(given.get("description")).partition(": ")
    try:
        schema = json.loads(text)
    except ValueError:
        return given
    return schema if isinstance(schema, dict) else given


def _limited(schema: Any) -> Any:
    """The same schema with the limits that stand in its descriptions."""
    match schema:
        case dict():
            _, brace, said = str(schema.get("description") or "").rpartition("{")
            limits = {
                name: float(value) if "." in value else int(value) for name, value in _SAID.findall(said)
            }
            return (limits if brace else {}) | {name: _limited(part) for name, part in schema.items()}
        case list():
            return [_limited(part) for part in schema]
        case _:
            return schema


def _shown(request: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON document of the first message; nothing when there is none."""
    for message in request.get("messages") or ():
        content = message.get("content")
        parts = [content] if isinstance(content, str) else [part.get("text") for part in content or ()]
        for part in parts:
            try:
                shown = json.loads(part or "")
            except ValueError:
                continue
            if isinstance(shown, dict):
                return shown
    return {}


def _has_work(task: Any, schema: Mapping[str, Any]) -> bool:
    """Whether there is something in each list that the member has to be given."""
    if not isinstance(task, dict):
        return True
    lists = {name: value for name, value in task.items() if isinstance(value, list)}
    required = schema.get("required")
    if isinstance(required, list) and any(not value for name, value in lists.items() if name in required):
        return False
    return not any(NOT_DETERMINED in json.dumps(value) for value in lists.values())


def _known(shown: Mapping[str, Any], done: list[dict[str, Any]]) -> dict[str, Any]:
    task = shown.get("task")
    known = dict(task) if isinstance(task, dict) else {}
    asked = known.get("question") or known.get("objective")
    known |= {"question": asked, "objective": asked} if asked else {}
    for result in done:
        output = result.get("output")
        known |= output if isinstance(output, dict) else {}
    # What a checker calls claims is what a researcher calls findings.
    return {"claims": known["findings"], **known} if known.get("findings") else known
