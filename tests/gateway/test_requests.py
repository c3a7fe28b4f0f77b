"""Bodies that are no requests of the Messages API: refused in words, never a fault of the gateway's own."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from harness.gateway.asked import DEEPEST, BadRequest, parameters_of, read_request
from tests.kit.gateways import Bench, step
from tests.kit.seeds import run_seed


def deep(levels: int) -> dict[str, Any]:
    value: Any = {}
    for _ in range(levels):
        value = {"a": value}
    return {"type": "tool_use", "id": "t", "name": "x", "input": value}


def with_block(block: Any) -> dict[str, Any]:
    return step(messages=[{"role": "user", "content": [block]}])


WRONG: dict[str, Any] = {
    "model is a list": step(model=[1]),
    "model is empty": step(model=""),
    "a NUL in the model": step(model="claude\x00"),
    "half a surrogate pair in the model": step(model="claude\ud800"),
    "a model that is a book": step(model="x" * 5000),
    "tools are an object": {**step(), "tools": {}},
    "a tool is a number": {**step(), "tools": [5]},
    "a tool without a name": {**step(), "tools": [{}]},
    "a NUL in a tool": {**step(), "tools": [{"name": "a\x00"}]},
    "a tool's uses": {**step(), "tools": [{"name": "web_search", "type": "web_search_1", "max_uses": "3"}]},
    "negative uses": {**step(), "tools": [{"name": "web_search", "type": "web_search_1", "max_uses": -3}]},
    "messages of numbers": step(messages=[5]),
    "messages are an object": step(messages={}),
    "no messages": {key: value for key, value in step().items() if key != "messages"},
    "a message without a role": step(messages=[{"content": "x"}]),
    "content is a number": step(messages=[{"role": "user", "content": 5}]),
    "content is an object": step(messages=[{"role": "user", "content": {}}]),
    "a block is a text": with_block("x"),
    "a block without a type": with_block({"text": "x"}),
    "a text that is a list": with_block({"type": "text", "text": ["x"]}),
    "a result of numbers": with_block({"type": "tool_result", "tool_use_id": "t", "content": [5]}),
    "a result that is a number": with_block({"type": "tool_result", "tool_use_id": "t", "content": 5}),
    "system is a number": step(system=5),
    "system of texts": step(system=["x"]),
    "max_tokens is a text": step(max_tokens="10"),
    "max_tokens is true": step(max_tokens=True),
    "max_tokens without end": step(max_tokens=10**30),
    "stream is a text": step(stream="yes"),
    "deep": with_block(deep(DEEPEST)),
}
NO_JSON = {
    "nothing": b"",
    "no UTF-8": json.dumps(step("é"), ensure_ascii=False).encode("latin-1"),
    "half a pair as bytes": json.dumps(step("?")).encode().replace(b"?", b"\xed\xa0\x80"),
    "not a number": json.dumps(step(temperature=float("nan"))).encode(),
    "very deep": b"[" * 300_000,
    "a number without end": b'{"model": ' + b"9" * 10_000 + b"}",
}


@pytest.mark.parametrize("body", [*WRONG.values(), *NO_JSON.values()], ids=[*WRONG, *NO_JSON])
async def test_a_body_of_another_form_is_turned_away(bench: Bench, body: Any) -> None:
    """With 400 and a sentence; nothing is committed or sent."""
    answer = await bench.send(body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"].endswith(".")
    assert await bench.kinds() == []
    assert bench.api.calls.all == []


def test_the_field_that_is_wrong_is_named() -> None:
    """Whoever wrote the client can find it."""
    with pytest.raises(BadRequest, match=r"^messages\.1\.content\.0: should be an object with a type\.$"):
        read_request(
            json.dumps(step(messages=[step()["messages"][0], {"role": "user", "content": [1]}])).encode()
        )


async def test_what_may_be_said_is_left_to_the_service(bench: Bench) -> None:
    """NUL and half pairs in texts, unknown blocks and fields, and as many levels as are let in."""
    bench.api.refuses = True
    request = with_block({"type": "text", "text": "\x00 \ud83d"})
    request["messages"][0]["content"] += [{"type": "brand_new", "x": [1]}, deep(DEEPEST - 10)]
    assert (await bench.send({**request, "brand_new": {}})).status_code == 400
    assert len(bench.api.calls.messages()) == 1, "it is the service that refuses it"


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, (*path, key))


def _replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    changed = copy.deepcopy(value)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = by
    return changed


async def test_no_field_of_a_wrong_type_is_a_fault_of_the_gateway(bench: Bench) -> None:
    """Each place of a full request in turn holds a value of another type."""
    bench.api.refuses = True
    blocks = [
        {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}},
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "y"}]},
        {"type": "tool_use", "id": "t", "name": "n", "input": {"a": 1}},
    ]
    request = step(messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": blocks}])
    request["tools"] += [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]
    values: list[Any] = [None, True, -1, 10**40, 0.5, "\x00", "\ud800", "x", [], [1], [{}], {}, {"a": 1}]
    chance = random.Random(run_seed())
    for path in _places(request):
        for value in chance.sample(values, 4):
            status = (await bench.send(json.dumps(_replaced(request, path, value)).encode())).status_code
            assert status in (200, 400), (path, value, status)


def test_how_a_model_is_asked_is_told_in_plain_values() -> None:
    """Numbers, names and switches; what is no value of the API's is left out."""
    asked = {
        "max_tokens": 32_000,
        "stream": True,
        "temperature": "warm",
        "output_config": {"effort": "high"},
        "thinking": {"type": "adaptive"},
    }
    told = {"max_tokens": 32_000, "stream": True, "effort": "high", "thinking": "adaptive"}
    assert parameters_of(asked) == told
    assert parameters_of({"messages": [], "thinking": None, "output_config": []}) == {}
    odd = {"temperature": float("inf"), "top_k": 10**30, "thinking": {"type": "A secret, and no type."}}
    assert parameters_of(odd) == {}
