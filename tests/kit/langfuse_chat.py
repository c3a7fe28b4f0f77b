"""A judge of generations: reads input and output as Langfuse's view of a chat does, and says what is wrong.

view = read(input, output)                   # messages, tools on offer, what is left as plain JSON
assert problems(input, output) == []

The rules are those of Langfuse 4 (packages/shared/src/utils/chatml and .../utils/json.ts of
https://github.com/langfuse/langfuse): every text that is JSON, or a dict as Python writes it, is read as what
it says; messages with tools are read as OpenAI's; a message that is not of its schema makes the view
fall away.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_KNOWN = (
    *("role", "name", "content", "audio", "type", "tools", "tool_calls", "tool_call_id"),
    *("thinking", "redacted_thinking", "additional_kwargs"),
)
_ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True)
class Shown:
    """A message as it is shown. `rest` are fields that stand beside it as plain JSON."""

    role: str | None
    content: Any
    calls: list[dict[str, Any]] = field(default_factory=list)
    answers: str | None = None
    thinking: list[str] = field(default_factory=list)
    rest: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """What is seen of a generation; `refused` says why there is no view of a chat."""

    messages: list[Shown] = field(default_factory=list)
    output: list[Shown] = field(default_factory=list)
    tools: dict[str, dict[str, Any]] = field(default_factory=dict)
    beside: dict[str, Any] = field(default_factory=dict)
    refused: str | None = None

    @property
    def roles(self) -> list[str | None]:
        """Who speaks, in order, the output last."""
        return [each.role for each in (*self.messages, *self.output)]


def read(input: str | None, output: str | None) -> View:
    """Read the two as they are stored: texts, None where there is nothing."""
    asked, answered = _deeply(input), _deeply(output)
    try:
        given, tools = _messages(asked)
        messages = [_message(each) for each in given]
        one = answered["messages"] if isinstance(answered, dict) and "messages" in answered else answered
        said = one if isinstance(one, list) else [one]
        answer = [] if output is None else [_message(_openai(each)) for each in said]
    except _Refused as problem:
        return View(refused=str(problem))
    beside = (
        {name: value for name, value in asked.items() if name not in ("messages", "tools")}
        if isinstance(asked, dict)
        else {}
    )
    return View(messages, answer, {tool["name"]: tool for tool in tools}, beside)


def problems(input: str | None, output: str | None) -> list[str]:
    """Say in sentences what a person would miss in the view of a chat."""
    view = read(input, output)
    if view.refused is not None:
        return [f"There is no chat: {view.refused}."]
    found = [f"'{name}' stands beside the chat." for name in view.beside]
    called: set[str] = set()
    for number, each in enumerate((*view.messages, *view.output)):
        where = f"message {number}"
        if each.role not in _ROLES:
            found.append(f"{where} is nobody's: {each.role}.")
        if each.rest and each.role != "tool":
            found.append(f"{where} has fields that no view of a chat shows: {sorted(each.rest)}.")
        if each.content is None and not each.calls and not each.rest:
            found.append(f"{where} says nothing.")
        if _has_blocks(each.content):
            found.append(f"{where} holds blocks of the wire: calls are not seen.")
        called |= {call["id"] for call in each.calls}
        if each.role == "tool" and each.answers not in called:
            found.append(f"{where} answers no call: {each.answers}.")
    if len(view.output) > 1 or any(each.role != "assistant" for each in view.output):
        found.append(f"The output is {[each.role for each in view.output]} and not one answer.")
    return found


class _Refused(Exception):
    pass


def _deeply(value: Any, depth: int = 0) -> Any:
    if depth >= 25:
        return value
    match value:
        case str() if not _NUMBER.fullmatch(value.strip()):
            parsed = _parsed(value)
            return value if parsed is _NOTHING else _deeply(parsed, depth + 1)
        case list():
            return [_deeply(each, depth + 1) for each in value]
        case dict():
            return {name: _deeply(each, depth + 1) for name, each in value.items()}
        case _:
            return value


_NOTHING = object()


def _parsed(text: str) -> Any:
    for written in (text, _as_python(text)):
        if written is None:
            continue
        try:
            return json.loads(written, parse_constant=_no_number)
        except (ValueError, RecursionError):
            continue
    return _NOTHING


def _as_python(text: str) -> str | None:
    if "'" not in text or text.strip()[:1] not in ("{", "["):
        return None
    for word, meant in (("True", "true"), ("False", "false"), ("None", "null")):
        text = re.sub(rf"\b{word}\b", meant, text)
    return text.replace("'", '"')


def _no_number(constant: str) -> Any:
    raise ValueError(constant)


def _messages(asked: Any) -> tuple[list[Any], list[dict[str, Any]]]:
    if isinstance(asked, list):
        found, offered = asked, []
    elif isinstance(asked, dict) and isinstance(asked.get("messages"), list):
        found, offered = asked["messages"], asked.get("tools", [])
    else:
        raise _Refused("the input is neither messages nor an object that has some")
    if not found:
        raise _Refused("there is no message")
    if not isinstance(offered, list):
        raise _Refused("the tools are no list")
    tools = [_tool(each) for each in offered]
    return [_openai(each) for each in found], tools


def _tool(given: Any) -> dict[str, Any]:
    about = given.get("function", given) if isinstance(given, dict) else {}
    tool = {"name": about.get("name"), "description": about.get("description") or ""}
    tool |= {"parameters": about["parameters"]} if about.get("parameters") is not None else {}
    if not isinstance(tool["name"], str) or not isinstance(tool["description"], str):
        raise _Refused(f"a tool has no name or description that is a text: {tool}")
    if not isinstance(tool.get("parameters", {}), dict):
        raise _Refused(f"the parameters of {tool['name']} are no object")
    return tool


def _openai(given: Any) -> dict[str, Any]:
    """A message with its calls flattened; a tool's result that is a rich object becomes fields of it."""
    if not isinstance(given, dict):
        return {}
    made = {name: value for name, value in given.items() if value is not None}
    if isinstance(calls := made.get("tool_calls"), list):
        made["tool_calls"] = [_call(call) for call in calls if isinstance(call, dict)]
    content = made.get("content")
    if made.get("role") == "tool" and isinstance(content, dict):
        if len(content) > 2 or any(isinstance(each, dict | list) for each in content.values()):
            return {name: value for name, value in made.items() if name != "content"} | content
        made["content"] = json.dumps(content)
    return made


def _call(call: dict[str, Any]) -> dict[str, Any]:
    about = call["function"] if isinstance(call.get("function"), dict) else call
    arguments = about.get("arguments")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments if arguments is not None else {})
    return {"id": call.get("id"), "name": about.get("name"), "arguments": text, "type": call.get("type")}


def _message(given: dict[str, Any]) -> Shown:
    for name in ("role", "name", "tool_call_id"):
        if not isinstance(given.get(name, ""), str):
            raise _Refused(f"'{name}' is no text: {given[name]!r}")
    if not isinstance(given.get("content", ""), str | list | dict | None):
        raise _Refused(f"a content is {given['content']!r}")
    if given.get("content", "") is None and "role" not in given:
        raise _Refused("a message has neither a role nor a content")
    calls = given.get("tool_calls", [])
    if not isinstance(calls, list) or not all(
        isinstance(each.get(name), str) for each in calls for name in ("id", "name", "arguments")
    ):
        raise _Refused(f"calls are not of their form: {calls!r}")
    if not isinstance(given.get("tools", []), list) or not isinstance(
        given.get("additional_kwargs", {}), dict
    ):
        raise _Refused("a tool's result was taken for a message's tools")
    thoughts = _thoughts(given, "thinking", "content") + _thoughts(given, "redacted_thinking", "data")
    rest = {name: value for name, value in given.items() if name not in _KNOWN}
    return Shown(given.get("role"), given.get("content"), calls, given.get("tool_call_id"), thoughts, rest)


def _thoughts(given: dict[str, Any], kind: str, text: str) -> list[str]:
    thoughts = given.get(kind, [])
    fine = isinstance(thoughts, list) and all(
        isinstance(each, dict) and each.get("type") == kind and isinstance(each.get(text), str)
        for each in thoughts
    )
    if not fine:
        raise _Refused(f"'{kind}' is not of its form: {thoughts!r}")
    return [each[text] for each in thoughts]


def _has_blocks(content: Any) -> bool:
    kinds = ("tool_use", "tool_result", "thinking", "redacted_thinking")
    return isinstance(content, list) and any(
        isinstance(each, dict) and each.get("type") in kinds for each in content
    )
