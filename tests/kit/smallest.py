"""The smallest instance that a JSON Schema accepts, for scripts that answer whatever is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

_FORMATS = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "a@example.org",
    "uri": "https://example.org/",
    "url": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def smallest(schema: Schema) -> Any:
    """Give the smallest instance of `schema`: required properties only, arrays as short as allowed.

    Knows `$ref` into the schema itself, `const`, `enum`, `anyOf`, `oneOf`, `allOf`, the seven types and their
    size limits. Strings are never empty, so that they survive checks a schema cannot say; items of an array
    differ. Raises ValueError for a `pattern`, which would need a solver.
    """
    return _instance(schema, schema, 0)


def _instance(schema: Schema | bool, root: Schema, nth: int) -> Any:
    if isinstance(schema, bool):
        return "x"
    schema = _flattened(schema, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][nth % len(schema["enum"])]
    for union in ("anyOf", "oneOf"):
        if union in schema:
            rest = {key: value for key, value in schema.items() if key != union}
            return _instance(_merged(rest, _simplest(schema[union], root)), root, nth)
    match _type_of(schema):
        case "object":
            return _object(schema, root, nth)
        case "array":
            return _array(schema, root, nth)
        case "string":
            return _string(schema, nth)
        case "integer" | "number":
            return _number(schema, nth)
        case "boolean":
            return False
        case _:
            return None


def _type_of(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return "null" if "null" in kind else str(kind[0])
    if kind is not None:
        return str(kind)
    if "properties" in schema or "required" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


def _simplest(branches: list[Schema], root: Schema) -> Schema:
    resolved = [_flattened(branch, root) for branch in branches]
    return next((branch for branch in resolved if branch.get("type") == "null"), resolved[0])


def _flattened(schema: Schema, root: Schema) -> Schema:
    """Replace `$ref` and `allOf` by what they stand for, one level deep."""
    while "$ref" in schema or "allOf" in schema:
        rest = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
        if "$ref" in schema:
            rest = _merged(_resolved(schema["$ref"], root), rest)
        for part in schema.get("allOf", ()):
            rest = _merged(rest, _flattened(part, root))
        schema = rest
    return schema


def _resolved(reference: str, root: Schema) -> Schema:
    if not reference.startswith("#"):
        raise ValueError(f"The schema refers to {reference!r}, which is not part of it.")
    found: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")] if part else found
    return dict(found)


def _merged(first: Schema, second: Schema) -> dict[str, Any]:
    both = {**first, **second}
    if "properties" in first and "properties" in second:
        both["properties"] = {**first["properties"], **second["properties"]}
    if "required" in first and "required" in second:
        both["required"] = [*first["required"], *second["required"]]
    return both


def _object(schema: Schema, root: Schema, nth: int) -> dict[str, Any]:
    properties: Mapping[str, Schema] = schema.get("properties", {})
    names = list(dict.fromkeys(schema.get("required", ())))
    names += [name for name in properties if name not in names][
        : max(0, schema.get("minProperties", 0) - len(names))
    ]
    return {name: _instance(properties.get(name, True), root, nth) for name in names}


def _array(schema: Schema, root: Schema, nth: int) -> list[Any]:
    shapes = list(schema.get("prefixItems", ()))
    length = schema.get("minItems", 0)
    shapes += [schema.get("items", True)] * max(0, length - len(shapes))
    return [_instance(shape, root, nth + index) for index, shape in enumerate(shapes[:length])]


def _string(schema: Schema, nth: int) -> str:
    if "pattern" in schema:
        raise ValueError(
            f"The pattern {schema['pattern']!r} cannot be met without a solver: script this answer."
        )
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    value = "x" if nth == 0 else f"x{nth}"
    return value.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]


def _number(schema: Schema, nth: int) -> float:
    """Take the allowed number nearest to zero, then the `nth` after it, in steps that are allowed."""
    step = schema.get("multipleOf", 1)
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None and low > 0:
        first = -(-low // step) * step
    elif high is not None and high < 0:
        first = high // step * step
    else:
        first = 0
    if first == schema.get("exclusiveMinimum"):
        first += step
    if first == schema.get("exclusiveMaximum"):
        first -= step
    value: float = first + nth * step
    return value
