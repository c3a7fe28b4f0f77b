"""A schema on one line, as people and models read it best: `{claims: [{statement: string}]}`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def fields_of(model: type[BaseModel]) -> frozenset[str]:
    """Name the fields of a model, as its JSON Schema does."""
    schema = model.model_json_schema()
    below = (
        resolve(schema["$ref"], schema) if "$ref" in schema else schema
    )  # a recursive model is a reference
    return frozenset(below.get("properties", {}))


def shape(model: type[BaseModel]) -> str:
    """Write a model's JSON Schema on one line; a `?` marks what may be left out."""
    schema = model.model_json_schema()
    return _shape(schema, schema, ())


def _shape(schema: Mapping[str, Any], root: Mapping[str, Any], above: tuple[str, ...]) -> str:
    if "$ref" in schema:
        reference = str(schema["$ref"])
        if reference in above:
            return reference.rsplit("/", 1)[-1]
        return _shape(resolve(reference, root), root, (*above, reference))
    if "const" in schema or "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return " | ".join(_shape(option, root, above) for option in schema[choice])
    match schema.get("type"):
        case "array":
            return f"[{_shape(schema.get('items', {}), root, above)}]"
        case "object" if schema.get("properties"):
            required = schema.get("required", ())
            fields = (
                f"{name}{'' if name in required else '?'}: {_shape(below, root, above)}"
                for name, below in schema["properties"].items()
            )
            return f"{{{', '.join(fields)}}}"
        case list() as kinds:
            return " | ".join(kinds)
        case kind:
            return str(kind or "any")


def resolve(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference within a schema, like "#/$defs/Claim"."""
    found: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")] if part else found
    return dict(found)
