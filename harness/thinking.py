"""Thinking of a model that comes back to it: whole, behind all that it was thought after, or not at all.

A block's signature binds it to its own text and to what stood before it, so none that redaction has touched
may be sent, and none that stands behind something that redaction has touched. To leave out all blocks from
such a place on is always allowed; to leave out one among others is not.

Source: "Preserved thinking", https://platform.claude.com/docs/en/build-with-claude/preserved-thinking
"""

from __future__ import annotations

from typing import Any

from harness.redaction import Redactor

THINKING = ("thinking", "redacted_thinking")


def is_thinking(block: object) -> bool:
    """Whether a content block of a message is thinking, readable or not."""
    return isinstance(block, dict) and block.get("type") in THINKING


def redacted(value: Any, redactor: Redactor) -> Any:
    """Give the same structure without secrets, and without the thinking blocks that hold one."""
    return redactor.value(_without(value, redactor))


def without_thinking(message: dict[str, Any]) -> dict[str, Any]:
    """Give a message without its thinking; the very same if it has none."""
    content = message.get("content")
    if not isinstance(content, list) or not any(is_thinking(block) for block in content):
        return message
    return {**message, "content": [block for block in content if not is_thinking(block)]}


def _without(value: Any, redactor: Redactor) -> Any:
    match value:
        case dict():
            return {name: _without(part, redactor) for name, part in value.items()}
        case list():
            return [
                _without(part, redactor)
                for part in value
                if not is_thinking(part) or redactor.value(part) == part
            ]
        case _:
            return value
