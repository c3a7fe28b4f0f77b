"""What the tools and subagents return, read leniently: unknown fields are skipped, misfits dropped."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError


class Shape(BaseModel):
    """The base of what is read from a tool's answer: frozen, and blind to fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Passage(Shape):
    """A stretch of a document, from a search or from reading; `offset` counts characters of the document."""

    source: str
    title: str | None = None
    locator: str | None = None
    offset: int = 0
    text: str
    next_offset: int | None = None

    @property
    def name(self) -> str:
        """What a person calls the document."""
        return " ".join((self.title or self.locator or "untitled").split())


class Citation(Shape):
    """A quote and the label of the document it stands in."""

    source: str
    quote: str = ""


class Finding(Shape):
    """A statement with the quotes it rests on."""

    statement: str
    citations: tuple[Citation, ...] = ()


class Verdict(Shape):
    """What a fact checker found about one statement."""

    statement: str
    verdict: str
    reason: str = ""


class TaskResult(Shape):
    """How one delegated task ended."""

    to: str = ""
    status: str = "failed"
    output: Any = None
    problem: str | None = None


Kind = TypeVar("Kind", bound=Shape)


def each(kind: type[Kind], values: object) -> list[Kind]:
    """Read the items of a list that have the shape of `kind`; whatever else is in it is dropped."""
    read: list[Kind] = []
    for value in values if isinstance(values, (list, tuple)) else ():
        try:
            read.append(kind.model_validate(value))
        except ValidationError:
            continue
    return read


def read_json(text: str) -> Any:
    """Read the JSON at the beginning of a text, of which the end may be missing; None when there is none.

    Whatever follows the JSON (a reference, a reminder) is ignored. Of JSON that was cut short, the items that
    are whole are given.
    """
    text = text.lstrip()
    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        pass
    for candidate in _closed(text):
        try:
            return json.loads(candidate)
        except (ValueError, RecursionError):
            continue
    return None


def _closed(text: str) -> Iterable[str]:
    """Give cut JSON ended after its last whole items, the longest first; a few tries are enough."""
    if not text.startswith(("{", "[")):
        return []
    ends: list[tuple[int, str]] = []
    closers = ""
    in_string = escaped = False
    for at, char in enumerate(text):
        if in_string:
            in_string = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            in_string = True
        elif char in "{[":
            closers = ("}" if char == "{" else "]") + closers
        elif char in "}]":
            closers = closers[1:]
            ends.append((at + 1, closers))
        elif char == ",":
            ends.append((at, closers))
    return [text[:at] + closing for at, closing in reversed(ends[-8:])]
