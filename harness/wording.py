"""How a wrong value is put into words: where it is, what is wrong, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

SHOWN = 3
"""How many problems a sentence names before it counts the rest."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Give the clause " (did you mean 'x'?)" for the known word nearest to this one, or nothing."""
    found = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f" (did you mean '{found[0]}'?)" if found else ""


def dotted(location: Sequence[str | int]) -> str:
    """Write a location as a path: `findings[0].citations`."""
    path = ""
    for part in location:
        if part == "[key]":  # pydantic's mark for a key itself, which stands before it
            continue
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")


def problems(error: ValidationError, model: type[BaseModel]) -> list[tuple[str, str]]:
    """Give each problem as (path, what is wrong); the path is empty when the whole value is meant.

    `model` is what was validated: an unknown key is compared with the keys its place knows.
    """
    found = []
    for problem in error.errors(include_url=False, include_context=False):
        location = problem["loc"]
        found.append(
            (dotted(location), _what(problem["type"], problem["msg"], problem["input"], location, model))
        )
    return found


def sentence(found: Sequence[tuple[str, str]]) -> str:
    """Join problems into one clause, the first few in full."""
    shown = "; ".join(f"{path}: {what}" if path else what for path, what in found[:SHOWN])
    rest = len(found) - SHOWN
    return f"{shown}; and {rest} more" if rest > 0 else shown


def _what(
    kind: str, message: str, value: object, location: Sequence[str | int], model: type[BaseModel]
) -> str:
    match kind:
        case "missing":
            return "is required"
        case "extra_forbidden":
            known = {
                field.alias or name
                for place in _models_at(model, location[:-1])
                for name, field in place.model_fields.items()
            }
            return f"is not known{nearest(str(location[-1]), known)}"
        case "value_error":
            return message.removeprefix("Value error, ")
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"should be an object of keys and values{_got(value)}"
        case "tuple_type":
            return f"should be a list{_got(value)}"
        case "too_short" if not value:
            return "is empty"
        case _:
            return f"{message.removeprefix('Input ')}{_got(value)}"


def _got(value: object) -> str:
    return f" (got {_short(value)})" if isinstance(value, str | int | float | bool) else ""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _models_at(model: type[BaseModel], location: Sequence[str | int]) -> set[type[BaseModel]]:
    """Follow a location through nested models; keys of mappings, indices and union tags lead nowhere new."""
    here: set[type[BaseModel]] = {model}
    for part in location:
        below = {
            inner
            for place in here
            if part in place.model_fields
            for inner in _models_in(place.model_fields[str(part)].annotation)
        }
        here = below or here
    return here


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
