"""What every reader makes of a file: its text, its title and where its headings stand."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Postgres' text takes neither NUL nor half of a surrogate pair; the other control characters only disturb.
_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff\ufeff]")
_NEWLINE = re.compile("\r\n?|\f|\x85|\u2028|\u2029")


@dataclass(frozen=True)
class Heading:
    """A heading of a document, or the term of a definition; `offset` is where it begins, in characters."""

    offset: int
    text: str


@dataclass(frozen=True)
class Document:
    """The readable text of a file. All offsets in the harness count characters (code points) of `text`."""

    text: str
    title: str | None = None
    headings: tuple[Heading, ...] = ()


def storable(text: str) -> str:
    r"""Give `text` with `\n` as its only line end and without the characters Postgres' text refuses."""
    return _UNSTORABLE.sub("", _NEWLINE.sub("\n", text))


def one_line(text: str) -> str:
    """Give `text` with every run of white space as one space."""
    return " ".join(text.split())
