"""Named SQL: every statement of the harness lives in `sql/*.sql`, not in a Python string.

A file is a sequence of blocks. A block begins with `-- name: append_event`; the comment lines that follow say
what it does, and the rest, up to the next block, is the statement with psycopg's named parameters
(`%(session_id)s`). Comments are left out of what is sent: psycopg would take a `%` in them for a parameter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import LiteralString

FOLDER = Path(__file__).with_name("sql")

_NAME = re.compile(r"^--[ \t]*name:[ \t]*(\w+)[ \t]*$", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*--.*\n?", re.MULTILINE)


@cache
def queries(area: str) -> Mapping[str, LiteralString]:
    """Give the statements of `sql/<area>.sql` by name.

    Raises FileNotFoundError for an unknown area and ValueError for a file that is not a sequence of named,
    non-empty blocks: both are mistakes in the harness, not in its input.
    """
    return parse((FOLDER / f"{area}.sql").read_text("utf-8"), area)


def parse(text: str, area: str) -> Mapping[str, LiteralString]:
    """Split the text of a query file into its statements by name; `area` is for the messages only."""
    preamble, *parts = _NAME.split(text)
    if _COMMENT.sub("", preamble).strip():
        raise ValueError(f"{area}.sql has a statement before its first '-- name:' line")
    found: dict[str, LiteralString] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        statement = _COMMENT.sub("", body).strip().removesuffix(";")
        if not statement:
            raise ValueError(f"{area}.sql: the block {name!r} is empty")
        if name in found:
            raise ValueError(f"{area}.sql: the name {name!r} is used twice")
        found[name] = trusted(statement)
    return MappingProxyType(found)


def trusted(text: str) -> LiteralString:
    """Vouch for SQL that ships with the package: for a type checker it is as good as written in the code."""
    return text  # pyright: ignore[reportReturnType]
