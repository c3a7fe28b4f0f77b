"""Thinking blocks and their signatures: each is bound to its model and to all that stood before it.

A signature holds all that is needed to check it, so any process can, whatever was killed in between. It says
which model wrote the block, which thinking block came before it, and what system, tools and messages were.

Source: "Preserved thinking", https://platform.claude.com/docs/en/build-with-claude/preserved-thinking.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

from harness.offline.rules.families import family_of, reads
from harness.offline.rules.incoming import Block, Incoming, Message, as_blocks

CONTROLS = "thinking-binding-controls-2026-08-01"
"""The beta that lets a request choose what happens to a block that is bound to something else."""

BILLING = "x-anthropic-billing-header:"
"""How the CLI's line of the system prompt begins that the service takes out before it reads the prompt."""

THINKING = ("thinking", "redacted_thinking")
_UNLIKE = {
    "system": "The `system` prompt differs from the one the block was created with.",
    "tools": "The `tools` list differs from the one the block was created with.",
    "messages": "A message before the block differs from when the block was created.",
    "before": "The `thinking` blocks before it are not those that it was created after.",
}
_UNLIKE_LATEST = (
    "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified. These"
    " blocks must remain as they were in the original response."
)


@dataclass(frozen=True)
class _Signed:
    """What a signature says; `before` names the thinking block before it, "" for the first."""

    writer: str
    system: str
    tools: str
    messages: str
    before: str
    seal: str = ""

    def sealed(self, text: str) -> _Signed:
        """Bind it to the block's own text."""
        return replace(self, seal=_digest([*astuple(self)[:-1], text]))


def first_thinking(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the thinking block, without text, that an answer begins with; none if the model does not think."""
    kind = body.get("thinking", {}).get("type", "adaptive")
    return [thinking_block(body)] if family_of(body["model"]).thinks and kind == "adaptive" else []


def thinking_block(body: Mapping[str, Any], said: Sequence[Block] = (), text: str = "") -> dict[str, Any]:
    """Make the thinking block that an answer to this request has after the blocks `said`."""
    asked = Incoming(body, 0, {})
    reading = _Reading(asked)
    for message in asked.messages:
        reading.passes(message)
    reading.passes(Message(len(asked.messages), "assistant", said))
    signed = reading.here(asked.body["model"]).sealed(text)
    token = base64.b64encode("|".join(astuple(signed)).encode()).decode()
    return {"type": "thinking", "thinking": text, "signature": token}


def binding_broken(asked: Incoming) -> str | None:
    """Say which thinking block was changed, or stands behind something else than when it was made."""
    reading = _Reading(asked)
    newest = max((message.at for message in asked.messages if message.role == "assistant"), default=-1)
    dropping = asked.thinking.get("block_binding", {}).get("prefix_mismatch_behavior") == "drop_block"
    for message in asked.messages:
        reading.begins(message)
        for number, block in enumerate(message.blocks):
            if block["type"] not in THINKING:
                reading.reads(block)
                continue
            path, kind = f"messages.{message.at}.content.{number}", block["type"]
            field = "signature" if kind == "thinking" else "data"
            signed = _read(str(block.get(field, "")))
            if signed is None:
                return f"{path}: Invalid `{field}` in `{kind}` block"
            if signed.sealed(str(block.get("thinking", ""))) != signed:
                if message.at == newest:
                    return f"{path}: {_UNLIKE_LATEST}"
                return f"{path}: Invalid `{field}` in `{kind}` block"
            writer = family_of(signed.writer)
            if asked.family.binds and reads(asked.family, writer) and not dropping:
                here = reading.here(signed.writer)
                unlike = [name for name in _UNLIKE if getattr(signed, name) != getattr(here, name)]
                if not here.before and "before" in unlike:
                    unlike.remove("before")  # The first blocks of a conversation may be left out.
                if unlike:
                    return _bound(path, field, kind, unlike[0], CONTROLS in asked.betas)
            reading.before = signed.seal
    return None


def _bound(path: str, field: str, kind: str, unlike: str, controlled: bool) -> str:
    header = f" That setting requires the `{CONTROLS}` value in the `anthropic-beta` header."
    return (
        f"{path}: Invalid `{field}` in `{kind}` block. The block is bound to a different conversation. Remove"
        ' the block, or set `thinking.block_binding.prefix_mismatch_behavior` to "drop_block".'
        f"{'' if controlled else header} {_UNLIKE[unlike]}"
    )


class _Reading:
    """A request read from its beginning; what has been read so far is the prefix of what comes next.

    Thinking blocks are no part of it, and neither are cache marks and tools whose loading is deferred.
    """

    def __init__(self, asked: Incoming) -> None:
        system = [block for block in asked.system if not str(block.get("text")).startswith(BILLING)]
        self._system = _digest([_unmarked(block) for block in system])
        self._tools = _digest([_unmarked(tool) for tool in asked.tools if not tool.get("defer_loading")])
        self._asked = asked
        self._messages = hashlib.sha256()
        self._role = ""
        self.before = ""

    def begins(self, message: Message) -> None:
        """Begin a message. Messages of one role in a row are one turn, however they are parted."""
        given = self._asked.body["messages"]
        whole = given[message.at] if message.at < len(given) else {}
        more = {
            name: value for name, value in whole.items() if name not in ("role", "content", "cache_control")
        }
        if message.role != self._role or more:
            self._add([message.role, more])
        self._role = message.role

    def reads(self, block: Block) -> None:
        """Read a block that is no thinking."""
        self._add(_unmarked(block))

    def passes(self, message: Message) -> None:
        """Read a whole message without checking its thinking."""
        self.begins(message)
        for block in message.blocks:
            if block["type"] in THINKING:
                signed = _read(str(block.get("signature" if block["type"] == "thinking" else "data", "")))
                self.before = signed.seal if signed else ""
            else:
                self.reads(block)

    def here(self, writer: str) -> _Signed:
        """Say what a block that `writer` writes here is bound to."""
        return _Signed(writer, self._system, self._tools, _short(self._messages), self.before)

    def _add(self, value: Any) -> None:
        self._messages.update(_bytes(value))


def _read(token: str) -> _Signed | None:
    try:
        fields = base64.b64decode(token, validate=True).decode().split("|")
    except ValueError:
        return None
    return _Signed(*fields) if len(fields) == 6 else None


def _unmarked(block: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in block.items() if name != "cache_control"}
    if "content" in kept and block.get("type") == "tool_result":
        kept["content"] = [_unmarked(inner) for inner in as_blocks(kept["content"])]
    return kept


def _bytes(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode() + b"\n"


def _digest(value: Iterable[Any]) -> str:
    return _short(hashlib.sha256(_bytes(list(value))))


def _short(digest: Any) -> str:
    return str(digest.hexdigest()[:20])
