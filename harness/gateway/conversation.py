"""Naming a conversation by what the model has been told, apart from what a resume adds to it.

After a kill the transcript may lack the newest response although it was completed and paid. The resumed CLI
then asks for the same conversation again, with some words of its own or of ours put in, and without the
secrets, which the transcript does not hold. Apart from these the two requests have the same name, and the
kept response answers the second.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from harness.redaction import Redactor

CLI_ADDS = frozenset({"Continue from where you left off.", "No response requested."})
"""What the CLI puts into a resumed conversation by itself: a user's text, and an answer to an open prompt."""

_REMINDER = re.compile(r"<(system-reminder|total_tokens)\b.*?</\1>\s*", re.DOTALL)

ELSEWHERE = re.compile(r"read the full transcript at: .*")
"""In a compaction's summary: a path in the folder of the attempt, which is another one after a kill."""


def conversation_key(request: Mapping[str, Any], added: Iterable[str], redactor: Redactor) -> str:
    """Hash a Messages request. `added` are the harness's own texts that a resume puts in.

    The key is the same before and after `redactor` has gone through the request.
    """
    left_out = CLI_ADDS | {redactor.text(text).strip() for text in added}
    told = [
        [role, block]
        for message in request.get("messages") or ()
        if (role := message.get("role")) in ("user", "assistant")
        for block in _blocks(message.get("content"), left_out, redactor)
    ]
    tools = sorted(str(tool.get("name")) for tool in request.get("tools") or ())
    text = json.dumps([request.get("model"), tools, told], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _blocks(content: Any, left_out: frozenset[str], redactor: Redactor) -> Iterator[Any]:
    for given in [{"type": "text", "text": content}] if isinstance(content, str) else content or ():
        if given.get("type") in ("thinking", "redacted_thinking"):
            continue
        block = redactor.value(given)
        match block.get("type"):
            case "text":
                text = ELSEWHERE.sub("", without_reminders(block.get("text")))
                if text and text not in left_out:
                    yield text
            case "tool_result":
                yield [block.get("tool_use_id"), _result_text(block.get("content"))]
            case "tool_use":
                yield [block.get("id"), block.get("name"), block.get("input")]
            case _:
                yield {name: value for name, value in block.items() if name != "cache_control"}


def _result_text(content: Any) -> Any:
    if isinstance(content, str):
        return without_reminders(content)
    parts = [without_reminders(part["text"]) if "text" in part else part for part in content or ()]
    return [part for part in parts if part]


def without_reminders(text: Any) -> str:
    """The text without what the CLI tells the model beside it: its environment, the date, what is left."""
    return _REMINDER.sub("", str(text)).strip()
