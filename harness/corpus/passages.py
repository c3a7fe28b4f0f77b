"""Cutting a document into passages: what a search finds and a quote is cut from."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from harness.corpus.document import Document, Heading

MIN_CHARACTERS = 800
MAX_CHARACTERS = 1500

_HEADING_CHARACTERS = 200
"""How much of its headings a passage carries: in an index, where each line is one, they would drown all."""

# The borders at which to cut, best first: a paragraph, a line, a sentence, a word.
_BORDERS = (
    re.compile(r"\n[ \t]*\n\s*"),
    re.compile(r"\n\s*"),
    re.compile(r"[.!?;][\"')\]]*\s+|[。！？]"),
    re.compile(r"\s+"),
)


@dataclass(frozen=True)
class Passage:
    """A piece of a document. The passages of a document, put together, are its text again.

    `offset` counts characters of the document's text; `heading` is what stands over the passage and in it.
    """

    offset: int
    text: str
    heading: str


def cut(document: Document) -> Iterator[Passage]:
    """Cut a document at its headings and paragraphs into passages of 800 to 1,500 characters.

    Only the last one may be shorter, and none is longer than two of the shortest.
    """
    text = document.text
    starts = [heading.offset for heading in document.headings]
    begin = 0
    while begin < len(text):
        end = _end(text, begin, starts)
        # The heading the passage begins under, and the ones within it.
        first = max(bisect_right(starts, begin) - 1, 0)
        over = document.headings[first : bisect_right(starts, end - 1)]
        yield Passage(begin, text[begin:end], _joined(over))
        begin = end


def _end(text: str, begin: int, heading_starts: list[int]) -> int:
    if len(text) - begin <= 2 * MIN_CHARACTERS:
        return len(text)
    low, high = begin + MIN_CHARACTERS, begin + MAX_CHARACTERS
    next_heading = bisect_right(heading_starts, low - 1)
    if next_heading < len(heading_starts) and heading_starts[next_heading] <= high:
        return heading_starts[next_heading]
    for border in _BORDERS:
        ends = [found.end() for found in border.finditer(text, low, high)]
        if ends:
            return ends[-1]
    return high


def _joined(headings: tuple[Heading, ...]) -> str:
    return " / ".join(dict.fromkeys(heading.text for heading in headings))[:_HEADING_CHARACTERS]
