"""Schemas in the strict form: what the API would refuse is not sent, and nothing is lost over it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field, create_model

from harness.offers import Offer
from harness.routing import Decided, decision_schema, given_input
from harness.strict_schema import MOST_OPTIONAL, MOST_UNIONS, NotStrict, Room


class Kind(StrEnum):
    """Kinds."""

    ONE = "one"
    TWO = "two"


class Place(BaseModel):
    """A place."""

    name: str
    at: tuple[float, ...] = ()


class Plain(BaseModel):
    """All that the strict form can say."""

    title: Annotated[str, Field(min_length=1, max_length=9)]
    kind: Kind
    how: Literal["a", "b"] = "a"
    many: Annotated[list[Place], Field(min_length=2, description="Places.")]
    best: Annotated[Place, Field(description="The best of them.")]
    day: date | None = None
    share: Annotated[float, Field(ge=0, le=1)] = 0.5


class Tree(BaseModel):
    """One that holds itself."""

    below: list[Tree] = []


class Free(BaseModel):
    """Names of its own."""

    notes: dict[str, int]


class Open(BaseModel):
    """More than it names."""

    model_config = ConfigDict(extra="allow")
    name: str


class Anything(BaseModel):
    """No type."""

    value: Any


class Pair(BaseModel):
    """Items by their place."""

    pair: tuple[int, str]


class Foreign(BaseModel):
    """A name that the API refuses."""

    size: Annotated[int, Field(alias="größe")]


def parts(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A schema, and all schemas within it."""
    yield schema
    for each in (schema.get("items"), *schema.get("properties", {}).values(), *schema.get("anyOf", ())):
        if isinstance(each, Mapping):
            yield from parts(each)


REFUSED = (
    *("$ref", "$defs", "oneOf", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum"),
    *("exclusiveMaximum", "multipleOf", "maxItems", "prefixItems", "uniqueItems", "patternProperties"),
)


def acceptable(schema: Mapping[str, Any]) -> None:
    """Hold a schema against the rules for structured outputs; its top is a closed object."""
    assert schema["type"] == "object"
    assert "anyOf" not in schema
    optional = unions = 0
    for part in parts(schema):
        assert not [word for word in REFUSED if word in part], part
        assert part.get("minItems", 0) in (0, 1)
        if part.get("type") == "object":
            assert part["additionalProperties"] is False
            optional += len(set(part["properties"]) - set(part.get("required", ())))
        unions += "anyOf" in part or isinstance(part.get("type"), list)
    assert optional <= MOST_OPTIONAL
    assert unions <= MOST_UNIONS


def test_what_can_be_said_strictly_is() -> None:
    """References are replaced, and limits of size become part of the descriptions."""
    strict = Room().take(Plain.model_json_schema())
    acceptable(strict)
    own = strict["properties"]
    assert own["kind"]["enum"] == ["one", "two"]
    assert "maxLength: 9" in own["title"]["description"]
    assert own["many"]["items"]["properties"]["name"]["type"] == "string"
    assert "minItems: 2" in own["many"]["description"]
    assert own["best"]["description"].startswith("The best of them.")
    value = Plain(title="x", kind=Kind.ONE, many=[Place(name="y")] * 2, best=Place(name="z"))
    Draft202012Validator(strict).validate(value.model_dump(mode="json"))


@pytest.mark.parametrize("model", [Tree, Free, Open, Anything, Pair, Foreign])
def test_what_cannot_is_refused(model: type[BaseModel]) -> None:
    """And takes no room from what comes after it."""
    room = Room()
    with pytest.raises(NotStrict):
        room.take(model.model_json_schema())
    assert room == Room()


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}]}}},
        {"type": "object", "properties": {"a": {"enum": [["x"]]}}},
        {"type": "object", "properties": {"a": {"enum": []}}},
        {"type": "object", "properties": {"a": {"type": "array"}}},
        {"type": "object", "properties": {"a": {"$ref": "other.json#/x"}}},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "patternProperties": {"^x": {}}, "additionalProperties": False},
    ],
)
def test_schemas_written_by_hand_may_be_anything(schema: dict[str, Any]) -> None:
    """A bundle may give its input as JSON Schema."""
    with pytest.raises(NotStrict):
        Room().take(schema)


def test_a_list_of_types_is_a_choice() -> None:
    """The strict form of one type each."""
    schema = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]}
    (value,) = Room().take(schema)["properties"].values()
    assert [each["type"] for each in value["anyOf"]] == ["string", "null"]


def test_room_is_that_of_the_whole_request() -> None:
    """Members are typed until it is used up; those after that are given as text, and none is left out."""
    fields: Any = {f"field_{number}": (str, "") for number in range(MOST_OPTIONAL // 2)}
    unions: Any = {f"field_{number}": (int | str, ...) for number in range(MOST_UNIONS - 1)}
    models = {
        "first": create_model("First", **fields),
        "second": create_model("Second", **fields),
        "third": create_model("Third", **fields),
        "fourth": create_model("Fourth", **unions),
        "fifth": create_model("Fifth", **unions),
        "tree": Tree,
        "free": Free,
        "plain": Plain,
    }
    schema = decision_schema({name: Offer(name, model, "") for name, model in models.items()})
    acceptable(schema)
    routes = [each["properties"] for each in schema["properties"]["decision"]["anyOf"]]
    kinds = {each["to"]["const"]: each["input"]["type"] for each in routes if "to" in each}
    assert [name for name, kind in kinds.items() if kind == "object"] == ["first", "second", "fourth"]
    assert list(kinds) == list(models)
    told = next(each["input"]["description"] for each in routes if each.get("to") == {"const": "tree"})
    assert json.loads(told.partition(": ")[2]) == Tree.model_json_schema()


@pytest.mark.parametrize(
    "decision",
    [
        {"action": "route", "reason": "x", "to": "free", "input": '{"notes": {"a": 1}}'},
        {"action": "route", "reason": "x", "to": "place", "input": {"name": "a", "at": [1]}},
        {"action": "grant", "reason": "x", "result": 1, "told": "On."},
        {"action": "finish", "reason": "x", "result": 1},
        {"action": "help", "reason": "x"},
    ],
)
def test_each_decision_fits_the_schema_and_is_read(decision: dict[str, Any]) -> None:
    """What the model is held to is what the harness takes."""
    offers = {"free": Offer("free", Free, ""), "place": Offer("place", Place, "")}
    answer = {"decision": decision}
    Draft202012Validator(decision_schema(offers)).validate(answer)
    read = Decided.model_validate(answer).decision
    assert given_input(read.input) in ({"notes": {"a": 1}}, {"name": "a", "at": [1]}, {})
    assert read.action == decision["action"]


@pytest.mark.parametrize("text", ["[1]", "{", "null", ""])
def test_an_input_that_is_no_object_is_an_error(text: str) -> None:
    """The router is told."""
    with pytest.raises(ValueError, match=r"."):
        given_input(text)
