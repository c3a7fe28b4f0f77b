"""Choosing the sentences that answer a question, from the passages that the tools returned.

A sentence counts by the share of the question's words it has, rare words for more than frequent ones (the
inverse document frequency of Sparck Jones, 1972, taken over the sentences at hand), and by its form.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from harness.offline.extract import Extract, quoted, repeats
from harness.offline.lines import Line, lines_of, stitched, title_of
from harness.offline.prose import form_of, is_readable
from harness.offline.question import Question
from harness.offline.shapes import Finding, Passage
from harness.offline.words import kin, stem, subject_words, terms

LEAST_OWN = 0.3
"""Share of the question's weight that a sentence's own words must have, those around it counted half."""
LEAST_IN_ALL = 0.5
"""The same with the words around it counted in full, as `lines` weighs them."""
LEAST_OF_BEST = 0.65
"""Share of the best sentence's score that the others must have."""
KIN = 0.7
"""What a word counts that only often stands for the one asked for."""
LEADING = 0.7
"""The fit of a sentence that stands first under a heading which is the subject: it says what that is."""
FEW_DOCUMENTS = 4
"""Below this number of documents, a word that all of them have may still be the subject."""


class Evidence:
    """All sentences of some passages, to be ranked for any question."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._stretches = stitched(passages)
        self._lines: list[list[Line]] = [lines_of(stretch) for stretch in self._stretches]
        self._spread: Counter[str] = Counter()
        self._known: dict[str, set[str]] = {}
        for stretch, lines in zip(self._stretches, self._lines, strict=True):
            known = self._known.setdefault(stretch.source, set())
            known.update(terms(f"{title_of(stretch)} {stretch.text}"))
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
            if (score := _score(question, weights, line)) > 0
        ]
        scored.sort(key=lambda item: (-item[0], self._stretches[item[1]].source, item[1], item[2]))
        chosen: list[Extract] = []
        for score, stretch, place in scored:
            if len(chosen) == at_most or score < LEAST_OF_BEST * scored[0][0]:
                break
            extract = quoted(question, self._lines[stretch], place, score)
            if not any(repeats(extract, other) for other in chosen):
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


def relevant(question: Question, findings: Sequence[Finding], at_most: int) -> list[Finding]:
    """Give the findings that fit a question, best first."""
    statements = [Passage(source=str(at), text=finding.statement) for at, finding in enumerate(findings)]
    return [findings[int(extract.source)] for extract in Evidence(statements).best(question, at_most)]


def _score(question: Question, weights: Mapping[str, float], line: Line) -> float:
    """Score a sentence as an answer: 0 when it is none, above 1 when it has all the words and the form."""
    above = {stem(word) for word in subject_words(line.sentence.heading)}
    is_subject = set(weights) == {stem(word) for word in subject_words(_bare(line.sentence.heading))}
    if not weights or not _is_about(question, line, above) or not is_readable(line.sentence):
        return 0.0
    total = sum(weights.values())
    own = sum(weight * _said(term, line.own) for term, weight in weights.items())
    around = sum(
        weight * max(0.0, line.around.get(term, 0.0) - _said(term, line.own))
        for term, weight in weights.items()
    )
    if own + around < LEAST_IN_ALL * total or own + around / 2 < LEAST_OWN * total:
        return 0.0
    share = 1.0 if is_subject else (own + around) / total
    fit = question.fit(line.sentence.text)
    if is_subject and line.place == line.first:
        fit = max(fit, LEADING)
    return share * (1 + fit) * form_of(line.sentence)


def _is_about(question: Question, line: Line, above: set[str]) -> bool:
    """Whether a sentence, under its heading, has two of the question's words, and stands near its names."""
    found = sum(term in line.own or term in above for term in question.stems)
    named = not question.names or any(name in line.own or name in line.around for name in question.names)
    return named and found >= min(2, len(question.stems))


def _bare(heading: str) -> str:
    """Give a heading without what it adds in brackets, as in "work_mem (integer)"."""
    return re.sub(r"\([^()]*\)", "", heading)


def _said(term: str, own: frozenset[str]) -> float:
    """Say how far a sentence has a word: whole, or in part when it only has one that may stand for it."""
    return 1.0 if term in own else KIN if kin(term) & own else 0.0
