"""Results that were too long to be given whole: reading on by their reference, and joining the parts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.offline.conversation import Call, Conversation, ToolUse

READ_RESULT = "read_result"
MOST_PARTS = 20
"""Readings of one result; what is beyond them stays unread."""

_CUT = re.compile(
    r"(?:\n\n)?\[Cut after \d+ of \d+ characters\.[^\[\]{}]*(\{[^{}]*\})\]"
    r"(?:\s*<system-reminder>(?:(?!</system-reminder>).)*</system-reminder>)*\s*\Z",
    re.DOTALL,
)


def with_whole_results(conversation: Conversation) -> Conversation:
    """Give the conversation with its cut results joined from the parts that have been read."""
    return replace(
        conversation,
        calls=tuple(_joined(call, conversation.calls) for call in conversation.calls),
        earlier=tuple(_joined(call, conversation.earlier) for call in conversation.earlier),
    )


def read_on(conversation: Conversation) -> list[ToolUse]:
    """Give the calls that read on in results that are still cut; none when the tool is not offered."""
    tool = next((name for name in conversation.tools if name.split("__")[-1] == READ_RESULT), None)
    if tool is None or conversation.hurried:
        return []
    return [
        ToolUse(tool, {"reference": reference, "offset": offset})
        for call in conversation.calls
        if not _reads(call)
        for reference, offset in _next_part(call, conversation.calls)
    ]


def _joined(call: Call, calls: Sequence[Call]) -> Call:
    cut = _cut(call)
    if cut is None or call.result is None:
        return call
    parts = [str(data.get("text", "")) for data in _parts(cut[0], calls)]
    return replace(call, result="".join([_CUT.sub("", call.result), *parts]))


def _next_part(call: Call, calls: Sequence[Call]) -> Iterable[tuple[str, int]]:
    cut = _cut(call)
    if cut is None:
        return
    reference, begin = cut
    made = [one for one in calls if _reads(one) and one.input.get("reference") == reference]
    if not made:
        yield reference, begin
        return
    read = list(_parts(reference, calls))
    following = read[-1].get("next_offset") if read else None
    if len(made) == len(read) and len(made) < MOST_PARTS and isinstance(following, int):
        yield reference, following


def _cut(call: Call) -> tuple[str, int] | None:
    """Give a cut result's reference and where to read on; None for a whole one."""
    found = None if call.failed or call.result is None else _CUT.search(call.result)
    try:
        told = json.loads(found[1]) if found else {}
    except ValueError:
        return None
    reference, offset = told.get("reference"), told.get("offset")
    return (reference, offset) if isinstance(reference, str) and isinstance(offset, int) else None


def _parts(reference: str, calls: Iterable[Call]) -> Iterable[dict[str, object]]:
    for call in calls:
        if _reads(call) and call.input.get("reference") == reference:
            data = call.data
            if isinstance(data, dict):
                yield data


def _reads(call: Call) -> bool:
    return call.name.split("__")[-1] == READ_RESULT
