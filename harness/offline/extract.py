"""Quoting a sentence: with its neighbours, or after its heading, where it is not understood without them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.offline.conflicts import contradict
from harness.offline.lines import Line
from harness.offline.prose import dangles
from harness.offline.question import Question
from harness.offline.shapes import Citation, Finding
from harness.offline.words import terms, tidy

SHORT = 40
"""Characters; a shorter sentence is quoted together with the next."""
LONGEST_QUOTE = 420
"""Characters of a quote made of several sentences."""
LONGEST_LEAD = 200
"""Characters of a sentence that is quoted only because the next one points back at it."""
MOST_JOINED = 5
HEADING_REACH = 1500
"""Characters below a heading within which it may be named with a quote."""

_SECTION_NUMBER = re.compile(r"^(?:[A-Z]|\d+)(?:\.\d+)*\.?\s+")


@dataclass(frozen=True)
class Extract:
    """A quote chosen for a question; `quote` is an exact slice of the document's text."""

    source: str
    name: str
    start: int
    quote: str
    score: float
    heading: str = ""

    @property
    def statement(self) -> str:
        """The quote as a sentence of a report; after its heading, where it is not understood without it."""
        heading = _SECTION_NUMBER.sub("", tidy(self.heading)).rstrip(".")
        return f"{heading}: {tidy(self.quote)}" if heading else tidy(self.quote)

    @property
    def finding(self) -> Finding:
        """The extract as a finding with its citation."""
        return Finding(statement=self.statement, citations=(Citation(source=self.source, quote=self.quote),))


def quoted(question: Question, lines: Sequence[Line], place: int, score: float) -> Extract:
    """Quote the sentence at a place of its stretch, as an answer to a question."""
    first = last = place
    here = lines[place].sentence.text
    if place and dangles(here) and _joined(lines, place - 1, place):
        first -= len(lines[place - 1].sentence.text) < LONGEST_LEAD
    while last + 1 < len(lines) and last - first + 1 < MOST_JOINED and _joined(lines, first, last + 1):
        goes_on = last == place and _completes(question, lines[place], lines[last + 1])
        if not goes_on and not lines[last].sentence.text.rstrip().endswith(":"):
            break
        last += 1
    stretch = lines[place].stretch
    start, end = lines[first].sentence.start, lines[last].sentence.end
    quote = stretch.text[start:end]
    heading = _needed_heading(question, lines[first], quote)
    return Extract(stretch.source, stretch.name, stretch.offset + start, quote, score, heading)


def repeats(extract: Extract, other: Extract) -> bool:
    """Whether a quote overlaps another or says the same in nearly the same words."""
    if extract.source == other.source and (
        extract.start < other.start + len(other.quote) and other.start < extract.start + len(extract.quote)
    ):
        return True
    if extract.source != other.source and contradict(extract.quote, other.quote):
        return False
    mine, theirs = set(terms(extract.quote)), set(terms(other.quote))
    return len(mine & theirs) > 0.7 * min(len(mine), len(theirs))


def _completes(question: Question, line: Line, following: Line) -> bool:
    """Whether the next sentence of a paragraph belongs to a quote: it has the number, or points back."""
    here, after = line.sentence.text, following.sentence.text
    if "\n\n" in _between(line, following):
        return False
    if len(here) < SHORT:
        return True
    if question.kind == "number" and not question.has_sign(here):
        return question.has_sign(after)
    return dangles(after) and (bool(set(question.stems) & following.own) or question.fit(here) >= 0.4)


def _needed_heading(question: Question, line: Line, quote: str) -> str:
    """Give the heading above a quote if it has words of the question that the quote lacks."""
    heading = line.sentence.heading
    named = set(terms(heading))
    missing = set(question.stems) - set(terms(quote))
    near = line.sentence.start - line.sentence.heading_start < HEADING_REACH
    return heading if near and missing & named and not named <= set(terms(line.title)) else ""


def _joined(lines: Sequence[Line], first: int, last: int) -> bool:
    """Whether the sentences stand under one heading, near enough to be quoted as one."""
    start, end = lines[first].sentence, lines[last].sentence
    near = len(_between(lines[last - 1], lines[last])) < 8
    return near and start.heading_start == end.heading_start and end.end - start.start <= LONGEST_QUOTE


def _between(line: Line, following: Line) -> str:
    return line.stretch.text[line.sentence.end : following.sentence.start]
