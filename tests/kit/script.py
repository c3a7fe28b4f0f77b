"""What a script of the played model sees and says: requests, replies and the blocks they are made of.

A script is a function of one request:

    def script(request: Request) -> Reply:
        if request.turn == 0:
            return Reply([text("Let me look."), tool_use("mcp__corpus__search", {"query": "tides"})])
        return Reply([structured({"summary": request.tool_results()[-1].text})], usage=Tokens(900, 80))

It should depend on the request only, so that a retried or resumed request gets the same answer.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from tests.kit.smallest import smallest

Block = Mapping[str, Any]
"""A content block of the Messages API, or what `structured` gives (made a real one when it is sent)."""

Fault = Literal["cut_mid_block", "cut_before_delta", "cut_before_stop", "malformed", "error_event", "hang"]
"""How a reply goes wrong: the connection closes in the middle of the last block, before `message_delta` (the
final usage is never told), or before `message_stop` (it was told); one event is not JSON; an `error` event
takes the place of the end; nothing is ever sent."""

STRUCTURED_OUTPUT = "StructuredOutput"

_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)


@dataclass(frozen=True)
class Tokens:
    """The usage numbers of a reply, named and counted as in the Messages API."""

    input_tokens: int = 100
    output_tokens: int = 20
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


NO_TOKENS = Tokens(0, 0)


@dataclass(frozen=True)
class ToolUse:
    """A tool call found in the history."""

    id: str
    name: str
    input: dict[str, Any]


@dataclass(frozen=True)
class ToolResult:
    """A tool's result found in the history; `name` is the tool's, `text` leaves out the CLI's reminders."""

    id: str
    name: str
    text: str
    is_error: bool

    def json(self) -> Any:
        """Parse the text as JSON."""
        return json.loads(self.text)


@dataclass(frozen=True)
class Request:
    """One `POST /v1/messages`, with the questions scripts ask of it. Header names are in lower case."""

    number: int
    headers: Mapping[str, str]
    raw: bytes = field(repr=False)

    @cached_property
    def body(self) -> dict[str, Any]:
        """The parsed body."""
        parsed: dict[str, Any] = json.loads(self.raw)
        return parsed

    @property
    def session(self) -> str:
        """The CLI's session id, or "" for a caller that does not send one."""
        return self.headers.get("x-claude-code-session-id", "")

    @property
    def api_key(self) -> str:
        """The key the caller sent in x-api-key or as a bearer token, or ""."""
        return self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def model(self) -> str:
        """The model asked for."""
        return str(self.body["model"])

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The history, each message's content as a list of blocks."""
        return [{**message, "content": _blocks(message["content"])} for message in self.body["messages"]]

    @property
    def tools(self) -> list[str]:
        """The names of the tools offered, in order; those that are to be loaded later are not yet."""
        return [tool["name"] for tool in self.body.get("tools", ()) if not tool.get("defer_loading")]

    def offers(self, tool: str) -> bool:
        """Say whether a tool of that name is offered."""
        return tool in self.tools

    def input_schema(self, tool: str) -> dict[str, Any]:
        """Give the input schema an offered tool was declared with."""
        schema: dict[str, Any] = next(t for t in self.body["tools"] if t["name"] == tool)["input_schema"]
        return schema

    @property
    def system_text(self) -> str:
        """The system prompt's blocks, joined by blank lines."""
        return "\n\n".join(block["text"] for block in _blocks(self.body.get("system", "")))

    @property
    def first_user_text(self) -> str:
        """The text the conversation began with, without the CLI's reminders: what tells agents apart."""
        return next((said for message in self.messages if (said := _user_text(message))), "")

    @property
    def last_user_text(self) -> str:
        """The newest text of the user side, without the CLI's reminders."""
        return next((said for message in reversed(self.messages) if (said := _user_text(message))), "")

    @property
    def turn(self) -> int:
        """How many assistant messages the history holds: 0 for the first request."""
        return sum(message["role"] == "assistant" for message in self.messages)

    @property
    def is_auxiliary(self) -> bool:
        """Guess whether this is a call of the CLI's own: it offers no tool an agent could call.

        Wrong for an agent without any tool: tell that one by its `system_text`.
        """
        return all("input_schema" not in tool for tool in self.body.get("tools", ()))

    def tool_uses(self) -> list[ToolUse]:
        """List all tool calls in the history, oldest first."""
        blocks = [block for message in self.messages for block in message["content"]]
        return [ToolUse(b["id"], b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"]

    def tool_results(self, tool: str | None = None) -> list[ToolResult]:
        """List the tool results in the history, oldest first; only those of `tool`, if given."""
        names = {use.id: use.name for use in self.tool_uses()}
        results = [
            ToolResult(
                block["tool_use_id"],
                names.get(block["tool_use_id"], ""),
                _prose(_blocks(block.get("content", ""))),
                bool(block.get("is_error")),
            )
            for message in self.messages
            for block in message["content"]
            if block["type"] == "tool_result"
        ]
        return [result for result in results if tool in (None, result.name)]

    @property
    def answer_tool(self) -> str | None:
        """The tool a typed answer has to be given with: StructuredOutput, or the one `tool_choice` forces."""
        if self.offers(STRUCTURED_OUTPUT):
            return STRUCTURED_OUTPUT
        forced = (self.body.get("tool_choice") or {}).get("name")
        own = [tool["name"] for tool in self.body.get("tools", ()) if "input_schema" in tool]
        return forced if forced in own else None

    @property
    def answer_schema(self) -> dict[str, Any] | None:
        """The JSON Schema a typed answer has to fit, or None when prose is asked for."""
        if self.answer_tool:
            return self.input_schema(self.answer_tool)
        asked = (self.body.get("output_config") or {}).get("format") or self.body.get("output_format") or {}
        schema: dict[str, Any] | None = asked.get("schema")
        return schema


@dataclass(frozen=True)
class Reply:
    """What the model says to one request, how fast, and what goes wrong on the way.

    `first_token_s` passes before the first byte, `between_blocks_s` between content blocks, and
    `between_deltas_s` between the pieces of a block. A block is sent in at most `deltas` pieces. With `hold`
    (an event, or a file that must come to exist) the reply waits after `hold_after` blocks; 0 is before the
    first byte. A `status` other than 200 is sent with `error` as its message. `headers` are added. `model` is
    the name that it answers under, where that is not the one it was asked by.
    """

    content: Sequence[Block] = ()
    usage: Tokens = Tokens()
    stop_reason: str | None = None
    first_token_s: float = 0.0
    between_blocks_s: float = 0.0
    between_deltas_s: float = 0.0
    deltas: int = 4
    hold: threading.Event | Path | None = None
    hold_after: int = 0
    fault: Fault | None = None
    status: int = 200
    error: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None


Script = Callable[[Request], Reply]


def text(value: str) -> Block:
    """Make a text block."""
    return {"type": "text", "text": value}


def thinking(value: str = "") -> Block:
    """Make a thinking block; it is signed when it is sent. Without one, models that think begin with one."""
    return {"type": "thinking", "thinking": value}


def tool_use(name: str, input: Mapping[str, Any], id: str | None = None) -> Block:
    """Make a tool call; without `id` it gets a new one each time it is sent."""
    return {"type": "tool_use", "id": id, "name": name, "input": dict(input)}


def structured(value: Any) -> Block:
    """Make a typed answer, given the way the request asks: StructuredOutput, a forced tool, or JSON text."""
    return {"type": "structured", "value": value}


def refused(status: int, message: str = "Scripted failure.", *, retry_after: float | None = None) -> Reply:
    """Make an HTTP error with the body the Messages API would send."""
    headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
    return Reply(status=status, error=message, headers=headers)


def in_turn(*replies: Reply) -> Script:
    """Make a script for one conversation: the nth reply follows n assistant messages, the last repeats."""
    return lambda request: replies[min(request.turn, len(replies) - 1)]


def generic(request: Request) -> Reply:
    """Answer anything: the smallest instance of the schema when a typed answer is asked for, else a text."""
    if request.answer_schema is None:
        return Reply([text("Understood.")])
    return Reply([structured(smallest(request.answer_schema))])


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _user_text(message: Mapping[str, Any]) -> str:
    return _prose(message["content"]) if message["role"] == "user" else ""


def _prose(blocks: Sequence[Block]) -> str:
    """Join the texts of blocks; the CLI's reminders, also those it appends to tool results, are left out."""
    texts = [_REMINDER.sub("", block["text"]).strip("\n") for block in blocks if block["type"] == "text"]
    return "\n".join(value for value in texts if value)
