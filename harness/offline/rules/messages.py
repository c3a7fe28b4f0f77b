"""What the service asks of the messages: calls and their results, cache marks, images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.offline.rules.incoming import Incoming, placed_in
from harness.offline.rules.thinking import THINKING

IMAGE_BYTES = 5 * 1024 * 1024
"""Of an image, in the base64 that is sent."""

CACHE_MARKS = 4


def calls_have_results(asked: Incoming) -> str | None:
    """Whatever was called is answered in the turn after it."""
    following = [*asked.turns[1:], []]
    for turn, after in zip(asked.turns, following, strict=True):
        calls = [block["id"] for message in turn for block in message.blocks if block["type"] == "tool_use"]
        results = {block.get("tool_use_id") for message in after for block in message.blocks}
        lacking = [call for call in calls if call not in results]
        if lacking:
            return (
                f"messages.{turn[-1].at}: `tool_use` ids were found without `tool_result` blocks immediately"
                f" after: {', '.join(lacking)}. Each `tool_use` block must have a corresponding `tool_result`"
                " block in the next message."
            )
    return None


def results_have_calls(asked: Incoming) -> str | None:
    """Whatever is answered was called in the turn before, and is answered once."""
    calls: set[str] = set()
    for turn in asked.turns:
        answered: set[str] = set()
        for path, _, block in [placed for message in turn for placed in placed_in(message)]:
            if block["type"] != "tool_result":
                continue
            call = block["tool_use_id"]
            if call not in calls:
                return (
                    f"{path}: unexpected `tool_use_id` found in `tool_result` blocks: {call}. Each"
                    " `tool_result` block must have a corresponding `tool_use` block in the previous message."
                )
            if call in answered:
                return (
                    f"{path}: each tool_use must have a single result. Found multiple `tool_result` blocks"
                    f" with id: {call}"
                )
            answered.add(call)
        calls = {block["id"] for message in turn for block in message.blocks if block["type"] == "tool_use"}
    return None


def results_stand_first(asked: Incoming) -> str | None:
    """Text comes after the results."""
    for message in asked.messages:
        kinds = [block["type"] == "tool_result" for block in message.blocks]
        if kinds != sorted(kinds, reverse=True):
            return (
                f"messages.{message.at}: `tool_use` ids were found without `tool_result` blocks immediately"
                " after: the `tool_result` blocks of a user message must come before its other blocks."
            )
    return None


def calls_differ(asked: Incoming) -> str | None:
    """No two calls have one id."""
    seen: set[str] = set()
    for path, _, block in asked.blocks:
        if block["type"] == "tool_use":
            if block["id"] in seen:
                return f"{path}: `tool_use` ids must be unique"
            seen.add(block["id"])
    return None


def marks_are_few(asked: Incoming) -> str | None:
    """Cache marks are counted wherever they may stand, and the automatic one with them."""
    marked = [asked.body, *asked.system, *asked.tools, *(block for _, _, block in asked.blocks)]
    found = sum(1 for each in marked if each.get("cache_control"))
    if found > CACHE_MARKS:
        return f"A maximum of {CACHE_MARKS} blocks with cache_control may be provided. Found {found}."
    return None


def thinking_is_not_marked(asked: Incoming) -> str | None:
    """Thinking is cached with what follows it, and never by a mark of its own."""
    for path, _, block in asked.blocks:
        if block["type"] in THINKING and "cache_control" in block:
            return f"{path}.{block['type']}.cache_control: Extra inputs are not permitted"
    return None


def images_are_small(asked: Incoming) -> str | None:
    """Each image is within its limit, also within a tool's result."""
    for path, _, block in asked.blocks:
        size = len(base64_of(block)) if block["type"] == "image" else 0
        if size > IMAGE_BYTES:
            return (
                f"{path}.image.source.base64: image exceeds 5 MB maximum: {size} bytes > {IMAGE_BYTES} bytes"
            )
    return None


def base64_of(block: Mapping[str, Any]) -> str:
    """Give the base64 of an image or a document; empty where there is none."""
    source = block.get("source")
    return str(source.get("data", "")) if isinstance(source, Mapping) else ""
