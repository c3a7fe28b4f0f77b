"""The stream format: writing and reading are each other's inverse, however the bytes are cut."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.wire import StreamReader, stream_of

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
blocks = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=400)}),
    st.fixed_dictionaries(
        {"type": st.just("thinking"), "thinking": st.text(max_size=400), "signature": st.text(max_size=40)}
    ),
    st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": st.text(max_size=40)}),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["tool_use", "server_tool_use"]),
            "id": st.text(max_size=8),
            "name": st.text(max_size=8),
            "input": st.dictionaries(st.text(), json_values, max_size=4),
        }
    ),
)
usages = st.fixed_dictionaries(
    {"input_tokens": st.integers(0, 10**6), "output_tokens": st.integers(0, 10**6)},
    optional={
        "cache_read_input_tokens": st.none() | st.integers(0, 10**6),
        "cache_creation": st.dictionaries(st.text(max_size=5), st.integers(0, 99), max_size=2),
    },
)
messages = st.fixed_dictionaries(
    {
        "id": st.text(max_size=12),
        "type": st.just("message"),
        "role": st.just("assistant"),
        "model": st.text(max_size=12),
        "content": st.lists(blocks, max_size=4),
        "stop_reason": st.sampled_from(["end_turn", "tool_use", "max_tokens"]),
        "stop_sequence": st.none() | st.text(max_size=3),
        "usage": usages,
    }
)


def example(*content: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "some-model",
        "content": list(content) or [{"type": "text", "text": "Grüße, 世界. " * 60}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 34},
    }


def read(*chunks: bytes) -> StreamReader:
    reader = StreamReader()
    for chunk in chunks:
        reader.feed(chunk)
    return reader


@given(messages)
def test_reading_what_was_written_gives_the_same_message(message: dict[str, Any]) -> None:
    """A message with text, thinking, tool calls and usage survives the way through the stream."""
    reader = read(*stream_of(message))
    assert reader.complete
    assert reader.message == message
    assert reader.usage == {**reader.usage, **{k: v for k, v in message["usage"].items() if v is not None}}
    assert (reader.message_id, reader.model) == (message["id"], message["model"])
    assert reader.stop_reason == message["stop_reason"]


@given(messages, st.lists(st.integers(0, 1 << 16), max_size=40), st.booleans())
def test_any_cutting_gives_the_same_message(message: dict[str, Any], cuts: list[int], crlf: bool) -> None:
    """Chunk borders mean nothing, and neither do the two ways to end a line."""
    stream = b"".join(stream_of(message))
    if crlf:
        stream = stream.replace(b"\n", b"\r\n")
    points = sorted({cut % (len(stream) + 1) for cut in cuts} | {0, len(stream)})
    reader = read(*(stream[a:b] for a, b in itertools.pairwise(points)))
    assert reader.message == message
    assert bytes(reader.raw) == stream


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_single_bytes_are_chunks_too(line_end: bytes) -> None:
    """A stream that arrives byte by byte is read like any other."""
    stream = b"".join(stream_of(example())).replace(b"\n", line_end)
    assert read(*(bytes([byte]) for byte in stream)).message == example()


@given(messages, st.integers(0, 1 << 16))
def test_a_stream_cut_short_is_incomplete(message: dict[str, Any], cut: int) -> None:
    """Without its last byte a stream has no message; what was announced before the cut is kept."""
    stream = b"".join(stream_of(message))
    reader = read(stream[: cut % len(stream)])
    assert not reader.complete
    assert reader.message is None


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_noise_never_raises_and_never_becomes_a_message(chunks: list[bytes]) -> None:
    """Bytes that are no stream of a message are reported as incomplete, and kept."""
    reader = read(*chunks)
    assert not reader.complete
    assert reader.message is None
    assert bytes(reader.raw) == b"".join(chunks)


@pytest.mark.parametrize(
    "body",
    [b"{", b"[1]", b"null", b'"x"', b'{"type":"message_start"}', b'{"type":"message_start","message":[]}'],
)
def test_an_unreadable_opening_leaves_the_stream_incomplete(body: bytes) -> None:
    """A frame event that cannot be parsed does not raise and cannot be completed by what follows."""
    _, *rest = stream_of(example())
    reader = read(b"event: message_start\ndata: " + body + b"\n\n", *rest)
    assert not reader.complete
    assert reader.message is None


def test_an_unreadable_block_gives_no_message() -> None:
    """A broken delta is found when the message is asked for, and the stream is then not complete."""
    events = stream_of(example())
    events[2] = b"event: content_block_delta\ndata: {broken\n\n"
    reader = read(*events)
    assert reader.message is None
    assert not reader.complete


def test_an_unfinished_tool_input_gives_no_message() -> None:
    """A tool call whose JSON was cut is not handed out as a call."""
    call = {"type": "tool_use", "id": "t", "name": "search", "input": {"query": "x" * 400}}
    events = stream_of(example(call))
    del events[-4]
    assert read(*events).message is None


def test_the_first_content_is_noticed_when_it_arrives() -> None:
    """The flag turns with the first content delta, not with the opening of the message or the block."""
    start, block, delta, *_ = stream_of(example())
    reader = read(start, block)
    assert not reader.content_seen
    reader.feed(delta)
    assert reader.content_seen


def test_an_error_in_the_stream_is_reported() -> None:
    """An error event makes the stream incomplete even when a stop follows, and keeps the API's words."""
    start, *_, stop = stream_of(example())
    problem = {"type": "overloaded_error", "message": "Overloaded"}
    error = b"event: error\ndata: " + json.dumps({"type": "error", "error": problem}).encode() + b"\n\n"
    reader = read(start, error, stop)
    assert reader.error == problem
    assert not reader.complete
    assert reader.usage["input_tokens"] == 12


def test_pings_comments_and_nameless_events_are_understood() -> None:
    """Keep-alives are skipped, and an event without a name is known by the type in its data."""
    stream = b"".join(stream_of(example()))
    nameless = b"".join(part.partition(b"\n")[2] + b"\n\n" for part in stream.split(b"\n\n") if part)
    noise = b': keep-alive\n\nevent: ping\ndata: {"type": "ping"}\n\n\n'
    assert read(noise + stream).message == example()
    reader = read(nameless)
    assert reader.message == example()
    assert reader.content_seen


def test_late_counts_replace_early_ones_and_a_null_says_nothing() -> None:
    """Usage is cumulative: the last number told counts, a null leaves the earlier one."""
    start, *_ = stream_of(example())
    late = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"input_tokens": None, "output_tokens": 99, "cache_read_input_tokens": 7},
    }
    reader = read(start, b"event: message_delta\ndata: " + json.dumps(late).encode() + b"\n\n")
    assert reader.usage == {"input_tokens": 12, "output_tokens": 99, "cache_read_input_tokens": 7}
