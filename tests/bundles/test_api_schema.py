"""Schemas as the Messages API takes them, whatever pydantic or a front matter has written."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.bundles.api_schema import api_schema, check_properties, check_tool_name
from harness.bundles.bundle import Bundle
from harness.bundles.load import load_bundles
from harness.delegation import input_schema
from harness.errors import BadBundle
from harness.records import Record
from harness.toolbelt import TOOLSETS


class Outline(Record):
    """A heading with headings below it."""

    title: str
    points: list[Outline]


def refused_by_the_api(schema: dict[str, Any]) -> list[str]:
    """What its documentation says that it refuses at the top of a tool's schema."""
    unions = [key for key in ("anyOf", "oneOf", "allOf", "$ref") if key in schema]
    return unions + ([] if schema.get("type") == "object" else ["type"])


def test_a_class_that_refers_to_itself_is_an_object_at_its_top() -> None:
    """Pydantic writes a reference there; below, references still lead to it."""
    written = Outline.model_json_schema()
    assert refused_by_the_api(written), "else there is nothing to do"
    made = api_schema(written, "x")
    assert refused_by_the_api(made) == []
    good = {"title": "a", "points": [{"title": "b", "points": []}]}
    bad = {"title": "a", "points": [{"title": 3, "points": []}]}
    for value in (good, bad):
        judged = [Draft202012Validator(schema).is_valid(value) for schema in (written, made)]
        assert judged == [value is good] * 2


def test_a_schema_that_is_good_stays_as_it_is() -> None:
    """To the order of its keys: a conversation that is resumed is offered the same tools."""
    written = {"title": "T", "properties": {"a": {"type": "string"}}, "type": "object"}
    assert list(api_schema(written, "x").items()) == list(written.items())


def test_an_object_that_does_not_say_so_does() -> None:
    """Fields alone make no object for the API."""
    assert api_schema({"properties": {"a": {}}}, "x") == {"type": "object", "properties": {"a": {}}}


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "array", "items": {}}, "x: is no object but a list"),
        ({"type": "string"}, "x: is no object but a string"),
        ({"type": ["object", "null"]}, "x: is no object but a choice"),
        ({"anyOf": [{"type": "object"}]}, "x: is a choice between schemas (anyOf at its top)"),
        ({"type": "object", "allOf": [{}]}, "x: is a choice between schemas (allOf at its top)"),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, "x: its top refers to #/$defs/A"),
        ({"$ref": "#/$defs/B", "$defs": {}}, "x: its top refers to #/$defs/B"),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"oneOf": []}}}, "x: is a choice between schemas (oneOf"),
        ({"properties": {"a b": {}}}, "x: the field 'a b' needs another name"),
        ({"properties": {"a": {"items": {"properties": {"": {}}}}}}, "x: the field '' needs another name"),
        ({"$defs": {"A": {"properties": {"x" * 65: {}}}}}, "needs another name"),
        ({"properties": {"a": {"anyOf": [{"properties": {"ä": {}}}]}}}, "x: the field 'ä' needs"),
    ],
    ids=str,
)
def test_what_has_no_such_form_is_refused(schema: dict[str, Any], says: str) -> None:
    """With the place, and what to do."""
    with pytest.raises(BadBundle) as refused:
        api_schema(schema, "x")
    assert says in str(refused.value)


def test_values_and_names_of_definitions_are_no_fields() -> None:
    """A default may hold any key, a definition may have any name, and a field may be named as a keyword."""
    check_properties(
        {
            "properties": {
                "properties": {"properties": {"a": {}}},
                "b": {"default": {"properties": {"ä": {}}}},
            },
            "$defs": {"A[int]": {"enum": [{"properties": {"ö": {}}}]}},
        },
        "x",
    )


@pytest.mark.parametrize("name", ["", "a b", "ä", "a.b", "a" * 129])
def test_names_of_tools_are_the_apis(name: str) -> None:
    """Its alphabet has no dots, and its names an end."""
    check_tool_name("a" * 128, "x")
    with pytest.raises(BadBundle, match=r"x: the tool .* needs another name"):
        check_tool_name(name, "x")


def test_what_the_harness_offers_is_taken() -> None:
    """The tools, outputs and delegations of all that is built in."""
    bundles = load_bundles(None)
    schemas = [tool.input.model_json_schema() for toolset in TOOLSETS.values() for tool in toolset.tools]
    assert all(api_schema(schema, "x") == schema for schema in schemas)
    given = [bundle.output_schema for bundle in bundles.values()]
    assert [refused_by_the_api(schema) for schema in given if schema is not None] != []
    assert all(refused_by_the_api(schema) == [] for schema in given if schema is not None)
    made = Bundle.define(name="outliner", description="x", prompt="x", input=Outline, output=Outline)
    assert made.output_schema == api_schema(Outline.model_json_schema(), "x")
    assert refused_by_the_api(input_schema({"outliner": made, **bundles}, 3)) == []
