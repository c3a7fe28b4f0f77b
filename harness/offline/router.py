"""The router offline: each member once, in the order they are offered; then the last good result.

A member that takes a list is passed over as long as there is nothing to put into it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from harness.offline.conversation import ToolUse
from harness.offline.fill import NOT_DETERMINED, conforming
from harness.offline.turn import Turn

TOOL = "decide"


def route(request: Mapping[str, Any], schema: Mapping[str, Any]) -> Turn:
    """Decide the next thing from what the router is shown: the task, and the results so far."""
    shown = _shown(request)
    results = [result for result in shown.get("results") or () if isinstance(result, dict)]
    members = [str(name) for name in schema["properties"]["to"]["enum"]]
    done = [result for result in results if result.get("status") == "done"]
    inputs = schema["properties"]["input"]["anyOf"]
    known, routed = _known(shown, done), {result.get("to") for result in results}
    tasks = {
        name: conforming(each, known=known, root=schema) for name, each in zip(members, inputs, strict=False)
    }
    worthwhile = {
        name
        for name, each in zip(members, inputs, strict=False)
        if _has_work(tasks[name], _resolved(each, schema))
    }
    name = next((name for name in tasks if name not in routed and name in worthwhile), None)
    if name is not None:
        filled = tasks[name]
        given = {"action": "route", "reason": f"{name} has not worked yet.", "to": name, "input": filled}
    elif done:
        given = {"action": "finish", "reason": "Every member has worked.", "result": done[-1].get("number")}
    else:
        given = {"action": "help", "reason": "No member came to a result."}
    return Turn("", (ToolUse(TOOL, given),))


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
    if any(not lists.get(name, [True]) for name in schema.get("required") or ()):
        return False
    return not any(NOT_DETERMINED in json.dumps(value) for value in lists.values())


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    if not reference:
        return schema
    found: Mapping[str, Any] = root["$defs"][str(reference).rpartition("/")[2]]
    return found


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
