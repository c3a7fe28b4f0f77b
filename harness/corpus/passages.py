"""Cutting a document into passages: what a search finds and a quote is cut from."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from harness.corpus.document import Document, Heading

MIN_CHARACTERS = 800
MAX_CHARACTERS = 1500
MIN_BEFORE_HEADING = 400
"""A passage ends sooner where a heading follows: a definition is found best at the head of its passage."""

_HEADING_CHARACTERS = 100
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
    """Cut a document into passages of 800 to 1,500 characters, at its paragraphs if it can be.

    A passage that ends at a heading may have as few as 400, the last one as few or as many as are left: at
    most 1,600.
    """
    text = document.text
    starts = [heading.offset for heading in document.headings]
    begin = 0
    while begin < len(text):
        end = _end(text, begin, starts)
        # The heading the passage begins under, and those within it.
        first = max(bisect_right(starts, begin) - 1, 0)
        yield Passage(
            begin, text[begin:end], _joined(document.headings[first : bisect_right(starts, end - 1)])
        )
        begin = end


def _end(text: str, begin: int, heading_starts: list[int]) -> int:
    low, high = begin + MIN_CHARACTERS, begin + MAX_CHARACTERS
    heading = bisect_right(heading_starts, begin + MIN_BEFORE_HEADING - 1)
    if heading < len(heading_starts) and heading_starts[heading] <= high:
        return heading_starts[heading]
    if len(text) - begin <= 2 * MIN_CHARACTERS:
        return len(text)
    for border in _BORDERS:
        ends = [found.end() for found in border.finditer(text, low, high)]
        if ends:
            return ends[-1]
    return high


def _joined(headings: tuple[Heading, ...]) -> str:
    return " / ".join(dict.fromkeys(heading.text for heading in headings))[:_HEADING_CHARACTERS]
