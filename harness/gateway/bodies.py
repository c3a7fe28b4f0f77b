"""Reading what the model's service has answered whole: a message, or an error.

The form of a message is the public one: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.gateway.upstream import UpstreamLost
from harness.wire import StreamReader

_SHOWN = 300
"""Characters of an error that are kept."""

MOST_TOKENS = 10_000_000
"""Of one kind in one call: far more than any model takes or writes. What is above is no count."""

_COUNTED = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)


@dataclass(frozen=True)
class ErrorBody:
    """What an error's body says: the kind, by the Messages API's names, and a text; either may be empty."""

    kind: str
    text: str


def message_of(body: bytes) -> dict[str, Any]:
    """Read a message.

    Raises:
        UpstreamLost: it is none.
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise UpstreamLost("The model service answered, but not with readable JSON.") from problem
    if not is_message(message):
        said = error_of(body).text if isinstance(message, dict) and message.get("error") else ""
        raise UpstreamLost(f"The model service answered, but not with a message{said and ': ' + said}.")
    return dict(message)


def message_in(content_type: str, body: bytes) -> dict[str, Any] | None:
    """The message that an answer holds, as a stream or whole; None when there is none."""
    if "text/event-stream" in content_type:
        reader = StreamReader()
        reader.feed(body)
        return reader.message if is_message(reader.message) else None
    try:
        return message_of(body)
    except UpstreamLost:
        return None


def is_message(message: Any) -> bool:
    """Whether this is a whole message, and not an error or a page of a proxy's under the status 200."""
    if not isinstance(message, Mapping) or message.get("type") != "message":
        return False
    content = message.get("content")
    if not isinstance(content, list) or not message.get("stop_reason"):
        return False
    names = [message.get(name) or "" for name in ("id", "model", "stop_reason")]
    if not all(isinstance(name, str) and (not name or name.isprintable()) for name in names):
        return False
    return all(isinstance(block, Mapping) and isinstance(block.get("type"), str) for block in content)


def is_useful(message: Mapping[str, Any]) -> bool:
    """Whether an agent can go on from this message, so that it is worth giving again.

    It cannot from a refusal, or from one that says and calls nothing; thinking alone is nothing. One that was
    cut off (`max_tokens`, `pause_turn`) is gone on from at its end.
    """
    if message["stop_reason"] == "refusal":
        return False
    return any(
        block["type"] not in ("thinking", "redacted_thinking", "text") or str(block.get("text") or "").strip()
        for block in message["content"]
    )


def counts_of(usage: Any) -> dict[str, int] | None:
    """The tokens that an answer says it used, of each kind; None when it says nothing that can be a count."""
    if not isinstance(usage, Mapping) or not usage:
        return None
    counts: dict[str, int] = {}
    for name in _COUNTED:
        count = usage.get(name)
        if count is None:
            count = 0
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= MOST_TOKENS:
            return None
        counts[name] = count
    return counts


def error_of(body: bytes) -> ErrorBody:
    """Read an error in whatever form it comes."""
    try:
        error = json.loads(body).get("error") or {}
    except (ValueError, AttributeError, RecursionError):
        return ErrorBody("", body[:_SHOWN].decode(errors="replace"))
    if not isinstance(error, dict):
        return ErrorBody("", str(error)[:_SHOWN])
    return ErrorBody(str(error.get("type") or ""), str(error.get("message") or "")[:_SHOWN])
