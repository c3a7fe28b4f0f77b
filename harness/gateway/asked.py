"""Reading what a client asks of the model: a request of the Messages API, or why it is none.

Only the form is looked at that the gateway works with; what the content is worth the model's service says.
Everything behind the entrance may rely on that form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.errors import GatewayError
from harness.gateway.bodies import MOST_TOKENS

DEEPEST = 200
"""Levels of lists and objects within each other: what looks through a request goes down one by one."""

_SUMMARY = "CRITICAL: Respond with TEXT ONLY. Do NOT call any tools."
"""How the CLI begins its own request to sum up a conversation that has become too long."""


class BadRequest(GatewayError):
    """A request's body is none of the Messages API."""


def read_request(body: bytes) -> dict[str, Any]:
    """Read a request.

    Raises:
        BadRequest: naming the field that has not the form that the Messages API gives it.
    """
    try:
        request = json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except RecursionError as problem:
        raise BadRequest("The request's body is nested too deeply.") from problem
    except ValueError as problem:
        raise BadRequest("The request's body is not JSON in UTF-8.") from problem
    if not isinstance(request, dict):
        raise BadRequest("The request's body is not a JSON object.")
    if _deeper_than(DEEPEST, request):
        raise BadRequest(f"The request's body is nested more than {DEEPEST} levels deep.")
    wrong = next(_problems(request), None)
    if wrong is not None:
        raise BadRequest(f"{wrong}.")
    return request


def tools_of(request: Mapping[str, Any]) -> frozenset[str]:
    """The names of the tools that a request offers."""
    return frozenset(tool["name"] for tool in request.get("tools") or ())


def system_texts(request: Mapping[str, Any]) -> list[str]:
    """The texts of its system prompt."""
    system = request.get("system") or []
    return [system] if isinstance(system, str) else [str(part.get("text")) for part in system]


def asks_for_summary(request: Mapping[str, Any]) -> bool:
    """Whether this is a compaction: in prompt, tools and history it is a step, but for its last words."""
    content = (request["messages"] or [{}])[-1].get("content") or ""
    last = content if isinstance(content, str) else content[-1].get("text", "")
    return str(last).startswith(_SUMMARY)


def parameters_of(request: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """How the model is asked, beside what it is told: limits and settings as plain values."""
    names = ("max_tokens", "temperature", "top_p", "top_k", "stream")
    found = {name: request[name] for name in names if _is_plain(request.get(name))}
    effort, thinking = _field(request.get("output_config"), "effort"), _field(request.get("thinking"), "type")
    return found | ({"effort": effort} if effort else {}) | ({"thinking": thinking} if thinking else {})


def _field(value: Any, name: str) -> str | None:
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, str) and re.fullmatch(r"[a-z_]{1,32}", found) else None


def _is_plain(value: Any) -> bool:
    """Whether this is a switch or a number that is a number everywhere: finite, and exact as JSON has it."""
    return isinstance(value, int | float) and abs(value) < 2**53


def _problems(request: Mapping[str, Any]) -> Iterator[str]:
    if not _is_name(request.get("model")):
        yield "model: should be the id of a model"
    most = request.get("max_tokens")
    if most is not None and not (_is_count(most) and 0 < most <= MOST_TOKENS):
        yield "max_tokens: should be a positive number of tokens"
    if request.get("stream") not in (None, True, False):
        yield "stream: should be true or false"
    if not isinstance(request.get("system"), str | None):
        yield from _block_problems("system", request["system"])
    messages = request.get("messages")
    if not isinstance(messages, list):
        yield "messages: should be a list"
        return
    for number, message in enumerate(messages):
        yield from _message_problems(f"messages.{number}", message)
    yield from _tool_problems(request.get("tools"))


def _message_problems(place: str, message: Any) -> Iterator[str]:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        yield f"{place}: should be an object with a role"
        return
    content = message.get("content")
    if isinstance(content, str | None):
        return
    yield from _block_problems(f"{place}.content", content)
    for number, block in enumerate(content if isinstance(content, list) else ()):
        if not isinstance(block, dict) or block.get("type") != "tool_result":
            continue
        if not isinstance(inner := block.get("content"), str | None):
            yield from _block_problems(f"{place}.content.{number}.content", inner)


def _block_problems(place: str, blocks: Any) -> Iterator[str]:
    """Content is a list of typed blocks; only what is text has a `text`."""
    if not isinstance(blocks, list):
        yield f"{place}: should be a text or a list of blocks"
        return
    for number, block in enumerate(blocks):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            yield f"{place}.{number}: should be an object with a type"
        elif not isinstance(block.get("text", ""), str):
            yield f"{place}.{number}.text: should be a text"


def _tool_problems(tools: Any) -> Iterator[str]:
    if not isinstance(tools, list | None):
        yield "tools: should be a list"
        return
    for number, tool in enumerate(tools or ()):
        if not isinstance(tool, dict) or not _is_name(tool.get("name")):
            yield f"tools.{number}: should be an object with a name"
        elif not isinstance(tool.get("type"), str | None):
            yield f"tools.{number}.type: should be a text"
        elif (uses := tool.get("max_uses")) is not None and not (_is_count(uses) and uses <= MOST_TOKENS):
            yield f"tools.{number}.max_uses: should be a number"


def _is_name(value: Any) -> bool:
    """Whether this is a text that can be stored and shown: without control characters and half pairs."""
    return isinstance(value, str) and 0 < len(value) <= 256 and value.isprintable()


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _no_number(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _deeper_than(levels: int, value: Any) -> bool:
    """Level by level, without recursion."""
    level = [value]
    for _ in range(levels):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
