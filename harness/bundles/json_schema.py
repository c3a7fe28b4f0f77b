"""A pydantic class from a JSON Schema, for bundles that state their input or output in the front matter."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

from jsonschema import Draft202012Validator, SchemaError
from jsonschema.exceptions import best_match
from pydantic import RootModel, model_validator


class SchemaModel(RootModel[dict[str, Any]]):
    """An object that fits a JSON Schema (draft 2020-12); `root` is the object as given."""

    written: ClassVar[Mapping[str, Any]]
    checker: ClassVar[Draft202012Validator]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if problem := best_match(self.checker.iter_errors(self.root)):
            raise ValueError(
                f"{problem.json_path.removeprefix('$').removeprefix('.') or 'the object'}: {problem.message}"
            )
        return self

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Give the schema as it was written."""
        return copy.deepcopy(dict(cls.written))


def model_from_schema(name: str, schema: Mapping[str, Any]) -> type[SchemaModel]:
    """Make the class of the objects that fit a JSON Schema.

    Raises:
        ValueError: it is no JSON Schema of an object, or it refers to a schema outside itself.
    """
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"{error.json_path}: {error.message}") from error
    if schema.get("type") != "object":
        raise ValueError("its type should be 'object'")
    if outside := [reference for reference in _references(schema) if not reference.startswith("#")]:
        raise ValueError(
            f"it refers to {outside[0]}, and only references within the schema ('#/...') are followed"
        )

    class Model(SchemaModel):
        written: ClassVar[Mapping[str, Any]] = copy.deepcopy(dict(schema))
        checker: ClassVar[Draft202012Validator] = Draft202012Validator(schema)

    Model.__name__ = Model.__qualname__ = name
    return Model


def _references(schema: Any) -> Iterator[str]:
    match schema:
        case Mapping():
            if isinstance(reference := schema.get("$ref"), str):
                yield reference
            for value in schema.values():
                yield from _references(value)
        case list():
            for value in schema:
                yield from _references(value)
