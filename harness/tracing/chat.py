"""A model call as a chat: a request and an answer of the Messages API as messages that any viewer can show.

A chat is {"messages": [...], "tools": [...]}, in the form of OpenAI's chat completions: a message has `role`,
`content` (a text), for an assistant `tool_calls`, for a tool's result `tool_call_id`. Thinking stands in
`thinking` and `redacted_thinking`, as Langfuse shows it.

Messages API: https://platform.claude.com/docs/en/api/messages
The form of thinking: packages/shared/src/utils/IORepresentation/chatML/types.ts of
https://github.com/langfuse/langfuse
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.redaction import FAILED
from harness.tracing.blocks import (
    blocks_of,
    dumps,
    fields_of,
    in_words,
    is_literal,
    parts_of,
    text_of,
    thought_of,
)

Message = dict[str, Any]
Clean = Callable[[Any], Any]
"""Gives the same structure without secrets."""

_BILLING = "x-anthropic-billing-header"
"""How a block begins that the CLI puts before the system prompt: no word of it is for the model."""

_LONGEST_ID = 100
_FIELDS = frozenset(
    (
        *("role", "name", "content", "audio", "additional_kwargs", "tools", "tool_calls", "tool_call_id"),
        *("thinking", "redacted_thinking"),
    )
)
"""What Langfuse takes for a message's own field when a tool's result is a JSON object that has it."""


@dataclass(frozen=True)
class Asked:
    """A request, of the form that the gateway sees to: what went into a model call."""

    request: Mapping[str, Any]


@dataclass(frozen=True)
class Answered:
    """The content of an answer: what came out of a model call."""

    content: Any


@dataclass(frozen=True)
class Chat:
    """What a request showed the model, from its newest message back.

    `head` is the system prompt, and the task: what was told before the first answer. A turn is an answer and
    what was told after it. `newest` is what was told since the last answer, `answer` is that answer;
    `left_out` counts the messages that were not looked at.
    """

    head: list[Message]
    tools: list[dict[str, Any]]
    turns: list[list[Message]]
    answer: list[Message]
    newest: list[Message]
    left_out: int = 0


def chat_of(asked: Asked, most: int, clean: Clean) -> Chat:
    """Read a request without its secrets, and of older turns only the whole ones that `most` bytes may hold.

    The work grows with `most` and with what was newly told, and not with the length of the conversation.
    """
    messages = asked.request.get("messages") or []
    last = max((at for at, message in enumerate(messages) if message.get("role") == "assistant"), default=-1)
    first = next((at for at, message in enumerate(messages) if message.get("role") == "assistant"), 0)
    task = [made for message in messages[:first] for made in _said(message)]
    answer = _said(messages[last]) if last >= 0 else []
    newest = [made for message in messages[last + 1 :] for made in _said(message)]
    turns, left_out = _turns(messages[first : max(last, 0)], most - _weight(answer) - _weight(newest))
    if not newest:
        answer, newest = newest, answer

    def finished(drafts: list[Message]) -> list[Message]:
        return [_finished(draft, clean(draft)) for draft in drafts]

    return Chat(
        head=finished([*_system(asked.request), *task]),
        tools=[_tool(clean(tool)) for tool in asked.request.get("tools") or ()],
        turns=[finished(turn) for turn in turns],
        answer=finished(answer),
        newest=finished(newest),
        left_out=left_out,
    )


def answer_of(answered: Answered, clean: Clean) -> Message:
    """Read an answer without its secrets, as one message."""
    try:
        (draft,) = _assistant(blocks_of(answered.content), at_once=True)
    except RecursionError:
        return {"role": "assistant", "content": FAILED}
    return _finished(draft, clean(draft))


def _turns(messages: Sequence[Any], room: int) -> tuple[list[list[Message]], int]:
    """The newest whole turns that `room` characters hold, the oldest of them first; how many are older."""
    turns: list[list[Message]] = []
    turn: list[list[Message]] = []
    whole = len(messages)
    for at in range(len(messages) - 1, -1, -1):
        made = _said(messages[at])
        room -= _weight(made)
        if room < 0:
            break
        turn.append(made)
        if messages[at].get("role") == "assistant":
            turns.append([each for made in reversed(turn) for each in made])
            turn, whole = [], at
    return turns[::-1], whole


def _weight(value: Any) -> int:
    """The least number of characters that a value takes, without a look at one of them."""
    match value:
        case str():
            return len(value) + 2
        case dict():
            return sum((len(name) + 3 + _weight(part) for name, part in value.items()), start=1)
        case list():
            return sum(map(_weight, value))
        case _:
            return 1


def _system(request: Mapping[str, Any]) -> list[Message]:
    """The system prompt as a message, if there is one."""
    parts = [
        part
        for block in blocks_of(request.get("system"))
        if not str(block.get("text", "")).startswith(_BILLING)
        for part in parts_of(block)
    ]
    return [{"role": "system", "content": parts}] if any(parts) else []


def _tool(tool: Any) -> dict[str, Any]:
    if not isinstance(tool, Mapping):
        return {"type": "function", "function": {"name": FAILED, "description": FAILED}}
    about = tool.get("description")
    if not about and tool.get("type") not in (None, "custom"):
        about = f"{tool['type']}, run by the model's service"
    schema = tool.get("input_schema")
    shape = {"parameters": schema} if isinstance(schema, dict) else {}
    named = {"name": str(tool.get("name")), "description": in_words(str(about or ""), "Tool: ")}
    return {"type": "function", "function": {**named, **shape}}


def _said(message: Mapping[str, Any]) -> list[Message]:
    """Draft what one message of the wire says: contents are lists of parts, arguments are still objects."""
    blocks = blocks_of(message.get("content"))
    if message.get("role") == "assistant":
        return _assistant(blocks, at_once=False)
    return list(_told("system" if message.get("role") in ("system", "developer") else "user", blocks))


def _told(role: str, blocks: Iterable[Mapping[str, Any]]) -> Iterator[Message]:
    parts: list[Any] = []
    results = 0
    for block in blocks:
        if block.get("type") != "tool_result":
            parts += parts_of(block)
            continue
        if parts:
            yield {"role": role, "content": parts}
            parts = []
        results += 1
        yield _result(block)
    if parts or not results:
        yield {"role": role, "content": parts}


def _assistant(blocks: Iterable[Mapping[str, Any]], *, at_once: bool) -> list[Message]:
    """What the model said. The results of the service's own tools stand apart unless `at_once`."""
    made: list[Message] = [{"role": "assistant", "content": []}]
    before = None
    for block in blocks:
        now, kind = made[-1], str(block.get("type"))
        if kind in ("thinking", "redacted_thinking"):
            which, thought = thought_of(block)
            now.setdefault(which, []).append(thought)
        elif kind.endswith("tool_use"):
            called = {"name": str(block.get("name"))[:_LONGEST_ID], "arguments": block.get("input") or {}}
            call = {"id": _id(block.get("id")), "type": "function", "function": called}
            now.setdefault("tool_calls", []).append(call)
        elif kind.endswith("_tool_result") and not at_once:
            made += [_result(block), {"role": "assistant", "content": []}]
        elif kind == before == "text":
            # Citations part one text into several blocks.
            now["content"][-1] += "".join(parts_of(block))
        else:
            now["content"] += parts_of(block)
        before = kind
    # Nothing was said after the last result.
    return made if made[-1]["content"] or len(made[-1]) > 2 or len(made) == 1 else made[:-1]


def _result(block: Mapping[str, Any]) -> Message:
    parts = [part for each in blocks_of(block.get("content")) for part in parts_of(each)]
    failed = ["[error]"] if block.get("is_error") else []
    return {"role": "tool", "tool_call_id": _id(block.get("tool_use_id")), "content": failed + parts}


def _id(given: Any) -> str:
    """An id that is the same for a call and its result, however long it was."""
    text = str(given)
    return text if len(text) <= _LONGEST_ID else hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _finished(draft: Message, cleaned: Any) -> Message:
    """Write a draft's parts and arguments as texts, now that no secret is in them."""
    if not isinstance(cleaned, dict):
        return {name: draft[name] for name in ("role", "tool_call_id") if name in draft} | {"content": FAILED}
    content = _as_text(draft["role"], text_of(cleaned["content"]))
    calls = [
        {**call, "function": {**call["function"], "arguments": dumps(call["function"]["arguments"])}}
        for call in cleaned.get("tool_calls", ())
    ]
    return {**cleaned, "content": content, **({"tool_calls": calls} if calls else {})}


def _as_text(role: str, text: str) -> Any:
    """A content that stays one: Langfuse reads a text that is JSON as what it says.

    A mere `true` is then no content, and a tool's result that is an object becomes fields of its message.
    Neither happens within a list of parts.
    """
    if is_literal(text) or (role == "tool" and not _FIELDS.isdisjoint(fields_of(text) or ())):
        return [{"type": "text", "text": text}]
    return text
