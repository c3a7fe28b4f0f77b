"""Choosing the sentences that answer a question, from the passages that the tools returned.

A sentence counts by the share of the question's words it has, rare words for more than frequent ones (the
inverse document frequency of Sparck Jones, 1972, taken over the sentences at hand), and by its form.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.offline.question import Question
from harness.offline.sentences import Sentence, sentences
from harness.offline.shapes import Citation, Finding, Passage
from harness.offline.words import is_common, stem, terms, tidy, words

LEAST_OWN = 0.3
"""Share of the question's weight that a sentence's own words must have to be quoted."""
LEAST_IN_ALL = 0.5
"""The same with the words around it (heading, title, sentence before) counted half."""
LONGEST_QUOTE = 420
"""Characters of a quote, when sentences are joined to be understood."""

_DANGLING = re.compile(
    r"\W*(?:It|Its|This|These|They|Their|Those|That|He|She|Such|However|But|And|Or|Also|Then|Therefore|Thus|Hence"
    r"|Otherwise|Similarly|Likewise|Instead|Moreover|Furthermore|Additionally|For example|For instance"
    r"|In this|In that|In these|In such|As a result|Note that (?:this|it|these)|(?:Both|Neither|Each) of)\b"
)
_POINTER = re.compile(r"\b(?:see|refer to|described in|discussed in|listed in|shown in)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Extract:
    """A quote chosen for a question; `quote` is an exact slice of the document's text."""

    source: str
    name: str
    start: int
    quote: str
    score: float

    @property
    def statement(self) -> str:
        """The quote as a sentence of a report."""
        return tidy(self.quote)

    @property
    def finding(self) -> Finding:
        """The extract as a finding with its citation."""
        return Finding(statement=self.statement, citations=(Citation(source=self.source, quote=self.quote),))


@dataclass(frozen=True)
class _Line:
    """A sentence at its place; `place` counts it within its stretch of text."""

    stretch: Passage
    sentence: Sentence
    place: int
    own: frozenset[str]
    around: frozenset[str]


class Evidence:
    """All sentences of some passages, to be ranked for any question."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._stretches = stitched(passages)
        self._lines: list[list[_Line]] = [_lines(stretch) for stretch in self._stretches]
        self._spread: Counter[str] = Counter()
        self._known: dict[str, set[str]] = {}
        for stretch, lines in zip(self._stretches, self._lines, strict=True):
            known = self._known.setdefault(stretch.source, set())
            known.update(terms(f"{stretch.title or ''} {stretch.locator or ''} {stretch.text}"))
            for line in lines:
                self._spread.update(line.own)

    @property
    def names(self) -> dict[str, str]:
        """The documents seen: label to title."""
        return {stretch.source: stretch.name for stretch in self._stretches}

    def unseen(self, question: Question) -> list[str]:
        """Give the question's words that no passage has, in any form."""
        known = set().union(*self._known.values()) if self._known else set()
        return [word for word in question.subject if stem(word) not in known]

    def best(self, question: Question, at_most: int) -> list[Extract]:
        """Give the best quotes for a question, best first; none when no sentence is relevant enough."""
        weights = self._weights(question)
        scored = [
            (score, stretch, line.place)
            for stretch, lines in enumerate(self._lines)
            for line in lines
            if (score := self._score(question, weights, line)) > 0
        ]
        scored.sort(key=lambda item: (-item[0], self._stretches[item[1]].source, item[1], item[2]))
        chosen: list[Extract] = []
        for score, stretch, place in scored:
            if len(chosen) == at_most or score < 0.55 * scored[0][0]:
                break
            extract = self._extract(question, self._lines[stretch], place, score)
            if not any(_repeats(extract, other) for other in chosen):
                chosen.append(extract)
        return chosen

    def _weights(self, question: Question) -> dict[str, float]:
        total = sum(len(lines) for lines in self._lines)
        seen = {
            term: max(0.3, math.log((total + 1) / (self._spread[term] + 0.5)))
            for term in question.stems
            if self._spread[term]
        }
        unseen = 1.2 * max(seen.values(), default=1.0)
        return {term: seen.get(term, unseen) for term in question.stems}

    def _score(self, question: Question, weights: dict[str, float], line: _Line) -> float:
        text = line.sentence.text
        total = sum(weights.values())
        own = sum(weights[term] for term in weights if term in line.own)
        if not total or own / total < LEAST_OWN or not _is_readable(line):
            return 0.0
        if question.names and not question.names & self._known[line.stretch.source]:
            return 0.0
        near = sum(weights[term] for term in weights if term in line.around and term not in line.own)
        share = (own + 0.5 * near) / total
        if share < LEAST_IN_ALL:
            return 0.0
        return share * (1 + question.fit(text)) * _form(line.sentence)

    def _extract(self, question: Question, lines: list[_Line], place: int, score: float) -> Extract:
        """Quote a sentence, with its neighbours where it cannot be understood without them."""
        first = last = place
        text = lines[place].stretch.text
        if place and _DANGLING.match(lines[place].sentence.text) and _joined(lines, place - 1, place):
            first -= 1
        while last + 1 < len(lines) and _joined(lines, first, last + 1):
            following = lines[last + 1].sentence.text
            begins_list = lines[last].sentence.text.rstrip().endswith(":")
            goes_on = _DANGLING.match(following) and last == place
            if not (begins_list or goes_on) or last - place > 3:
                break
            last += 1
        start, end = lines[first].sentence.start, lines[last].sentence.end
        stretch = lines[place].stretch
        return Extract(stretch.source, stretch.name, stretch.offset + start, text[start:end], score)


def _joined(lines: list[_Line], first: int, last: int) -> bool:
    """Whether the sentences stand under one heading, near enough to be quoted as one."""
    start, end = lines[first].sentence, lines[last].sentence
    apart = lines[last].stretch.text[lines[last - 1].sentence.end : end.start]
    return start.heading == end.heading and end.end - start.start <= LONGEST_QUOTE and len(apart) < 8


def _lines(stretch: Passage) -> list[_Line]:
    found = sentences(stretch.text)
    title = terms(f"{stretch.title or ''} {stretch.locator or ''}")
    lines: list[_Line] = []
    for place, sentence in enumerate(found):
        before = found[place - 1] if place and found[place - 1].heading == sentence.heading else None
        around = frozenset(title + terms(sentence.heading) + terms(before.text if before else ""))
        lines.append(_Line(stretch, sentence, place, frozenset(terms(sentence.text)), around))
    return lines


def _is_readable(line: _Line) -> bool:
    """Whether a line is a sentence of prose, whole enough to be quoted."""
    text = line.sentence.text
    letters = sum(char.isalpha() or char == " " for char in text)
    if len(text) > 600 or len(words(text)) < 5 or letters < 0.7 * len(text):
        return False
    if line.place == 0 and line.stretch.offset > 0 and text[0].islower():
        return False  # the passage begins in the middle of this sentence
    return any(is_common(word) for word in words(text))


def _form(sentence: Sentence) -> float:
    """Weigh the form of a sentence: 1 for one that can stand alone in a report, less for others."""
    text = sentence.text.rstrip()
    form = 1.0
    if not sentence.whole:
        form *= 0.6
    if text.endswith("?"):
        form *= 0.4
    if text.endswith(":"):
        form *= 0.7
    if not 40 <= len(text) <= 300:
        form *= 0.75
    if _DANGLING.match(text):
        form *= 0.85
    if len(text) < 200 and _POINTER.search(text):
        form *= 0.7
    return form


def _repeats(extract: Extract, other: Extract) -> bool:
    """Whether a quote overlaps another or says the same in nearly the same words."""
    if extract.source == other.source and (
        extract.start < other.start + len(other.quote) and other.start < extract.start + len(extract.quote)
    ):
        return True
    mine, theirs = set(terms(extract.quote)), set(terms(other.quote))
    return len(mine & theirs) > 0.7 * min(len(mine), len(theirs))


def stitched(passages: Sequence[Passage]) -> list[Passage]:
    """Join passages of a document that overlap, so that no sentence is cut or counted twice."""
    order: dict[str, list[Passage]] = {}
    for passage in passages:
        order.setdefault(passage.source, []).append(passage)
    joined: list[Passage] = []
    for own in order.values():
        own.sort(key=lambda passage: (passage.offset, -len(passage.text)))
        current = own[0]
        for passage in own[1:]:
            overlap = current.offset + len(current.text) - passage.offset
            same = current.text[len(current.text) - overlap :][: len(passage.text)]
            if overlap >= 0 and passage.text.startswith(same):
                rest = passage.text[overlap:]
                current = current.model_copy(update={"text": current.text + rest})
            else:
                joined.append(current)
                current = passage
        joined.append(current)
    return joined
