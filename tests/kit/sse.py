"""Replies on the wire: complete message, events and error body, as the Messages API sends them.

Written for the tests alone, so that the product's reader and writer of streams do not check themselves.
Source of the event order and names: https://docs.anthropic.com/en/api/messages-streaming
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from harness.offline.rules import THINKING, first_thinking, thinking_block
from tests.kit.script import Block, Reply, Request

PROVISIONAL_OUTPUT_TOKENS = 3
"""What `message_start` says of the output: a placeholder, as in the real API. `message_delta` tells it."""

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def event(kind: str, **fields: Any) -> bytes:
    """Encode one server-sent event."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def error_body(status: int, message: str) -> dict[str, Any]:
    """Give the body of an HTTP error."""
    return {"type": "error", "error": {"type": _ERROR_TYPES.get(status, "api_error"), "message": message}}


def message_of(reply: Reply, request: Request) -> dict[str, Any]:
    """Give the complete message: what a call without streaming answers."""
    content = [_sent(block, request) for block in reply.content]
    if content and not any(block["type"] in THINKING for block in content):
        content = [*first_thinking(request.body), *content]
    for number, block in enumerate(content):
        if block["type"] == "thinking" and "signature" not in block:
            content[number] = thinking_block(request.body, content[:number], block["thinking"])
    called = any(block["type"] == "tool_use" for block in content)
    return {
        "id": f"msg_{uuid.uuid4().hex[:24]}",
        "type": "message",
        "role": "assistant",
        "model": reply.model or request.model,
        "content": content,
        "stop_reason": reply.stop_reason or ("tool_use" if called else "end_turn"),
        "stop_sequence": None,
        "usage": asdict(reply.usage),
    }


def _sent(block: Block, request: Request) -> dict[str, Any]:
    if block["type"] == "tool_use":
        return {**block, "id": block["id"] or f"toolu_{uuid.uuid4().hex[:24]}"}
    if block["type"] != "structured":
        return dict(block)
    if request.answer_tool is None:
        return {"type": "text", "text": json.dumps(block["value"])}
    call = {"type": "tool_use", "id": None, "name": request.answer_tool, "input": block["value"]}
    return _sent(call, request)


def opening(message: dict[str, Any]) -> Iterator[bytes]:
    """Give the events before the first block."""
    usage = {**message["usage"], "output_tokens": PROVISIONAL_OUTPUT_TOKENS}
    begun = {**message, "content": [], "stop_reason": None, "usage": usage}
    yield event("message_start", message=begun)
    yield event("ping")


def block_events(index: int, block: dict[str, Any], deltas: int) -> list[bytes]:
    """Give the events of one content block, cut into at most `deltas` pieces."""
    match block["type"]:
        case "text":
            start, pieces = {**block, "text": ""}, _pieces(block["text"], deltas)
            changes = [{"type": "text_delta", "text": piece} for piece in pieces]
        case "thinking":
            start, pieces = {**block, "thinking": "", "signature": ""}, _pieces(block["thinking"], deltas)
            changes = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
            changes.append({"type": "signature_delta", "signature": block["signature"]})
        case "tool_use":
            start, pieces = {**block, "input": {}}, _pieces(json.dumps(block["input"]), deltas)
            changes = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        case _:
            start, changes = block, []
    return [
        event("content_block_start", index=index, content_block=start),
        *(event("content_block_delta", index=index, delta=change) for change in changes),
        event("content_block_stop", index=index),
    ]


def message_delta(message: dict[str, Any]) -> bytes:
    """Give the event that tells why the message ended and what it really used."""
    end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    return event("message_delta", delta=end, usage=message["usage"])


def message_stop() -> bytes:
    """Give the last event."""
    return event("message_stop")


def _pieces(value: str, count: int) -> Sequence[str]:
    size = max(1, -(-len(value) // count))
    return [value[start : start + size] for start in range(0, len(value), size)]
