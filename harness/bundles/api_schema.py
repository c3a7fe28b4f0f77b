"""Schemas as the Messages API takes them: of a typed output, a tool's input, a delegation.

The API refuses a tool whose `input_schema` is no plain object at its top, and names outside of its alphabets;
see "Define tools" in its documentation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.bundles.describe import resolve
from harness.errors import BadBundle

MAX_SCHEMA_BYTES = 64_000
"""Of an output's schema: it is one argument of the CLI, and Linux takes 131,072 bytes for one."""

_UNIONS = ("anyOf", "oneOf", "allOf")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
PROPERTY_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keys below which names stand, each with a schema."""
_DATA = ("const", "enum", "default", "examples", "required")
"""Keys below which values stand, and no schemas."""


def api_schema(schema: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Give a JSON Schema the form that the API takes, its meaning unchanged.

    A reference at the top is followed, and `type: object` is said. `place` is where it was written, with file
    and field, for the sentence that refuses it.

    Raises:
        BadBundle: it is no object, a union, or has a property whose name the API does not take.
    """
    made = _followed(schema, place)
    if made.get("type", "object") != "object":
        raise BadBundle(f"{place}: is no object but a {_kind(made)}; put it into a field of a class.")
    if union := next((key for key in _UNIONS if key in made), None):
        raise BadBundle(
            f"{place}: is a choice between schemas ({union} at its top), which no model's tool takes; "
            "put it into a field of a class."
        )
    check_properties(made, place)
    return made if "type" in made else {"type": "object", **made}


def check_properties(schema: Mapping[str, Any], place: str) -> None:
    """See that the API takes the names of all fields, at any depth.

    Raises:
        BadBundle: naming the first that it does not take.
    """
    for name in _properties(schema):
        if not PROPERTY_NAME.fullmatch(name):
            raise BadBundle(
                f"{place}: the field {name!r} needs another name: "
                "the model service takes up to 64 of a-z, A-Z, 0-9, '_', '.' and '-'."
            )


def check_tool_name(name: str, place: str) -> None:
    """See that the API takes the name of a tool, as the model sees it.

    Raises:
        BadBundle: it does not.
    """
    if not _TOOL_NAME.fullmatch(name):
        raise BadBundle(
            f"{place}: the tool {name!r} needs another name: "
            "the model service takes up to 128 of a-z, A-Z, 0-9, '_' and '-'."
        )


def check_size(schema: Mapping[str, Any], place: str) -> None:
    """See that an output's schema can be handed to the CLI.

    Raises:
        BadBundle: it is too long.
    """
    size = len(json.dumps(schema))
    if size > MAX_SCHEMA_BYTES:
        raise BadBundle(
            f"{place}: its schema has {size:,} bytes, and {MAX_SCHEMA_BYTES:,} are the most; make it smaller."
        )


def _followed(schema: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Put what the top refers to in its place; `$defs` stay, because what is below may refer to them."""
    made, seen = dict(schema), set[str]()
    while isinstance(reference := made.pop("$ref", None), str):
        try:
            target = resolve(reference, schema)
        except (KeyError, TypeError, ValueError):
            target = {}
        if not target or reference in seen:
            raise BadBundle(f"{place}: its top refers to {reference}, which is no schema within it.")
        seen.add(reference)
        made = {**target, **made}
    return made


def _kind(schema: Mapping[str, Any]) -> str:
    written = schema["type"]
    return {"array": "list"}.get(str(written), str(written)) if isinstance(written, str) else "choice"


def _properties(schema: Any) -> Iterator[str]:
    match schema:
        case list():
            for each in schema:
                yield from _properties(each)
        case Mapping():
            yield from (str(name) for name in _mapping(schema.get("properties")))
            for key, value in schema.items():
                if key in _NAMED:
                    for below in _mapping(value).values():
                        yield from _properties(below)
                elif key not in _DATA:
                    yield from _properties(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
