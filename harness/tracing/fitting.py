"""A chat in as many bytes as it may take: old turns go first, then long texts are cut inside the messages.

What is left is JSON of the same shape, and says what is missing. Sizes are bytes of JSON in UTF-8.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from harness.tracing.blocks import dumps
from harness.tracing.chat import Chat, Message

LEAST = 80
"""Bytes of a text of which nothing but its length is left."""

_FRAME = len('{"messages":[],"tools":[]}')
_MARKER = 140
"""Bytes of the longest message that says what was left out."""

Change = Callable[[str], str]


def fit_chat(chat: Chat, most: int) -> tuple[dict[str, Any], bool]:
    """Give a chat in at most `most` bytes, and whether something is missing.

    The newest part is whole if it fits beside the shortest forms of the system prompt and of the answer
    before it; one that is too long leaves an eighth each to these two and to the tools. Of what is left,
    older turns get one half, the system prompt three quarters of the other, the tools the rest; what one of
    them does not need is for the next.
    """
    chat = _without_giants(chat, most)
    system, turns = chat.system, [(size(turn), turn) for turn in chat.turns]
    sizes = {part: size(getattr(chat, part)) for part in ("system", "tools", "answer", "newest")}
    beside = sizes["system"] + sizes["tools"]
    room = most - _FRAME
    if not chat.left_out and sum(sizes.values()) + sum(each for each, _ in turns) <= room:
        old = [message for turn in chat.turns for message in turn]
        return {"messages": [*system, *old, *chat.answer, *chat.newest], "tools": chat.tools}, False
    room -= _MARKER
    share = room // 8
    least = size(_shortest(system))
    aside = least
    if sizes["newest"] + size(_shortest(chat.answer)) + least > room:
        least = min(sizes["system"], max(least, share))
        aside = least + min(sizes["tools"], share)
    tail = _tail(chat.answer, chat.newest, room - aside, share)
    room -= size(tail)
    kept = _newest_turns(turns, max(min(room // 2, room - aside), room - beside))
    room -= size(kept)
    system = cut_messages(system, max(min(room * 3 // 4, room - aside + least), room - sizes["tools"], least))
    tools = cut_tools(chat.tools, room - size(system))
    messages = sum(map(len, chat.turns)) + len(chat.answer) + len(chat.newest) - len(kept) - len(tail)
    marker = _marker(chat.left_out + messages, len(chat.tools) - len(tools))
    return {"messages": [*system, *marker, *kept, *tail], "tools": tools}, True


def _without_giants(chat: Chat, most: int) -> Chat:
    """Cut what could never fit, so that all that follows handles a few times `most` bytes for each text."""

    def within(text: str) -> str:
        return text if len(text) <= most else _cut(text, most)

    def json_within(text: str) -> str:
        return text if len(text) <= most else _cut_json(text, most)

    def shorter(messages: list[Message]) -> list[Message]:
        return [_changed(message, within, json_within) for message in messages]

    return replace(
        chat, system=shorter(chat.system), answer=shorter(chat.answer), newest=shorter(chat.newest)
    )


def fit_answer(message: Message, most: int) -> tuple[Message, bool]:
    """Give an answer in at most `most` bytes, and whether something is missing."""
    room = most + 1
    if size([message]) <= room:
        return message, False
    calls = few = message.get("tool_calls", [])
    said = message_text(message)
    while size(_shortest([message])) > room:
        few = few[: len(few) // 2]
        left_out = f"[Left out here: {len(calls) - len(few):,} calls of tools, and all thinking.] "
        message = {"role": "assistant", "content": left_out + said, **({"tool_calls": few} if few else {})}
    return cut_messages([message], room)[0], True


def cut_messages(messages: list[Message], room: int) -> list[Message]:
    """Cut the longest texts of messages to one length, so that all fit; their shortest form does."""
    need = size(messages)
    if need <= room:
        return messages
    sizes = [_bytes(text) for message in messages for text in _texts(message)]
    level = _level(sizes, room - (need - sum(sizes)))
    return [
        _changed(message, lambda text: _cut(text, level), lambda text: _cut_json(text, level))
        for message in messages
    ]


def cut_tools(tools: Sequence[dict[str, Any]], room: int) -> list[dict[str, Any]]:
    """Cut what tools say of themselves, so that they fit; of too many the first are kept."""
    if size(tools) <= room:
        return list(tools)
    level = _level([size([tool]) for tool in tools], room)
    made = []
    for tool in tools:
        shorter = _shorter_tool(tool, level)
        if (room := room - size([shorter])) < 0:
            break
        made.append(shorter)
    return made


def size(values: Sequence[Any]) -> int:
    """Bytes that values take in a list, with a comma each."""
    return sum(_bytes(value) + 1 for value in values)


def message_text(message: Message) -> str:
    """What a message says, whether it is one text or several."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "\n\n".join(str(part.get("text")) for part in content)


def _tail(answer: list[Message], newest: list[Message], room: int, share: int) -> list[Message]:
    """The last answer and what was told since, with a call for each result.

    The answer is cut first, and down to `share` bytes if the newest part does not fit all the same.
    """
    kept, full = newest, True
    shortest = {id(message): size(_shortest([message])) for message in newest}
    while kept:
        least, needed = size(_shortest(answer)), sum(shortest[id(message)] for message in kept)
        if least + needed <= room:
            if size(kept) + least > room:
                least = max(least, min(size(answer), share, room - needed))
            kept = cut_messages(kept, room - least)
            return cut_messages(answer, room - size(kept)) + kept
        if not full:
            kept = kept[(len(kept) + 1) // 2 :]
        full = False
        ids = {message["tool_call_id"] for message in kept if message["role"] == "tool"}
        calls = [call for message in answer for call in message.get("tool_calls", ()) if call["id"] in ids]
        answer = [{"role": "assistant", "content": "", "tool_calls": calls}] if calls else []
        called = {call["id"] for each in (*answer, *kept) for call in each.get("tool_calls", ())}
        kept = [each for each in kept if each["role"] != "tool" or each["tool_call_id"] in called]
    return []


def _newest_turns(turns: list[tuple[int, list[Message]]], room: int) -> list[Message]:
    kept: list[list[Message]] = []
    for taken, turn in reversed(turns):
        if (room := room - taken) < 0:
            break
        kept.append(turn)
    return [message for turn in reversed(kept) for message in turn]


def _marker(messages: int, tools: int) -> list[Message]:
    counted = [(messages, "message"), (tools, "tool")]
    said = [f"{count:,} {what}{'s' if count > 1 else ''}" for count, what in counted if count > 0]
    return [{"role": "system", "content": f"[Left out here: {' and '.join(said)}.]"}] if said else []


def _shorter_tool(tool: dict[str, Any], most: int) -> dict[str, Any]:
    """A tool with its description cut, and without its parameters where not even they have room."""
    if size([tool]) <= most or not isinstance(about := tool.get("function"), dict):
        return tool
    bare = {"name": about["name"], "description": ""}
    shape = {"parameters": about["parameters"]} if "parameters" in about else {}
    for parameters in (shape, {}):
        shorter = {**tool, "function": {**bare, **parameters}}
        if (left := most - size([shorter])) >= LEAST:
            missing = "" if parameters or not shape else "[Its parameters are left out.] "
            shorter["function"]["description"] = _cut(missing + str(about["description"]), left)
            return shorter
    return {**tool, "function": bare}


def _shortest(messages: list[Message]) -> list[Message]:
    return [
        _changed(message, lambda text: _cut(text, LEAST), lambda text: _cut_json(text, LEAST))
        for message in messages
    ]


def _changed(message: Message, change: Change, change_json: Change | None = None) -> Message:
    """The message with each of its texts changed; arguments of calls are texts of JSON."""
    made = dict(message)
    content = message["content"]
    if isinstance(content, str):
        made["content"] = change(content)
    else:
        made["content"] = [{**part, "text": change(part["text"])} for part in content]
    if thinking := message.get("thinking"):
        made["thinking"] = [{**thought, "content": change(thought["content"])} for thought in thinking]
    if calls := message.get("tool_calls"):
        made["tool_calls"] = [
            {**call, "function": {**function, "arguments": (change_json or change)(function["arguments"])}}
            for call in calls
            for function in [call["function"]]
        ]
    return made


def _texts(message: Message) -> list[str]:
    texts: list[str] = []

    def seen(text: str) -> str:
        texts.append(text)
        return text

    _changed(message, seen)
    return texts


def _level(sizes: Sequence[int], room: int) -> int:
    """The size to which the larger of these have to come down, so that all together take `room`."""
    for place, each in enumerate(sorted(sizes)):
        left = len(sizes) - place
        if each * left > room:
            return room // left
        room -= each
    return max(sizes, default=0)


def _cut(text: str, most: int) -> str:
    """The beginning of a text, as much as makes `most` bytes with the words that say so."""
    # A text has at least as many bytes as characters: what is far too long is not measured first.
    if len(text) <= most and _bytes(text) <= most:
        return text
    return _longest_head(text, most, _bytes, lambda said: said)


def _cut_json(text: str, most: int) -> str:
    """A text of JSON with the long texts in it cut, or its own beginning in an object of JSON."""
    if _bytes(text) <= most:
        return text
    for level in (most // 2, most // 8):
        try:
            shorter = dumps(_shortened(json.loads(text), max(level, LEAST)))
        except (ValueError, RecursionError):
            break
        if _bytes(shorter) <= most:
            return shorter
    return _longest_head(text, most, _bytes, lambda said: dumps({"cut": said}))


def _shortened(value: Any, most: int) -> Any:
    match value:
        case str():
            return _cut(value, most)
        case dict():
            return {name: _shortened(part, most) for name, part in value.items()}
        case list():
            return [_shortened(part, most) for part in value]
        case _:
            return value


def _longest_head(text: str, most: int, measured: Callable[[str], int], form: Change) -> str:
    length, text = _whole_length(text)

    def with_head(characters: int) -> str:
        return form(f"{text[:characters]}… [cut: the first {characters:,} of {length:,} characters]")

    candidates = range(min(len(text), max(most, 0)) + 1)
    fitting = bisect_right(candidates, most, key=lambda characters: measured(with_head(characters)))
    return with_head(max(fitting - 1, 0))


_CUT = re.compile(r"… \[cut: the first [\d,]+ of ([\d,]+) characters\]$")


def _whole_length(text: str) -> tuple[int, str]:
    """The characters of a text before it was cut, and what is left of it."""
    if (cut := _CUT.search(text, max(0, len(text) - LEAST))) is None:
        return len(text), text
    return int(cut[1].replace(",", "")), text[: cut.start()]


def _bytes(value: Any) -> int:
    written = dumps(value)
    return len(written) if written.isascii() else len(written.encode())
