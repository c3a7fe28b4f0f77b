"""What was on the wire is kept as it was, but for its secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.redaction import REDACTED, Redactor
from harness.wire import PIECE, StreamReader, stream_of
from harness.wire_redaction import redacted_body

KNOWN = "open-sesame-1001"
REDACTOR = Redactor([KNOWN])


def message(text: str) -> dict[str, Any]:
    """A model's answer with this text."""
    return {"id": "m", "role": "assistant", "content": [{"type": "text", "text": text}], "usage": {}}


def bodies(text: str) -> list[bytes]:
    """The same answer as a stream and as plain JSON, neither written as the harness would write it anew."""
    stream = b": a comment\n\n" + b"".join(stream_of(message(text)))
    return [stream, json.dumps(message(text), indent=3).encode()]


@pytest.mark.parametrize("parsed", [False, True])
def test_a_body_without_secrets_keeps_its_bytes(parsed: bool) -> None:
    """Whether or not somebody has parsed it before."""
    told = message("Tides.") if parsed else None
    for body in bodies("Tides."):
        assert redacted_body(body, REDACTOR, told) == body


@pytest.mark.parametrize("parsed", [False, True])
def test_a_secret_parted_among_events_is_found(parsed: bool) -> None:
    """It lies across two deltas of the stream; what is left reads as the same message without it."""
    text = "x" * (PIECE - 8) + " " + KNOWN
    clean = message(text.replace(KNOWN, REDACTED))
    stream, plain = (
        redacted_body(body, REDACTOR, message(text) if parsed else None) for body in bodies(text)
    )
    reader = StreamReader()
    reader.feed(stream)
    assert reader.message == clean
    assert json.loads(plain) == clean


def test_a_message_that_was_parsed_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer of a model passes here: one without secrets costs one look at its message."""
    monkeypatch.setattr(StreamReader, "feed", lambda *given: pytest.fail("it was parsed again"))
    for body in bodies("Tides."):
        assert redacted_body(body, REDACTOR, message("Tides.")) == body


def thinking(*texts: str) -> dict[str, Any]:
    """A model's answer that begins with these thoughts."""
    blocks = [{"type": "thinking", "thinking": text, "signature": "c2lnbmVk"} for text in texts]
    return {**message("Tides."), "content": [*blocks, {"type": "text", "text": "Tides."}]}


def read(body: bytes) -> dict[str, Any]:
    """The message of a body of either kind."""
    reader = StreamReader()
    reader.feed(body)
    found: dict[str, Any] = reader.message or json.loads(body)
    return found


@pytest.mark.parametrize("parsed", [False, True])
def test_thinking_that_holds_a_secret_is_left_out(parsed: bool) -> None:
    """Its signature is good for its own text alone; the other stays as it was."""
    told = thinking("Winds?", f"It is {KNOWN}.")
    for body in (b"".join(stream_of(told)), json.dumps(told).encode()):
        clean = redacted_body(body, REDACTOR, told if parsed else None)
        assert read(clean) == thinking("Winds?")


def test_an_answer_to_be_given_again_has_no_thinking() -> None:
    """A resume has put words before it that it was not thought after."""
    told = thinking("Winds?")
    for body in (b"".join(stream_of(told)), json.dumps(told).encode()):
        assert redacted_body(body, REDACTOR, told) == body
        assert read(redacted_body(body, REDACTOR, told, again=True)) == message("Tides.")
    for body in bodies("Tides."):
        assert redacted_body(body, REDACTOR, message("Tides."), again=True) == body
