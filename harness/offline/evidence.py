"""Choosing the sentences that answer a question, from the passages that the tools returned.

A sentence counts by the share of the question's words it has, rare words for more than frequent ones (the
inverse document frequency of Sparck Jones, 1972, taken over the sentences at hand), and by its form.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.offline.conflicts import contradict
from harness.offline.question import Question
from harness.offline.sentences import Sentence, sentences
from harness.offline.shapes import Citation, Finding, Passage
from harness.offline.words import is_common, kin, stem, subject_words, terms, tidy, words

LEAST_OWN = 0.3
"""Share of the question's weight that a sentence's own words must have to be quoted."""
LEAST_IN_ALL = 0.5
"""The same with the words around it counted in part, as `_CONTEXT` says."""
_CONTEXT = {"title": 0.35, "neighbours": 0.35, "heading": 0.7}
"""What a word counts that stands not in a sentence but in its document's title, beside it, or above it."""
SHORT = 40
"""Characters; a shorter sentence is quoted together with the next."""
KIN = 0.7
"""What a word counts that only often stands for the one asked for."""
LEAST_OF_BEST = 0.65
"""Share of the best sentence's score that the others must have."""
HEADING_REACH = 1500
"""Characters below a heading within which it may be named with a quote."""
FEW_DOCUMENTS = 4
"""Below this number of documents, a word that all of them have may still be the subject."""
LONGEST_QUOTE = 420
"""Characters of a quote, when sentences are joined to be understood."""

_DANGLING = re.compile(
    r"\W*(?:It|Its|This|These|They|Their|Those|That|He|She|Such|However|But|And|Or|Also|Then|Therefore|Thus|Hence"
    r"|Otherwise|Similarly|Likewise|Instead|Moreover|Furthermore|Additionally|For example|For instance"
    r"|(?:As|Per) (?:described|mentioned|noted|discussed|shown|the) (?:above|below|previous)"
    r"|The (?:above|former|latter)"
    r"|In this|In that|In these|In such|As a result|Note that (?:this|it|these)|(?:Both|Neither|Each) of)\b"
)
_SECTION_NUMBER = re.compile(r"^(?:[A-Z]|\d+)(?:\.\d+)*\.?\s+")
_CODE = re.compile(r"`[^`]+`")
_POINTER = re.compile(r"\b(?:see|refer to|described in|discussed in|listed in|shown in)\b", re.IGNORECASE)


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


@dataclass(frozen=True)
class _Line:
    """A sentence at its place, counted within its stretch; `first` is the first under the same heading."""

    stretch: Passage
    sentence: Sentence
    place: int
    first: int
    own: frozenset[str]
    around: Mapping[str, float]


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
            if len(chosen) == at_most or score < LEAST_OF_BEST * scored[0][0]:
                break
            extract = self._extract(question, self._lines[stretch], place, score)
            if not any(_repeats(extract, other) for other in chosen):
                chosen.append(extract)
        return chosen

    def _weights(self, question: Question) -> dict[str, float]:
        """Weigh the question's words: rare ones more, those that every document has much less."""
        total = sum(len(lines) for lines in self._lines)
        seen = {
            term: max(0.3, math.log((total + 1) / (self._spread[term] + 0.5)))
            * self._telling(term)
            * question.weight(term)
            for term in question.stems
            if self._spread[term]
        }
        unseen = 1.2 * max(seen.values(), default=1.0)
        return {term: seen.get(term, unseen) for term in question.stems}

    def _telling(self, term: str) -> float:
        documents = len(self._known)
        share = sum(term in known for known in self._known.values()) / documents
        return 0.35 if documents >= FEW_DOCUMENTS and share > 0.85 else 1.0

    def _score(self, question: Question, weights: dict[str, float], line: _Line) -> float:
        total = sum(weights.values())
        own = sum(weights[term] * _said(term, line.own) for term in weights)
        above = {stem(word) for word in subject_words(line.sentence.heading)}
        names_it = set(weights) <= above and len(above) <= len(weights) + 1
        if sum(term in line.own or term in above for term in weights) < min(2, len(weights)):
            return 0.0
        if not (own or names_it) or not _is_readable(line):
            return 0.0
        if question.names and not any(name in line.own or name in line.around for name in question.names):
            return 0.0
        near = sum(
            weights[term] * max(0.0, line.around.get(term, 0.0) - _said(term, line.own)) for term in weights
        )
        if own + near < LEAST_IN_ALL * total or own + 0.5 * near < LEAST_OWN * total:
            return 0.0
        fit = question.fit(line.sentence.text)
        if names_it:
            near = total - own
        if names_it and line.place == line.first:
            fit = max(fit, 0.7)  # what stands first under a heading that is the subject says what it is
        return (own + near) / total * (1 + fit) * _form(line.sentence)

    def _extract(self, question: Question, lines: list[_Line], place: int, score: float) -> Extract:
        """Quote a sentence, with its neighbours where it cannot be understood without them."""
        first = last = place
        here = lines[place].sentence.text
        if place and _DANGLING.match(here) and _joined(lines, place - 1, place):
            first -= len(lines[place - 1].sentence.text) < 200
        while last + 1 < len(lines) and last - place < 4 and _joined(lines, first, last + 1):
            following = lines[last + 1].sentence.text
            begins_list = lines[last].sentence.text.rstrip().endswith(":")
            explains = (
                last == place
                and "\n\n" not in _between(lines, last, last + 1)
                and (len(here) < SHORT or _explains(question, here, following))
            )
            if not (begins_list or explains):
                break
            last += 1
        stretch = lines[place].stretch
        start, end = lines[first].sentence.start, lines[last].sentence.end
        quote = stretch.text[start:end]
        missing = set(question.stems) - set(terms(quote))
        heading = lines[place].sentence.heading
        near = start - lines[place].sentence.heading_start < HEADING_REACH
        is_title = set(terms(heading)) <= set(terms(stretch.title or ""))
        above = heading if near and not is_title and missing & set(terms(heading)) else ""
        return Extract(stretch.source, stretch.name, stretch.offset + start, quote, score, above)


def _explains(question: Question, here: str, following: str) -> bool:
    """Whether the next sentence completes a quote: it refers back to it, or it has the number asked for."""
    if question.kind == "number" and not question.has_sign(here):
        return question.has_sign(following)
    return bool(_DANGLING.match(following)) and (
        bool(set(question.stems) & set(terms(following))) or question.fit(here) >= 0.4
    )


def _said(term: str, own: frozenset[str]) -> float:
    """Say how far a sentence has a word: whole, or in part when it only has one that may stand for it."""
    return 1.0 if term in own else KIN if kin(term) & own else 0.0


def _joined(lines: list[_Line], first: int, last: int) -> bool:
    """Whether the sentences stand under one heading, near enough to be quoted as one."""
    start, end = lines[first].sentence, lines[last].sentence
    near = len(_between(lines, last - 1, last)) < 8
    return near and start.heading_start == end.heading_start and end.end - start.start <= LONGEST_QUOTE


def _between(lines: list[_Line], one: int, next_one: int) -> str:
    return lines[one].stretch.text[lines[one].sentence.end : lines[next_one].sentence.start]


def _lines(stretch: Passage) -> list[_Line]:
    found = sentences(stretch.text)
    if found and stretch.offset > 0 and found[0].start == 0 and not found[0].text[0].isupper():
        found = found[1:]  # it began before the passage
    if found and stretch.next_offset is not None and found[-1].end == len(stretch.text.rstrip()):
        found = found[:-1]  # it may go on after the passage
    own = [frozenset(terms(sentence.text)) for sentence in found]
    title = dict.fromkeys(terms(f"{stretch.title or ''} {stretch.locator or ''}"), _CONTEXT["title"])
    lines: list[_Line] = []
    for place, sentence in enumerate(found):
        beside = frozenset[str]().union(*own[max(0, place - 2) : place], *own[place + 1 : place + 2])
        around = title | dict.fromkeys(beside, _CONTEXT["neighbours"])
        around |= dict.fromkeys(terms(sentence.heading), _CONTEXT["heading"])
        follows = bool(lines) and lines[-1].sentence.heading_start == sentence.heading_start
        lines.append(
            _Line(stretch, sentence, place, lines[-1].first if follows else place, own[place], around)
        )
    return lines


def _is_readable(line: _Line) -> bool:
    """Whether a line is a sentence of prose, or a row of a table, that can be quoted."""
    text = line.sentence.text
    said = words(text)
    if line.sentence.row:
        return len(said) >= 3 and len(text) < 300
    letters = sum(char.isalpha() or char == " " for char in text)
    code = sum(char in "{}[]<>=|\\/@#$^~" for char in text)
    if letters < 0.7 * len(text) or code > 0.04 * len(text):
        return False
    return len(said) >= 5 and len(text) <= 600 and any(map(is_common, said))


def _form(sentence: Sentence) -> float:
    """Weigh the form of a sentence: 1 for one that can stand alone in a report, less for others."""
    text = sentence.text.rstrip()
    form = 1.0 - max(0, len(text) - 200) / 1000
    if sentence.row:
        return 0.7 * form
    if not sentence.whole:
        form *= 0.6
    if text.endswith("?"):
        form *= 0.4
    if text.endswith(":"):
        form *= 0.7
    if len(text) < 40:
        form *= 0.75
    if _DANGLING.match(text):
        form *= 0.85
    if text.startswith("("):
        form *= 0.6
    if text[0].islower():
        form *= 0.5 if is_common(words(text)[0]) else 0.85
    if sum(map(len, _CODE.findall(text))) > 0.4 * len(text):
        form *= 0.7
    if len(text) < 200 and _POINTER.search(text):
        form *= 0.7
    return form


def _repeats(extract: Extract, other: Extract) -> bool:
    """Whether a quote overlaps another or says the same in nearly the same words."""
    if extract.source == other.source and (
        extract.start < other.start + len(other.quote) and other.start < extract.start + len(extract.quote)
    ):
        return True
    if extract.source != other.source and contradict(extract.quote, other.quote):
        return False
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
                ends = {"next_offset": passage.next_offset} if rest or not overlap else {}
                current = current.model_copy(update={"text": current.text + rest, **ends})
            else:
                joined.append(current)
                current = passage
        joined.append(current)
    return joined


def relevant(question: Question, findings: Sequence[Finding], at_most: int) -> list[Finding]:
    """Give the findings that fit a question, best first."""
    statements = [Passage(source=str(at), text=finding.statement) for at, finding in enumerate(findings)]
    return [findings[int(extract.source)] for extract in Evidence(statements).best(question, at_most)]
