"""Holding one model request against another, apart from what varies between two runs of the same thing.

What counts: the model, the agent's own system prompt, each tool's description and schema, how the answer is
asked for, and the messages. What does not, because it was seen to vary or is the CLI's own: ids and folders
of the session, the CLI's environment (folder, date, system, its version), metadata, marks for the cache,
thinking, the order of tools, and the order in which the results of one turn came in.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import groupby
from typing import Any

from harness.events import Difference
from harness.gateway.conversation import CLI_ADDS, ELSEWHERE, without_reminders

_CLI_SAYS = ("x-anthropic-billing-header:", "You are a Claude agent, built on Anthropic's Claude Agent SDK.")
"""How the parts of a system prompt begin that are the CLI's and not the agent's."""

_ASKED = ("tool_choice", "output_config", "output_format", "temperature")
"""What of a request says how the answer is asked for. The rest follows from the CLI and the model."""

_SHARE = re.compile(r"\d+(?=% of the money)")
"""Of what a remark says is left: agents that work side by side spend it in any order."""

_SENTENCE = re.compile(r"(?<=[.!?])[ \t]+")

Mask = Callable[[str], str]
"""Replaces the names that only one session has."""


def differences(
    recorded: Mapping[str, Any],
    request: Mapping[str, Any],
    *,
    masks: tuple[Mask, Mask] = (str, str),
    left_out: Collection[str] = (),
) -> list[Difference]:
    """Compare two Messages requests, part by part, in the order in which a reader looks at them.

    `left_out` are texts of the harness's own that a resume puts into a conversation.
    """
    before, now = (
        {part: mask(text) for part, text in normal(each, left_out).items()}
        for each, mask in zip((recorded, request), masks, strict=True)
    )
    parts = [*now, *(part for part in before if part not in now)]
    return [
        Difference(part=part, diff=_diff(before.get(part, ""), now.get(part, "")))
        for part in sorted(parts, key=lambda part: part.startswith("message "))
        if before.get(part) != now.get(part)
    ]


def normal(request: Mapping[str, Any], left_out: Collection[str] = ()) -> dict[str, str]:
    """Give the parts of a request that count, each as a text for reading."""
    parts = {"model": str(request.get("model", "")), "system prompt": _system(request.get("system"))}
    tools = {str(tool.get("name")): tool for tool in request.get("tools") or ()}
    for tool_name, tool in sorted(tools.items()):
        rest = {name: value for name, value in tool.items() if name not in ("name", "description")}
        text = "\n".join([str(tool.get("description", "")), _pretty(_uncached(rest))])
        parts[f"tool {tool_name}"] = text.strip()
    asked = {name: request[name] for name in _ASKED if name in request}
    if asked:
        parts["answer asked for"] = _pretty(asked)
    unwanted = CLI_ADDS | {text.strip() for text in left_out}
    told = _Told(unwanted).blocks(request.get("messages") or ())
    for number, (role, blocks) in enumerate(groupby(told, key=lambda block: block[0]), start=1):
        parts[f"message {number} ({role})"] = "\n".join(_ordered(blocks))
    return parts


class _Told:
    """Reads a conversation, naming calls in their order: a call's own id is chance."""

    def __init__(self, left_out: Collection[str]) -> None:
        self._left_out = left_out
        self._calls: dict[str, int] = {}

    def blocks(self, messages: Collection[Mapping[str, Any]]) -> Iterator[tuple[str, int, str]]:
        """Give (role, place of a result among its turn's, text) of each block that counts."""
        for message in messages:
            role, content = message.get("role"), message.get("content")
            if role not in ("user", "assistant"):
                continue
            for block in [{"type": "text", "text": content}] if isinstance(content, str) else content or ():
                place, text = self._read(block)
                if text:
                    yield role, place, text

    def _read(self, block: Mapping[str, Any]) -> tuple[int, str]:
        match block.get("type"):
            case "text":
                text = _text(block.get("text"))
                return 0, "" if text in self._left_out else text
            case "tool_use":
                number = self._calls.setdefault(str(block.get("id")), len(self._calls) + 1)
                return 0, f"[call {number}: {block.get('name')}]\n{_pretty(block.get('input'))}"
            case "tool_result":
                number = self._calls.get(str(block.get("tool_use_id")), 0)
                failed = " failed" if block.get("is_error") else ""
                return number, f"[call {number}{failed}]\n{_result(block.get('content'))}"
            case "thinking" | "redacted_thinking":
                return 0, ""
            case _:
                return 0, _pretty(_uncached(block))


def _ordered(blocks: Iterator[tuple[str, int, str]]) -> list[str]:
    return [text for _, _, text in sorted(blocks, key=lambda block: (not block[1], block[1]))]


def _system(system: Any) -> str:
    parts = [system] if isinstance(system, str) else [part.get("text") for part in system or ()]
    texts = [without_reminders(part) for part in parts]
    return "\n\n".join(text for text in texts if text and not text.startswith(_CLI_SAYS))


def _text(text: Any) -> str:
    return _SHARE.sub("…", ELSEWHERE.sub("", without_reminders(text))).strip()


def _result(content: Any) -> str:
    parts = [content] if isinstance(content, str) else content or ()
    texts = [part.get("text", _uncached(part)) if isinstance(part, Mapping) else part for part in parts]
    return "\n".join(_readable(each) if isinstance(each, str) else _pretty(each) for each in texts)


def _readable(text: str) -> str:
    """A result that is JSON, as most are, with a line for each of its values."""
    text = _text(text)
    if text.startswith(("{", "[")):
        try:
            return _pretty(json.loads(text))
        except ValueError:
            return text
    return text


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True, default=str)


def _uncached(block: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if name != "cache_control"}


def _diff(before: str, now: str) -> str:
    """A unified diff by sentences, so that a changed word is not lost in a long paragraph."""
    first, second = (_SENTENCE.sub("\n", text).splitlines() for text in (before, now))
    if first == second:
        first, second = before.splitlines(), now.splitlines()
    lines = difflib.unified_diff(first, second, "recorded", "now", lineterm="", n=1)
    return "\n".join(lines)
