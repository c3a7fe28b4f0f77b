"""Statements that cannot both hold, as far as words can tell: alike but for a number or a negation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations

from harness.offline.shapes import Finding
from harness.offline.words import terms

ALIKE = 0.6
"""Share of the shorter statement's words that two statements must have in common to be about the same."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NEGATION = re.compile(r"\b(?:no|not|never|cannot|without|neither|none|\w+n['’]t)\b", re.IGNORECASE)


def disagreements(findings: Sequence[Finding]) -> list[tuple[Finding, Finding]]:
    """Give the pairs of findings from different documents that contradict each other."""
    return [
        (one, other)
        for one, other in combinations(findings, 2)
        if not sources(one) & sources(other) and contradict(one.statement, other.statement)
    ]


def contradict(one: str, other: str) -> bool:
    """Whether two sentences say the same but with other numbers, or one of them says it is not so."""
    mine, theirs = _said(one), _said(other)
    shorter = min(len(mine), len(theirs))
    if shorter < 3 or len(mine & theirs) < ALIKE * shorter or len(mine ^ theirs) > len(mine & theirs):
        return False
    my_numbers, their_numbers = (set(_NUMBER.findall(text)) for text in (one, other))
    if my_numbers and their_numbers:
        return not my_numbers & their_numbers
    return not my_numbers | their_numbers and bool(_NEGATION.search(one)) != bool(_NEGATION.search(other))


def sources(finding: Finding) -> set[str]:
    """Give the labels of the documents a finding cites."""
    return {citation.source for citation in finding.citations}


def _said(text: str) -> set[str]:
    return {term for term in terms(text) if not term[0].isdigit()}
