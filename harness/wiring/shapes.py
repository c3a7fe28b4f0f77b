"""What is known of a value before anything runs: the names of its fields, and the kind of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from harness.bundles.describe import resolve
from harness.flow.shared import EMPTY, Kind

Kinds = frozenset[Kind]
"""The kinds a value may have, as far as its JSON Schema says."""

Fields = Mapping[str, Kinds]

Alternatives = tuple[Fields | None, ...]
"""What may come: one of several shapes. None is a shape that is not known; it may have any field."""

ANY: Kinds = frozenset(EMPTY)
TEXT: Kinds = frozenset({"text"})
OBJECT: Kinds = frozenset({"object"})
LIST: Kinds = frozenset({"list"})

UNKNOWN: Alternatives = (None,)

_JSON_TYPES: Mapping[str, Kind] = {
    "string": "text",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "array": "list",
    "object": "object",
}
_PYTHON_TYPES: Mapping[type, Kind] = {
    str: "text",
    int: "number",
    float: "number",
    bool: "boolean",
    list: "list",
    dict: "object",
}


@dataclass(frozen=True)
class Wanted:
    """What an input has to do with one of its fields."""

    kinds: Kinds
    required: bool


def fields(model: type[BaseModel]) -> Fields | None:
    """Give a model's fields with their kinds; None when its schema names no fields."""
    schema = model.model_json_schema()
    below = resolve(schema["$ref"], schema) if "$ref" in schema else schema
    properties = below.get("properties")
    return {name: kinds(each, schema) for name, each in properties.items()} if properties else None


def wanted(model: type[BaseModel]) -> dict[str, Wanted]:
    """Give what an input wants of each of its fields."""
    schema = model.model_json_schema()
    below = resolve(schema["$ref"], schema) if "$ref" in schema else schema
    required = below.get("required", ())
    return {name: Wanted(each, name in required) for name, each in (fields(model) or {}).items()}


def kinds(schema: Any, root: Mapping[str, Any], above: tuple[str, ...] = ()) -> Kinds:
    """Give the kinds that a JSON Schema allows; null is none of them, as it counts as nothing given."""
    if not isinstance(schema, Mapping):
        return ANY
    if "$ref" in schema:
        reference = str(schema["$ref"])
        return ANY if reference in above else kinds(resolve(reference, root), root, (*above, reference))
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return frozenset().union(*(kinds(option, root, above) for option in schema[choice]))
    if "allOf" in schema:
        return ANY.intersection(*(kinds(part, root, above) for part in schema["allOf"]))
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return frozenset(_PYTHON_TYPES[type(value)] for value in values if type(value) in _PYTHON_TYPES)
    if "type" not in schema:
        return ANY
    named: list[str] = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return frozenset(_JSON_TYPES[name] for name in named if name in _JSON_TYPES)


def found(alternatives: Alternatives, name: str, *, everywhere: bool) -> list[Kinds]:
    """Give the kinds that a field has where it is there; nothing if it should be everywhere and is not."""
    there = [
        ANY if shape is None else shape[name] for shape in alternatives if shape is None or name in shape
    ]
    return [] if everywhere and len(there) < len(alternatives) else there


def fits(there: Iterable[Kinds], kinds: Kinds) -> bool:
    """Whether a value of each of these kinds can be one of those."""
    return all(each & kinds for each in there)


def names(alternatives: Alternatives) -> list[str]:
    """Name every field that may come, in order."""
    return list(dict.fromkeys(name for shape in alternatives if shape is not None for name in shape))


def in_words(kinds: Iterable[Kinds]) -> str:
    """Name kinds: "a text or a list"."""
    united = frozenset[Kind]().union(*kinds)
    if united == ANY or not united:
        return "anything" if united else "nothing"
    return " or ".join(f"{'an' if kind == 'object' else 'a'} {kind}" for kind in EMPTY if kind in united)
