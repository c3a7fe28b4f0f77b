"""The Messages API's stream of server-sent events: write one, and read one for almost nothing.

The format is the public one of streaming Messages: https://docs.claude.com/en/api/messages-streaming
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

PIECE = 160
"""Characters of text, thinking or tool input that one delta written by `stream_of` carries."""

_LATE = ("stop_reason", "stop_sequence")
_TOOL_BLOCKS = ("tool_use", "server_tool_use", "mcp_tool_use")


def stream_of(message: Mapping[str, Any]) -> list[bytes]:
    """Give a complete message as its event stream, one event each, from message_start to message_stop."""
    usage = message.get("usage")
    late = {name: message[name] for name in _LATE if name in message}
    opening: dict[str, Any] = {**message, **dict.fromkeys(late), "content": []}
    if usage and "output_tokens" in usage:
        opening["usage"] = {**usage, "output_tokens": 0}
    events = [_event("message_start", message=opening)]
    for index, block in enumerate(message.get("content", ())):
        empty, deltas = _in_pieces(block)
        events.append(_event("content_block_start", index=index, content_block=empty))
        events += [_event("content_block_delta", index=index, delta=delta) for delta in deltas]
        events.append(_event("content_block_stop", index=index))
    closing: dict[str, Any] = {"delta": late}
    if usage:
        closing["usage"] = usage
    events += [_event("message_delta", **closing), _event("message_stop")]
    return events


class StreamReader:
    """Reads one message's stream as it passes, in chunks of any size; a chunk never raises.

    Only the events that open, close or break a message are parsed on the way; `message` parses the rest
    when it is asked for. What cannot be read is never an exception: the stream then stays incomplete.

    `message_id`, `model`, `stop_reason` and `usage` (the API's own dict, later counts over earlier ones)
    hold what has been announced so far. `content_seen` turns true with the first content_block_delta.
    `error` is the API's error object ({"type", "message"}) when the stream carried one. `raw` is every
    byte fed so far.
    """

    def __init__(self) -> None:
        self.message_id: str | None = None
        self.model: str | None = None
        self.stop_reason: str | None = None
        self.usage: dict[str, Any] = {}
        self.content_seen = False
        self.error: dict[str, Any] | None = None
        self.raw = bytearray()
        self._border = b""
        self._start = 0
        self._opened = self._stopped = self._malformed = False
        self._message: dict[str, Any] | None = None

    @property
    def begun(self) -> bool:
        """Whether a message was opened."""
        return self._opened

    @property
    def complete(self) -> bool:
        """Whether the message was opened and stopped in good order, with no error in between.

        This looks at the frame alone; `message` is None as well when a block inside cannot be read.
        """
        return self._opened and self._stopped and not self._malformed and self.error is None

    @property
    def message(self) -> dict[str, Any] | None:
        """The whole message, or None while it is incomplete or when it cannot be read."""
        if self._message is None and self.complete:
            try:
                self._message = _assemble(self._events())
            except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
                self._malformed = True
        return self._message

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream, wherever they were cut."""
        raw = self.raw
        searched = max(self._start, len(raw) - 3)  # a border may lie across two chunks
        raw += chunk
        if not self._border and not self._find_border():
            return
        border, step = self._border, len(self._border)
        end = raw.find(border, searched)
        while end >= 0:
            if raw.startswith(b"event: content_block_delta", self._start):
                self.content_seen = True
            else:
                self._note(bytes(raw[self._start : end]))
            self._start = end + step
            end = raw.find(border, self._start)

    def _find_border(self) -> bool:
        line = self.raw.find(b"\n")
        if line >= 0:
            self._border = b"\r\n\r\n" if self.raw[:line].endswith(b"\r") else b"\n\n"
        return line >= 0

    def _note(self, event: bytes) -> None:
        name, data = _fields(event)
        try:
            if name in ("message_start", "message_delta", "error") or (data and not name):
                body = json.loads(data)
                self._note_body(name or body["type"], body)
            elif name == "message_stop":
                self._stopped = True
            elif name == "content_block_delta":
                self.content_seen = True
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self._malformed = True

    def _note_body(self, name: str, body: dict[str, Any]) -> None:
        if name == "message_start":
            self._malformed |= self._opened
            self._opened = True
            self.message_id = body["message"].get("id")
            self.model = body["message"].get("model")
            self.usage = dict(body["message"].get("usage") or {})
        elif name == "message_delta":
            self.stop_reason = body["delta"].get("stop_reason")
            self.usage = _later(self.usage, body.get("usage"))
        elif name == "error":
            self.error = dict(body["error"])
        elif name == "message_stop":
            self._stopped = True
        elif name == "content_block_delta":
            self.content_seen = True

    def _events(self) -> Iterator[dict[str, Any]]:
        for event in bytes(self.raw[: self._start]).split(self._border):
            _, data = _fields(event)
            if data:
                yield json.loads(data)


def _event(name: str, **fields: Any) -> bytes:
    data = json.dumps({"type": name, **fields}, separators=(",", ":"))
    return f"event: {name}\ndata: {data}\n\n".encode("ascii")


def _fields(event: bytes) -> tuple[str, bytes]:
    """Give an event's name and data; both are empty for a comment."""
    name, data = b"", []
    for line in event.splitlines():
        field, _, value = line.partition(b":")
        if field == b"event":
            name = value.strip()
        elif field == b"data":
            data.append(value.removeprefix(b" "))
    return name.decode("utf-8", "replace"), b"\n".join(data)


def _in_pieces(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Part a content block into its empty start and the deltas that fill it."""
    empty, deltas = dict(block), []
    kind = block.get("type")
    if kind in _TOOL_BLOCKS and block.get("input"):
        empty["input"] = {}
        pieces = _cut(json.dumps(block["input"], separators=(",", ":")))
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    for field in ("thinking", "text"):
        if kind == field and block.get(field):
            empty[field] = ""
            deltas += [{"type": f"{field}_delta", field: piece} for piece in _cut(block[field])]
    if kind == "thinking" and block.get("signature"):
        empty["signature"] = ""
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    if kind == "text" and block.get("citations"):
        empty["citations"] = []
        deltas += [{"type": "citations_delta", "citation": one} for one in block["citations"]]
    return empty, deltas


def _cut(text: str) -> list[str]:
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE)]


def _later(usage: Mapping[str, Any], update: Mapping[str, Any] | None) -> dict[str, Any]:
    """Lay later counts over earlier ones; a null says nothing new."""
    return {**usage, **{key: value for key, value in (update or {}).items() if value is not None}}


def _assemble(events: Iterator[dict[str, Any]]) -> dict[str, Any]:
    message: dict[str, Any] = {}
    content: list[dict[str, Any]] = []
    pieces: dict[tuple[int, str], list[str]] = {}
    for event in events:
        match event.pop("type"):
            case "message_start":
                message = event["message"]
                message["content"] = content
            case "content_block_start":
                if event["index"] != len(content):
                    raise ValueError("content blocks are out of order")
                content.append(event["content_block"])
            case "content_block_delta":
                delta = event["delta"]
                if delta.pop("type") == "citations_delta":
                    block = content[event["index"]]
                    block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
                else:
                    for field, piece in delta.items():
                        pieces.setdefault((event["index"], field), []).append(piece)
            case "message_delta":
                usage = _later(message.get("usage") or {}, event.pop("usage", None))
                message |= event.pop("delta") | event | ({"usage": usage} if usage else {})
    for (index, field), parts in pieces.items():
        text = "".join(parts)
        if field != "partial_json":
            content[index][field] = (content[index].get(field) or "") + text
        elif text:
            content[index]["input"] = _input(text, message.get("stop_reason"))
    return message


def _input(text: str, stop_reason: object) -> Any:
    """A call's input. Of one that the answer was cut off in nothing can be used, and it does not run."""
    try:
        return json.loads(text)
    except ValueError:
        if stop_reason in ("tool_use", "end_turn", None):
            raise
        return {}
