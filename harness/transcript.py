"""Reading the SDK's transcripts: a tree of entries, in the order they were written.

Entries have `uuid`, `parentUuid`, `type` and, for user and assistant entries, a `message` of the Messages
API. Several entries of one model message carry one content block each. Notes of the CLI's have neither id.
A compaction begins a second root, a `compact_boundary`, and hangs its summary on it like a user's word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.stops import CUT

Entry = Mapping[str, Any]


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

    A `last-prompt` entry names the leaf at a clean exit. After a later exit that wrote none it is stale, and
    the CLI would go on from there: the newest call and its marker would be lost.
    """
    return [entry for entry in whole(transcript) if entry.get("type") != "last-prompt"]


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


def answer_in(entries: Sequence[Entry]) -> str | None:
    """The text of the answer that these entries end with; None where they end with none.

    An answer that was cut off at the longest that one may be goes on in the next message: the texts of all
    its messages are one, without a gap. What was said before the last tool call is not part of it.
    """
    parts: list[tuple[object, str]] = []
    for entry in since_prompt(entries):
        if entry.get("isApiErrorMessage") or entry.get("type") not in ("user", "assistant"):
            continue
        if entry.get("type") == "user":
            parts = [] if any(block.get("type") == "tool_result" for block in blocks(entry)) else parts
            continue
        texts = "\n\n".join(block["text"] for block in blocks(entry) if block.get("type") == "text")
        if parts and parts[-1][0] == message_id(entry):
            before = parts.pop()[1]
            texts = "\n\n".join(filter(None, (before, texts)))
        elif parts and not _cut_off(entries, parts[-1][0]):
            parts = []
        parts.append((message_id(entry), texts))
    return "".join(text for _, text in parts) or None


def _cut_off(entries: Iterable[Entry], message: object) -> bool:
    return any(
        entry["message"].get("stop_reason") in CUT
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
