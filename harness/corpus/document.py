"""What every reader makes of a file: its text, its title and where its headings stand."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise

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

    def redacted(self, redact: Callable[[str], str]) -> Document:
        """Give the document without secrets; its headings stand where they stand then."""
        title = self.title and redact(self.title)
        ends = [0, *(heading.offset for heading in self.headings), len(self.text)]
        pieces = [redact(self.text[begin:end]) for begin, end in pairwise(ends)]
        text = redact("".join(pieces))
        if len(text) != sum(map(len, pieces)):
            return Document(text, title)  # a secret went across a heading
        offsets = accumulate(map(len, pieces[:-1]))
        headings = zip(offsets, self.headings, strict=True)
        return Document(text, title, tuple(Heading(offset, redact(each.text)) for offset, each in headings))


def storable(text: str) -> str:
    r"""Give `text` with `\n` as its only line end and without the characters Postgres' text refuses."""
    return _UNSTORABLE.sub("", _NEWLINE.sub("\n", text))


def one_line(text: str) -> str:
    """Give `text` with every run of white space as one space."""
    return " ".join(text.split())
