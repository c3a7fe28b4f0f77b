"""A JSON Schema in the strict form that the Messages API can hold a model's answer to.

Objects are closed, nothing is recursive, constraints of size are unknown, and properties that may be left out
or have more than one type are few: https://platform.claude.com/docs/en/build-with-claude/structured-outputs
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anthropic import transform_schema

from harness.bundles.api_schema import PROPERTY_NAME

MOST_OPTIONAL = 24
MOST_UNIONS = 16
"""Properties of one request that may be left out, and those of more than one type."""

MOST_PARTS = 400
"""Schemas within a schema. The service refuses a grammar that is too large and does not say how large."""

_PRIMITIVE = (str, int, float, bool, type(None))
_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})


class NotStrict(ValueError):
    """A schema says what the strict form cannot say."""


@dataclass
class Room:
    """What is left of the limits of one request. A schema that does not fit takes nothing."""

    optional: int = MOST_OPTIONAL
    unions: int = MOST_UNIONS
    parts: int = MOST_PARTS

    def take(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Give the strict form of a whole schema, in which references are replaced by what they stand for.

        Constraints that the strict form does not know become part of the descriptions.

        Raises:
            NotStrict: it cannot be said strictly, or there is no room for it. Open objects, recursion, values
                without a type, and names of properties that the API refuses cannot be said.
        """
        work = _Work(schema, self.optional, self.unions, self.parts)
        strict: dict[str, Any] = transform_schema(work.closed(schema, ()))
        self.optional, self.unions, self.parts = work.optional, work.unions, work.parts
        return strict


@dataclass
class _Work:
    root: Mapping[str, Any]
    optional: int
    unions: int
    parts: int

    def closed(self, schema: Any, above: tuple[object, ...]) -> dict[str, Any]:
        """The same schema without references; `above` are those that lead to it."""
        self.parts -= 1
        _need(self.parts >= 0, "it is too large")
        _need(isinstance(schema, Mapping), "a value may be anything")
        given = {name: part for name, part in schema.items() if name not in ("$defs", "definitions")}
        if (reference := given.pop("$ref", None)) is not None:
            _need(reference not in above, f"{reference} holds itself")
            return self.closed({**self._found(str(reference)), **given}, (*above, reference))
        if isinstance(kinds := given.get("type"), list):
            del given["type"]
            given = {"anyOf": [{**given, "type": kind} for kind in kinds]}
        for union in ("anyOf", "oneOf"):
            if isinstance(given.get(union), list):
                self.unions -= 1
                _need(self.unions >= 0, "too many values have more than one type")
                return {**given, union: [self.closed(each, above) for each in given[union]]}
        if "const" in given or "enum" in given:
            values = given.get("enum", [given.get("const")])
            _need(
                bool(values) and all(isinstance(each, _PRIMITIVE) for each in values), "a value is composed"
            )
            return given
        _need(given.get("type") in _TYPES and "allOf" not in given, "a value has no plain type")
        if given["type"] == "array":
            _need("prefixItems" not in given, "the items of a list differ by their place")
            return {**given, "items": self.closed(given.get("items"), above)}
        return self._object(given, above) if given["type"] == "object" else given

    def _object(self, schema: dict[str, Any], above: tuple[object, ...]) -> dict[str, Any]:
        own = schema.get("properties") or {}
        # One that names its properties is closed by that, unless it says otherwise; one without any is open.
        closed = schema.get("additionalProperties", not own) is False
        _need(closed and "patternProperties" not in schema, "an object is open")
        _need(all(PROPERTY_NAME.fullmatch(name) for name in own), "the name of a property is refused")
        self.optional -= len(set(own) - set(schema.get("required") or ()))
        _need(self.optional >= 0, "too many properties may be left out")
        return {**schema, "properties": {name: self.closed(each, above) for name, each in own.items()}}

    def _found(self, reference: str) -> Mapping[str, Any]:
        found: Any = self.root if reference.startswith("#/") else None
        for step in reference.removeprefix("#/").split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        _need(isinstance(found, Mapping), f"{reference} is not part of it")
        return dict(found)


def _need(holds: bool, problem: str) -> None:
    if not holds:
        raise NotStrict(problem)
