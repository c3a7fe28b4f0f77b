"""Transcripts in the form the CLI mirrors them, written by hand. `tests/sdk_facts` holds the form to the CLI.

    told = Transcript()
    told.prompt("Why?")
    told.says(text("Let me look."), tool_use("mcp__corpus__search", {"query": "tides"}, id="toolu_a"))
    told.result("toolu_a", "Nothing found.")
    told.says(text("I do not know."))

Each block of a message is an entry of its own; a tool's result hangs on the entry of its call, so that the
parents form a tree; entries of some kinds have no id and hang on nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.kit.script import Block

Entry = Mapping[str, Any]

COMMON = {
    "isSidechain": False,
    "sessionId": "claude-1",
    "cwd": "/somewhere",
    "version": "2.1.330",
    "gitBranch": "",
    "userType": "external",
    "entrypoint": "sdk-py",
    "timestamp": "2026-01-01T00:00:00.000Z",
}


class Transcript:
    """A Claude session's entries, oldest first."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._messages = 0

    def loose(self, kind: str, **fields: Any) -> None:
        """Add an entry that has neither id nor parent."""
        self.entries.append({"type": kind, "sessionId": COMMON["sessionId"], **fields})

    def prompt(self, said: str) -> None:
        """Add a prompt, with what the CLI writes before and after it."""
        self.loose("queue-operation", operation="enqueue", content=said)
        self.loose("queue-operation", operation="dequeue")
        self._add("user", message={"role": "user", "content": said})
        self.attachment("total_tokens_reminder")
        self.attachment("prompt_snapshot")

    def remark(self, said: str = "Continue from where you left off.") -> None:
        """Add a user entry of the CLI's own."""
        self._add("user", isMeta=True, message={"role": "user", "content": said})

    def attachment(self, kind: str, **fields: Any) -> None:
        """Add an attachment."""
        self._add("attachment", attachment={"type": kind, **fields})

    def says(self, *blocks: Block, stop: str | None = None, synthetic: bool = False) -> str:
        """Add an assistant message, one entry for each block, and give its id."""
        self._messages += 1
        message_id = f"msg_{self._messages}"
        called = any(block["type"] == "tool_use" for block in blocks)
        for block in blocks:
            if block["type"] == "tool_use":
                self.loose("tools-used", tools=[block["name"]])
            message = {
                "id": message_id,
                "role": "assistant",
                "model": "<synthetic>" if synthetic else "claude-test",
                "content": [dict(block)],
                "stop_reason": stop or ("tool_use" if called else "end_turn"),
            }
            self._add("assistant", message=message)
        return message_id

    def result(self, tool_use_id: str, said: str = "ok", *, error: bool = False) -> None:
        """Add a tool's result, as a child of its call."""
        call = self.call(tool_use_id)
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": tool_use_id, "content": said}
        if error:
            block["is_error"] = True
        message = {"role": "user", "content": [block]}
        self._add("user", parent=call["uuid"], message=message, sourceToolAssistantUUID=call["uuid"])

    def marker(self, tool_use_id: str) -> None:
        """Add the marker of a deferred call, as a child of the message's last entry."""
        call = self.call(tool_use_id)["message"]["content"][0]
        self.attachment(
            "hook_deferred_tool",
            toolUseID=tool_use_id,
            toolName=call["name"],
            toolInput=call["input"],
            hookName="settings",
            hookEvent="PreToolUse",
            permissionMode="dontAsk",
        )

    def ended(self) -> None:
        """Add what a clean exit leaves at the end."""
        self.loose("last-prompt", lastPrompt="Why?", leafUuid=self.leaf)

    def call(self, tool_use_id: str) -> Entry:
        """Find the entry of a call."""
        return next(entry for entry in self.entries if tool_use_id in calls_in([entry]))

    @property
    def leaf(self) -> str | None:
        """The newest entry's id."""
        return next((entry["uuid"] for entry in reversed(self.entries) if "uuid" in entry), None)

    def _add(self, kind: str, *, parent: str | None = None, **fields: Any) -> None:
        uuid = f"u{len(self.entries)}"
        parent = parent or self.leaf
        self.entries.append({**COMMON, "parentUuid": parent, "uuid": uuid, "type": kind, **fields})


def calls_in(entries: Iterable[Entry]) -> list[str]:
    """The ids of the tool calls in these entries, in order."""
    return [block["id"] for block in _blocks(entries, "assistant", "tool_use")]


def results_in(entries: Iterable[Entry]) -> list[str]:
    """The ids of the tool calls that have a result in these entries, in order."""
    return [block["tool_use_id"] for block in _blocks(entries, "user", "tool_result")]


def said_about(entries: Iterable[Entry], tool_use_id: str) -> str:
    """The result of a call, as JSON text."""
    found = [b for b in _blocks(entries, "user", "tool_result") if b["tool_use_id"] == tool_use_id]
    assert len(found) == 1, f"{len(found)} results for {tool_use_id}"
    return json.dumps(found[0])


def _blocks(entries: Iterable[Entry], role: str, kind: str) -> list[dict[str, Any]]:
    return [
        block
        for entry in entries
        if entry["type"] == role and isinstance(entry["message"]["content"], list)
        for block in entry["message"]["content"]
        if block["type"] == kind
    ]
