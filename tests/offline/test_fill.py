"""Filling JSON Schemas: valid whatever is known, and faithful to what is given."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from harness.offline.fill import NOT_DETERMINED, conforming
from harness.offline.shapes import read_json

LEAVES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({"type": ["string", "null"]}),
    st.integers(-9, 9).map(lambda low: {"type": "integer", "minimum": low, "maximum": low + 3}),
    st.integers(0, 80).map(lambda least: {"type": "string", "minLength": least, "maxLength": least + 5}),
    st.lists(st.integers() | st.text(), min_size=1, max_size=3).map(lambda values: {"enum": values}),
    st.integers().map(lambda value: {"const": value}),
)


def larger(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    arrays = st.builds(
        lambda items, least: {"type": "array", "items": items, "minItems": least, "maxItems": least + 1},
        inner,
        st.integers(0, 2),
    )
    objects = st.builds(
        lambda fields, closed: {
            "type": "object",
            "properties": fields,
            "required": sorted(fields)[::2],
            **({"additionalProperties": False} if closed else {}),
        },
        st.dictionaries(st.sampled_from(["report", "title", "findings", "a", "b"]), inner, max_size=3),
        st.booleans(),
    )
    return arrays | objects | st.lists(inner, min_size=1, max_size=3).map(lambda choices: {"anyOf": choices})


SCHEMAS = st.recursive(LEAVES, larger, max_leaves=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(SCHEMAS, VALUES, st.booleans())
def test_what_is_filled_is_valid(schema: dict[str, Any], value: Any, is_given: bool) -> None:
    """With or without a value, and whatever is known by name, the result fits the schema."""
    known = {"report": "# Report", "title": "Title", "findings": [{"statement": "It is so."}]}
    filled = conforming(schema, value, known) if is_given else conforming(schema, known=known)
    Draft202012Validator(schema).validate(filled)


@settings(max_examples=300, deadline=None)
@given(SCHEMAS, VALUES)
def test_what_is_valid_is_kept(schema: dict[str, Any], value: Any) -> None:
    """A value that fits already is not changed."""
    if Draft202012Validator(schema).is_valid(value):
        assert conforming(schema, value) == value


def test_missing_texts_say_that_they_were_not_determined() -> None:
    """Nothing is invented for a text that nothing is known about."""
    schema = {"type": "object", "properties": {"verdict": {"type": "string"}}, "required": ["verdict"]}
    assert conforming(schema) == {"verdict": NOT_DETERMINED}


def test_references_and_recursion_end() -> None:
    """References are followed, also to a schema that holds itself."""
    schema = {
        "$defs": {
            "Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}, "required": ["next"]}
        },
        "$ref": "#/$defs/Node",
    }
    assert isinstance(conforming(schema), dict)


@pytest.mark.parametrize("length", range(1, 90))
def test_cut_json_gives_its_whole_items(length: int) -> None:
    """From JSON that was cut short as many whole items are read as there are; nothing is made up."""
    whole = '[{"task": 1, "output": {"text": "a, \\"b\\" ]"}}, {"task": 2, "output": null}, {"task": 3}]'
    items = read_json(whole[:length]) or []
    first: dict[str, Any] = {"task": 1, "output": {"text": 'a, "b" ]'}}
    for found, true in zip(items, [first, {"task": 2, "output": None}, {"task": 3}], strict=False):
        assert found.items() <= true.items() or found == {"task": 1, "output": {}}
    if length == len(whole):
        assert len(items) == 3


def test_json_is_read_whatever_follows_it() -> None:
    """A reminder after the JSON, or no JSON at all, is no problem."""
    assert read_json('  {"a": 1}\n\n<system-reminder>{</system-reminder>') == {"a": 1}
    assert read_json("no JSON") is None
    assert read_json("[" * 100_000) is None
