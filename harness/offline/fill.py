"""Filling a JSON Schema: what is known goes where its name and type fit, the rest is filled honestly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOT_DETERMINED = "Not determined offline: no language model was used."

_NOBODY: dict[str, Any] = {"handoff_to": ""}
"""Whom an agent hands on to, unless it knows better: an empty name ends the work."""

_ABSENT: Any = object()
_DEEPEST = 12
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list, tuple),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def conforming(
    schema: object, value: object = _ABSENT, known: Mapping[str, Any] | None = None, root: object = None
) -> Any:
    """Give `value` in the form a JSON Schema asks for.

    What does not fit is dropped; what is missing is taken from `known` by the property's name, or else is
    the least that is valid: the first of an enumeration, an empty list, a text saying that it was not
    determined. Patterns and formats of strings are not looked at. References are looked up in `root`, by
    default the schema itself.
    """
    whole = root if isinstance(root, dict) else schema if isinstance(schema, dict) else {}
    return _Filler(whole, _NOBODY | dict(known or {})).fill(
        schema if isinstance(schema, dict) else {}, value, "", 0
    )


class _Filler:
    def __init__(self, root: Mapping[str, Any], known: Mapping[str, Any]) -> None:
        self._root = root
        self._known = known

    def fill(self, schema: object, value: Any, name: str, depth: int) -> Any:
        if not isinstance(schema, dict) or depth > _DEEPEST:
            return None if value is _ABSENT else value
        schema = self._resolved(schema)
        if value is _ABSENT or not self._fits(schema, value):
            value = self._known_as(name, schema, value)
        if "const" in schema:
            return schema["const"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return value if _is_in(schema["enum"], value) else schema["enum"][0]
        for choice in ("anyOf", "oneOf"):
            if isinstance(schema.get(choice), list) and schema[choice]:
                return self.fill(self._chosen(schema[choice], value, depth), value, name, depth + 1)
        match self._type(schema, value):
            case "object":
                return self._object(schema, value, depth)
            case "array":
                return self._array(schema, value, name, depth)
            case "string":
                return _string(schema, value)
            case "integer" | "number":
                return _number(schema, value)
            case "boolean":
                return value if isinstance(value, bool) else False
            case "null":
                return None
            case _:
                return NOT_DETERMINED if value is _ABSENT else value

    def _object(self, schema: Mapping[str, Any], value: Any, depth: int) -> dict[str, Any]:
        given: Mapping[str, Any] = value if isinstance(value, dict) else {}
        properties = schema.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        required = schema.get("required")
        required = required if isinstance(required, list) else []
        filled = {
            name: self.fill(own, given.get(name, _ABSENT), name, depth + 1)
            for name, own in properties.items()
            if name in required or name in given or name in self._known
        }
        if schema.get("additionalProperties") is not False:
            filled |= {name: item for name, item in given.items() if name not in properties}
        return filled | {name: NOT_DETERMINED for name in required if name not in filled}

    def _array(self, schema: Mapping[str, Any], value: Any, name: str, depth: int) -> list[Any]:
        items = list(value) if isinstance(value, (list, tuple)) else []
        most, least = schema.get("maxItems"), schema.get("minItems")
        if isinstance(most, int):
            items = items[:most]
        if isinstance(least, int):
            items += [_ABSENT] * (min(least, 100) - len(items))
        return [
            self.fill(schema.get("items", {}), item, name if item is _ABSENT else "", depth + 1)
            for item in items
        ]

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Follow references within the schema, and lay the parts of an allOf together."""
        for _ in range(_DEEPEST):
            reference = schema.get("$ref")
            if not isinstance(reference, str) or not reference.startswith("#"):
                break
            target: Any = self._root
            for step in reference.removeprefix("#").strip("/").split("/") if reference != "#" else []:
                target = target.get(step) if isinstance(target, dict) else None
            if not isinstance(target, dict):
                break
            schema = target | {key: item for key, item in schema.items() if key != "$ref"}
        parts = schema.get("allOf")
        for part in parts if isinstance(parts, list) else []:
            if isinstance(part, dict):
                schema = self._resolved(part) | schema if "$ref" in part else part | schema
        return schema

    def _known_as(self, name: str, schema: dict[str, Any], value: Any) -> Any:
        """Give what is known under a property's name, if it has the type; a finding may stand as its text."""
        for known in (self._known.get(name.lower(), _ABSENT), value):
            if known is not _ABSENT and self._fits(schema, known):
                return known
        if isinstance(value, dict) and isinstance(value.get("statement"), str):
            return value["statement"]
        return _ABSENT

    def _fits(self, schema: dict[str, Any], value: Any) -> bool:
        schema = self._resolved(schema)
        choices = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(choices, list):
            return any(self._fits(choice, value) for choice in choices if isinstance(choice, dict))
        return _is_of(schema, value)

    def _chosen(self, choices: list[Any], value: Any, depth: int) -> Any:
        """Give the choice that keeps the value as it is, else one of its type, else null, else the first."""
        known = [choice for choice in choices if isinstance(choice, dict)]
        if value is not _ABSENT:
            for choice in known:
                if self._fits(choice, value) and self.fill(choice, value, "", depth + 1) == value:
                    return choice
            for choice in known:
                if self._fits(choice, value):
                    return choice
        empty = [choice for choice in known if choice.get("type") == "null"]
        return (empty or choices)[0]

    def _type(self, schema: Mapping[str, Any], value: Any) -> str:
        kinds = _kinds(schema)
        fitting = [kind for kind in kinds if value is not _ABSENT and _is_of({"type": kind}, value)]
        return (fitting or kinds or [""])[0]


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    given = schema.get("type")
    if isinstance(given, list):
        return [kind for kind in given if isinstance(kind, str)]
    if isinstance(given, str):
        return [given]
    return ["object"] if "properties" in schema else ["array"] if "items" in schema else []


def _is_of(schema: Mapping[str, Any], value: Any) -> bool:
    if isinstance(schema.get("enum"), list):
        return _is_in(schema["enum"], value)
    kinds = _kinds(schema)
    if isinstance(value, bool):
        return not kinds or "boolean" in kinds
    return not kinds or any(isinstance(value, _TYPES.get(kind, (object,))) for kind in kinds)


def _is_in(values: list[Any], value: Any) -> bool:
    """Whether a value is one of an enumeration; true is no 1 in JSON."""
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in values)


def _string(schema: Mapping[str, Any], value: Any) -> str:
    text = value if isinstance(value, str) else NOT_DETERMINED
    least, most = schema.get("minLength"), schema.get("maxLength")
    if isinstance(least, int) and len(text) < least:
        text = text.ljust(min(least, 10_000), ".")
    return text[:most] if isinstance(most, int) else text


def _number(schema: Mapping[str, Any], value: Any) -> int | float:
    number: int | float = value if _is_number(value) else 0
    for key, step in (("minimum", 0), ("exclusiveMinimum", 1)):
        if _is_number(schema.get(key)):
            number = max(number, schema[key] + step)
    for key, step in (("maximum", 0), ("exclusiveMaximum", 1)):
        if _is_number(schema.get(key)):
            number = min(number, schema[key] - step)
    return number


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
