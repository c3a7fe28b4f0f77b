"""Reading the SDK's transcripts: a tree of entries, in the order they were written.

Entries have `uuid`, `parentUuid`, `type` and, for user and assistant entries, a `message` of the Messages
API. Several entries of one model message carry one content block each. Notes of the CLI's have neither id.
A compaction begins a second root, a `compact_boundary`, and hangs its summary on it like a user's word.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.redaction import FAILED, REDACTED
from harness.stops import CUT, PAUSED
from harness.thinking import is_thinking

Entry = Mapping[str, Any]

REDACTION = "harnessRedacted"
"""The field of a stored entry that says whether redaction has changed it. Older entries lack it."""


@dataclass(frozen=True)
class ToolUse:
    """A tool call found in a transcript, and the entry that carries it."""

    tool_use_id: str
    name: str
    input: dict[str, Any]
    entry: Entry


def whole(transcript: Iterable[Entry]) -> list[Entry]:
    """Keep, in order, the entries that hang on an unbroken chain of parents; those without an id all stay."""
    kept: set[str] = set()
    entries: list[Entry] = []
    for entry in transcript:
        parent = entry.get("parentUuid")
        if parent is not None and parent not in kept:
            continue
        entries.append(entry)
        if entry.get("uuid"):
            kept.add(entry["uuid"])
    return entries


def view_for_cli(transcript: Iterable[Entry]) -> list[Entry]:
    """The transcript as a CLI should load it: without holes, and without notes of where a process once ended.

    Nor has it thinking that the model's service would refuse by now.

    A `last-prompt` entry names the leaf at a clean exit. After a later exit that wrote none it is stale, and
    the CLI would go on from there: the newest call and its marker would be lost.
    """
    return as_it_was(entry for entry in whole(transcript) if entry.get("type") != "last-prompt")


def as_it_was(transcript: Iterable[Entry]) -> list[Entry]:
    """Leave out all thinking from the first entry on that redaction has changed: it is bound to what was.

    Entries that held nothing else are left out as well; what hung on one then hangs on its parent.
    """
    given = list(transcript)
    last = max((n for n, entry in enumerate(given) if any(map(is_thinking, blocks(entry)))), default=-1)
    entries: list[Entry] = []
    instead: dict[object, object] = {}
    changed = False
    for number, stored in enumerate(given):
        # To look for placeholders takes longer than the rest, so only what has thinking behind it is read.
        changed = changed or _was_redacted(stored, unmarked=number <= last)
        entry = {name: part for name, part in stored.items() if name != REDACTION}
        if entry.get("parentUuid") in instead:
            entry["parentUuid"] = instead[entry["parentUuid"]]
        content = (entry.get("message") or {}).get("content")
        if changed and entry.get("type") == "assistant" and isinstance(content, list):
            kept = [block for block in content if not is_thinking(block)]
            if not kept:
                instead[entry.get("uuid")] = entry.get("parentUuid")
                continue
            entry["message"] = {**entry["message"], "content": kept}
        entries.append(entry)
    return entries


def _was_redacted(entry: Entry, *, unmarked: bool) -> bool:
    """Whether an entry is not as the model's service knows it; without a mark, its placeholders tell."""
    if REDACTION in entry or not unmarked:
        return bool(entry.get(REDACTION))
    text = json.dumps(entry)
    return REDACTED in text or FAILED in text


def has_call_and_marker(transcript: Sequence[Entry], tool_use_id: str) -> bool:
    """Whether a stored transcript proves that this call was made and deferred."""
    entries = whole(transcript)
    made = any(call.tool_use_id == tool_use_id for call in tool_calls(entries))
    return made and marked(entries, tool_use_id)


def has_call(transcript: Sequence[Entry], tool_use_id: str) -> bool:
    """Whether a stored transcript holds this call, still without a result."""
    return any(call.tool_use_id == tool_use_id for call in open_calls(whole(transcript)))


def blocks(entry: Entry) -> list[dict[str, Any]]:
    """The content blocks of an entry's message; none where its content is plain text."""
    content = (entry.get("message") or {}).get("content")
    return content if isinstance(content, list) else []


def tool_calls(entries: Iterable[Entry]) -> list[ToolUse]:
    """Every tool call in these entries, in order."""
    return [
        ToolUse(block["id"], block["name"], block.get("input") or {}, entry)
        for entry in entries
        if entry.get("type") == "assistant"
        for block in blocks(entry)
        if block.get("type") == "tool_use"
    ]


def tool_results(entries: Iterable[Entry]) -> dict[str, bool]:
    """The calls that have a result, and whether it is one that can be used."""
    return {
        block["tool_use_id"]: not block.get("is_error")
        for entry in entries
        if entry.get("type") == "user"
        for block in blocks(entry)
        if block.get("type") == "tool_result"
    }


def refused_by_cli(entries: Iterable[Entry]) -> set[str]:
    """The calls that the CLI refused itself, unknown tools for example: no hook was asked about them."""
    return {
        block["tool_use_id"]
        for entry in entries
        if entry.get("type") == "user"
        for block in blocks(entry)
        if block.get("type") == "tool_result" and block.get("is_error")
        if str(block.get("content")).startswith("<tool_use_error>")
    }


def _is_prompt(entry: Entry) -> bool:
    """Whether an entry is the user's own word: neither results nor a remark of the CLI's."""
    if entry.get("type") != "user" or entry.get("isMeta"):
        return False
    content = blocks(entry)
    return not content or any(block.get("type") != "tool_result" for block in content)


def since_prompt(entries: Sequence[Entry]) -> Sequence[Entry]:
    """The entries after the user's last word."""
    last = max((n for n, entry in enumerate(entries) if _is_prompt(entry)), default=-1)
    return entries[last + 1 :]


def open_calls(entries: Sequence[Entry]) -> list[ToolUse]:
    """The last message's calls without a result. A later prompt closes them: the CLI answers for them."""
    recent = since_prompt(entries)
    answered = tool_results(recent)
    last_message = next((message_id(e) for e in reversed(recent) if e.get("type") == "assistant"), None)
    return [
        call
        for call in tool_calls(recent)
        if call.tool_use_id not in answered and message_id(call.entry) == last_message
    ]


def answer_in(entries: Sequence[Entry], told: Sequence[str] = ()) -> str | None:
    """The text of the answer that these entries end with; None where they end with none.

    An answer that was cut off, or paused, goes on in the next message, also after a resume: the texts of all
    its messages are one, without a gap. What was said before the last tool call is not part of it, nor before
    a prompt by which its agent was `told` something new.
    """
    parts: list[tuple[object, str]] = []
    for entry in entries:
        if entry.get("type") not in ("user", "assistant") or _is_clis_own(entry):
            continue
        if entry.get("type") == "user":
            prompted = _is_prompt(entry) and not (parts and _goes_on(entries, parts[-1][0]))
            news = any(word in heard for heard in texts([entry]) for word in told)
            ended = any(block.get("type") == "tool_result" for block in blocks(entry))
            parts = [] if prompted or news or ended else parts
            continue
        said = [block["text"] for block in blocks(entry) if block.get("type") == "text"]
        if parts and parts[-1][0] == message_id(entry):
            # Of several texts of one message the last is the answer; the CLI takes it so, too.
            said = [parts.pop()[1], *said]
        elif parts and not _goes_on(entries, parts[-1][0]):
            parts = []
        parts.append((message_id(entry), said[-1] if said else ""))
    return "".join(text for _, text in parts) or None


def _is_clis_own(entry: Entry) -> bool:
    """Whether the CLI has written this in the model's place."""
    return bool(entry.get("isApiErrorMessage")) or entry["message"].get("model") == "<synthetic>"


def _goes_on(entries: Iterable[Entry], message: object) -> bool:
    """Whether the answer did not end with this message."""
    return any(
        entry["message"].get("stop_reason") in CUT | {PAUSED}
        for entry in entries
        if entry.get("type") == "assistant" and message_id(entry) == message
    )


def message_id(entry: Entry) -> object:
    """The id of the model message that a user or assistant entry belongs to."""
    return entry["message"].get("id")


def marked(entries: Sequence[Entry], tool_use_id: str) -> bool:
    """Whether the newest deferral marker is for this call."""
    markers = [
        entry["attachment"].get("toolUseID")
        for entry in entries
        if entry.get("type") == "attachment"
        and (entry.get("attachment") or {}).get("type") == "hook_deferred_tool"
    ]
    return markers[-1:] == [tool_use_id]


def texts(entries: Iterable[Entry]) -> list[str]:
    """What the user's side said in these entries: prompts, and the texts of tool results."""
    found = []
    for entry in entries:
        if entry.get("type") != "user":
            continue
        content = (entry.get("message") or {}).get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else blocks(entry)
        for part in parts:
            inner = part.get("content")
            nested = [{"text": inner}] if isinstance(inner, str) else inner or ()
            found += [str(each["text"]) for each in (part, *nested) if "text" in each]
    return found
