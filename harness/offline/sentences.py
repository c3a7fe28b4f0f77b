"""From a document's text to its sentences, each with where it stands and the heading above it.

Code, rules and markup between the sentences are left out. The text of a sentence is always an exact slice of
the document, so it can be quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.offline.words import words

LONGEST_HEADING = 90
"""Characters; a longer line without an end mark is a sentence that lacks it."""

_FENCE = re.compile(r"\s*(?:```|~~~)[`~]*\s*(\S*)")
_UNDERLINE = re.compile(r"\s*([=\-~^*#_])\1{2,}\s*$")
_HEADING = re.compile(r"\s{0,3}#{1,6}\s+(?=\S)")
_ITEM = re.compile(r"\s*(?:[-*+•‣▪·]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s+(?=\S)")
_QUOTE = re.compile(r"\s{0,3}>\s?")
_CELLS = re.compile(r"\s\|\s|\t")
_ENDED = re.compile(r"[.!?:;,…。！？]['\"”’)\]*_`]*\s*$")
_BORDER = re.compile(r"(?:[.!?…]['\"”’)\]*_]*(?:\[\d+\])*\s+(?=['\"“‘(\[*_`$#/-]*[^\W_a-z])|[。！？]\s*)")
_ABBREVIATION = re.compile(
    r"(?:\b(?:[A-Za-z]|e\.g|i\.e|a\.k\.a|etc|vs|cf|al|approx|ca|resp|incl|esp|No|Nos|Fig|Figs|Eq|Sec|Ch|Vol|pp?|"
    r"Dr|Mr|Mrs|Ms|Prof|St|Jr|Sr|Inc|Ltd|Corp|Co|U\.S|U\.K|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec))\.$"
)


@dataclass(frozen=True)
class Sentence:
    """One sentence: `text` is the document's own from `start`; `heading` is the one it stands under.

    `heading_start` is where that begins, -1 without one. `whole` says that it ends as sentences do; `row`
    that it is a row of a table, in cells.
    """

    start: int
    text: str
    heading: str
    heading_start: int
    whole: bool
    row: bool = False

    @property
    def end(self) -> int:
        """Where the sentence ends, counted like `start`."""
        return self.start + len(self.text)


def sentences(text: str) -> list[Sentence]:
    """Give the sentences of a text, offsets in characters of it."""
    found: list[Sentence] = []
    heading, above = "", -1
    for start, end, kind in _blocks(text):
        if kind == "heading":
            heading, above = text[start:end], start
            continue
        if kind == "row":
            found.append(Sentence(start, text[start:end], heading, above, whole=False, row=True))
            continue
        for begin, stop in _split(text, start, end):
            part = text[begin:stop]
            found.append(Sentence(begin, part, heading, above, bool(re.search(r"[.!?。！？]\W*$", part))))
    return found


def _blocks(text: str) -> Iterator[tuple[int, int, str]]:
    """Give the spans and kinds of paragraphs and items, table rows and headings, without markers."""
    lines = list(_lines(text))
    open_start = open_end = -1
    fenced = _begins_in_code(text, lines)
    for number, (start, end) in enumerate(lines):
        line = text[start:end]
        fence = _FENCE.match(line)
        heading, item = _HEADING.match(line), _ITEM.match(line)
        silent = fence or fenced or not line.strip() or _UNDERLINE.match(line)
        row = _CELLS.search(line.strip()) or line.lstrip().startswith("|")
        if open_start >= 0 and (silent or row or heading or item or _is_break(text, lines, number)):
            yield open_start, open_end, "text"
            open_start = -1
        if fence:
            fenced = not fenced
        if silent:
            continue
        if row:
            yield from _trimmed(text, start, end, "row")
        elif heading:
            yield from _trimmed(text, start + heading.end(), end, "heading")
        elif open_start < 0 and not item and _is_heading(text, lines, number):
            yield from _trimmed(text, start, end, "heading")
        else:
            marker = item or _QUOTE.match(line)
            if open_start < 0:
                open_start = start + (marker.end() if marker else len(line) - len(line.lstrip()))
            open_end = start + len(line.rstrip())
    if open_start >= 0:
        yield open_start, open_end, "text"


def _begins_in_code(text: str, lines: list[tuple[int, int]]) -> bool:
    """Whether a text cut out of a document begins inside a fence: the first mark can only close one."""
    fences = [fence for start, end in lines if (fence := _FENCE.match(text[start:end]))]
    return len(fences) % 2 == 1 and not fences[0][1] and not fences[-1][1]


def _lines(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for line in text.split("\n"):
        yield start, start + len(line)
        start += len(line) + 1


def _trimmed(text: str, start: int, end: int, kind: str) -> Iterator[tuple[int, int, str]]:
    part = text[start:end]
    if part.strip():
        yield start + len(part) - len(part.lstrip()), start + len(part.rstrip()), kind


def _is_break(text: str, lines: list[tuple[int, int]], number: int) -> bool:
    """Whether a line cannot continue the one before it: that was short and unended, and this begins."""
    if number == 0:
        return True
    before, line = (text[start:end] for start, end in lines[number - 1 : number + 1])
    return len(before) < 60 and not _ENDED.search(before) and line.lstrip()[:1].isupper()


def _is_heading(text: str, lines: list[tuple[int, int]], number: int) -> bool:
    """Whether a line stands for itself like a heading: short, with no end mark, followed by a break."""
    start, end = lines[number]
    line = text[start:end].strip()
    if len(line) > LONGEST_HEADING or _ENDED.search(line) or re.search(r"\s[—–]\s", line):
        return False
    if number + 1 == len(lines):
        return False
    following = text[slice(*lines[number + 1])]
    is_last = not following.strip() or bool(_UNDERLINE.match(following))
    return (is_last or _is_break(text, lines, number + 1)) and len(words(line)) > 0


def _split(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut a paragraph after each end mark that is none of an abbreviation, a number, code or a bracket."""
    begin = start
    for border in _BORDER.finditer(text, start, end):
        head = text[begin : border.end()].rstrip()
        if _ABBREVIATION.search(head) or _is_open(head) or head.endswith(" ..."):
            continue
        yield begin, begin + len(head)
        begin = border.end()
    if text[begin:end].strip():
        yield begin, begin + len(text[begin:end].rstrip())


def _is_open(head: str) -> bool:
    """Whether code or a short bracket begun in the sentence is still open at its end."""
    if head.count("`") % 2:
        return True
    opened = head.rfind("(")
    return opened > head.rfind(")") and len(head) - opened < 80
