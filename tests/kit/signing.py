"""Signed thinking as the real service gives it: a block is bound to what stood before it, and is checked.

Source: "Preserved thinking", https://platform.claude.com/docs/en/build-with-claude/preserved-thinking. The
service may leave out the first blocks of a conversation; any other must stand behind the one it stood behind.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.kit.script import Block, Request

BILLING = "x-anthropic-billing-header:"
"""How the line of a system prompt begins that the service takes out."""

_THINKING = ("thinking", "redacted_thinking")


def thought(request: Request, text: str) -> Block:
    """Make the thinking block with which the answer to a request begins."""
    *_, (_, prefix, before) = _thinking(request.body)
    return {"type": "thinking", "thinking": text, "signature": _signature(prefix, before, text)}


def broken(request: Request) -> str | None:
    """Say which thinking block of a request was changed, or stands behind something else than it did."""
    for block, prefix, before in _thinking(request.body):
        if block is None:
            continue
        signed = _read(str(block.get("signature")))
        if signed is None or signed["text"] != _digest(block.get("thinking")):
            return "`thinking` blocks cannot be modified."
        if signed["prefix"] != prefix or before not in ("", signed["before"]):
            return "Invalid `signature` in `thinking` block. The block is bound to a different conversation."
    return None


def _thinking(body: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any] | None, str, str]]:
    """Each thinking block with the prefix and the thinking before it, and at last None for the next one."""
    system = [block for block in _blocks(body.get("system", ())) if not block["text"].startswith(BILLING)]
    seen: list[Any] = [[_plain(block) for block in system], [_plain(tool) for tool in body.get("tools", ())]]
    before, role = "", None
    for message in body["messages"]:
        if message["role"] != role:
            role = message["role"]
            seen.append(role)
        for block in _blocks(message["content"]):
            if block["type"] in _THINKING:
                yield block, _digest(seen), before
                before = _digest(block)
            else:
                seen.append(_plain(block))
    if role != "assistant":
        seen.append("assistant")
    yield None, _digest(seen), before


def _signature(prefix: str, before: str, text: str) -> str:
    signed = {"prefix": prefix, "before": before, "text": _digest(text)}
    return base64.b64encode(json.dumps(signed).encode()).decode()


def _read(signature: str) -> dict[str, str] | None:
    try:
        signed: dict[str, str] = json.loads(base64.b64decode(signature, validate=True))
    except ValueError:
        return None
    return signed


def _blocks(content: Any) -> list[Mapping[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _plain(block: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in block.items() if name != "cache_control"}
    if block.get("type") == "tool_result":
        kept["content"] = [_plain(inner) for inner in _blocks(kept.get("content", ()))]
    return kept


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:20]
