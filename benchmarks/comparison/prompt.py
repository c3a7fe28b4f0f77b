"""A request's prompt as bytes, in the order in which it is cached: tools, system, messages.

Marks for the cache are left out, for they are no part of what is hashed. It counts bytes and not tokens, for
nobody here has the model's tokenizer: four bytes are taken for a token.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.kit.script import Request

BYTES_A_TOKEN = 4


@dataclass(frozen=True)
class Block:
    """A tool, or a block of the system prompt or of a message; `marked` where the cache may end."""

    raw: bytes
    marked: bool


def blocks_of(body: Mapping[str, Any]) -> list[Block]:
    """The blocks of a request's prompt, in order."""
    blocks = [*fixed_blocks(body)]
    for message in body.get("messages", ()):
        blocks += [_block(each, message["role"]) for each in _parts(message["content"])]
    if "cache_control" in body and blocks:
        # A mark at the top of a request is one on its last block.
        blocks[-1] = Block(blocks[-1].raw, marked=True)
    return blocks


def fixed_blocks(body: Mapping[str, Any]) -> Iterator[Block]:
    """The blocks before the messages: tools and system prompt."""
    yield from (_block(tool, "tool") for tool in body.get("tools", ()))
    yield from (_block(part, "system") for part in _parts(body.get("system", ())))


def prompt_of(body: Mapping[str, Any]) -> bytes:
    """The whole prompt."""
    return joined(blocks_of(body))


def joined(blocks: Iterable[Block]) -> bytes:
    """The bytes of blocks, one after another."""
    return b"".join(block.raw for block in blocks)


def common(one: bytes, other: bytes) -> int:
    """How many bytes two prompts have in common from their beginning."""
    shorter = min(len(one), len(other))
    if one[:shorter] == other[:shorter]:
        return shorter
    return next(place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)


def tokens_of(request: Request) -> int:
    """About how many tokens the whole body of a request is."""
    return tokens_in(len(request.raw))


def tokens_written(content: Sequence[Mapping[str, Any]]) -> int:
    """About how many tokens the blocks of an answer are."""
    return tokens_in(len(json.dumps(content, ensure_ascii=False)))


def tokens_in(size: int) -> int:
    """About how many tokens so many bytes are."""
    return -(-size // BYTES_A_TOKEN)


def _parts(content: Any) -> list[Mapping[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _block(part: Mapping[str, Any], role: str) -> Block:
    said = {name: value for name, value in part.items() if name != "cache_control"}
    raw = json.dumps([role, said], ensure_ascii=False).encode(errors="replace")
    return Block(raw, "cache_control" in part)
