"""Reading the delegation tool: which bundles it offers, and what its results say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.offline.conversation import Call, Conversation, ToolUse
from harness.offline.fill import conforming
from harness.offline.shapes import TaskResult, each

DELEGATE = "mcp__harness__delegate"

MOST_LOST = 2
"""Delegations lost in a crash that are made again; one more is told as a failure."""

_LOST = "Tool result missing"
_UNREADABLE = TaskResult(problem="its result could not be read")
_NAMED = re.compile(
    r"(?:^\s*[-*•]\s*|`|\")([a-z][a-z0-9]*(?:[_-][a-z0-9]+)*)(?:`|\"|\s*[:(—–])", re.MULTILINE
)
_NO_BUNDLE = frozenset(
    {"to", "input", "tasks", "task", "objective", "questions", "claims", "status", "output"}
)


@dataclass(frozen=True)
class Delegated:
    """One task that was delegated, and how it ended."""

    to: str
    input: Mapping[str, Any]
    result: TaskResult


def bundles(conversation: Conversation) -> list[str]:
    """Give the names of the bundles on offer, by the tool's schema, else by its description."""
    tool = conversation.tools.get(DELEGATE, {})
    named = list(dict.fromkeys(_names_in(tool.get("input_schema"))))
    if named:
        return named
    text = str(tool.get("description", ""))
    known = [
        name for name in ("researcher", "fact_checker", "fact-checker") if re.search(rf"\b{name}\b", text)
    ]
    found = [name for name in _NAMED.findall(text) if name not in _NO_BUNDLE]
    return list(dict.fromkeys(known + found))


def bundle_like(conversation: Conversation, name: str) -> str | None:
    """Give the offered bundle of this name, however it joins its words; None when there is none."""
    plain = re.sub(r"[-_ ]", "", name)
    return next((one for one in bundles(conversation) if re.sub(r"[-_ ]", "", one.lower()) == plain), None)


def delegate(conversation: Conversation, to: str, inputs: list[dict[str, Any]]) -> ToolUse:
    """Give the one call that hands out tasks; an input is put into the bundle's form if the tool tells it."""
    whole = conversation.tools.get(DELEGATE, {}).get("input_schema")
    own = _input_schema(whole, to)
    tasks = [{"to": to, "input": one if own is None else _formed(own, one, whole)} for one in inputs]
    return ToolUse(DELEGATE, {"tasks": tasks})


def delegated(calls: tuple[Call, ...]) -> list[Delegated]:
    """Give every task handed out in these calls, with its result; a task without one has failed.

    A call whose outcome was lost in a crash counts as not made, so that it is made again, up to a limit.
    """
    made = [call for call in calls if call.name == DELEGATE]
    lost_calls = [call for call in made if call.failed and _LOST in (call.result or "")]
    found: list[Delegated] = []
    for call in made:
        tasks = call.input.get("tasks")
        if not isinstance(tasks, list) or (call in lost_calls and len(lost_calls) <= MOST_LOST):
            continue
        data = call.data
        given_back = data if isinstance(data, list) else []
        results = [(each(TaskResult, [one]) or [_UNREADABLE])[0] for one in given_back]
        lost = "its result was cut off" if results else _problem(call)
        for number, task in enumerate(task for task in tasks if isinstance(task, dict)):
            given = task.get("input")
            result = results[number] if number < len(results) else TaskResult(problem=lost)
            found.append(Delegated(str(task.get("to", "")), given if isinstance(given, dict) else {}, result))
    return found


def _problem(call: Call) -> str:
    text = " ".join((call.result or "no result came back").split())
    return text[:300]


def _formed(schema: Mapping[str, Any], given: dict[str, Any], whole: object) -> dict[str, Any]:
    names = ("question", "query", "topic", "request", "text", "title")
    known: dict[str, Any] = {name: given.get("objective") for name in names}
    formed = conforming(schema, given, known, root=whole)
    return formed if isinstance(formed, dict) else given


def _names_in(schema: object) -> Iterator[str]:
    """Give the values that a property called `to` may take, anywhere in a schema."""
    for part in _parts(schema):
        properties = part.get("properties")
        to = properties.get("to") if isinstance(properties, dict) else None
        if isinstance(to, dict):
            values = to.get("enum") if isinstance(to.get("enum"), list) else [to.get("const")]
            yield from (value for value in values or () if isinstance(value, str))


def _input_schema(schema: object, to: str) -> Mapping[str, Any] | None:
    """Give the schema of a bundle's input, if the tool's schema has one of its own for it."""
    for part in _parts(schema):
        properties = part.get("properties")
        if isinstance(properties, dict) and isinstance(properties.get("to"), dict):
            name, own = properties["to"], properties.get("input")
            if (name.get("const") == to or name.get("enum") == [to]) and isinstance(own, dict):
                return own
    return None


def _parts(schema: object, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    if depth > 12:
        return
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from _parts(value, depth + 1)
    elif isinstance(schema, list):
        for value in schema:
            yield from _parts(value, depth + 1)
