"""What a question asks for, as far as its words tell: its subject, its names and the kind of answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from harness.offline.words import stem, subject_words, terms

_KINDS = {
    "number": r"\bhow (?:many|much|long|large|big|often|fast|far|old)\b|\b(?:default|maximum|minimum|limit)\b",
    "reason": r"\bwhy\b|\breasons?\b|\bpurpose\b|\bbenefits?\b|\badvantages?\b",
    "manner": r"\bhow (?:do|does|did|can|to|is|are|should|would|could)\b|\bsteps?\b|\bprocedure\b",
    "time": r"\bwhen\b|\bin which case\b|\bafter what\b",
    "definition": r"\bwhat(?:'s| is| are| was| were)\b|\bdefin|\bmeaning\b|\bstands? for\b",
}
"""The kinds of answer, and how a question that wants one is known; the first that fits counts."""

_SIGNS = {
    "number": "one two three four five six seven eight nine ten hundred thousand million half once twice",
    "reason": "because since therefore thus otherwise avoid avoids prevent prevents allow allows enable enables "
    "ensure ensures guarantee guarantees reason cause causes due advantage benefit reduce reduces",
    "manner": "by using use via through first then must can run set call when each with",
    "time": "when if after before until whenever once during",
}
"""Words by which a sentence shows that it gives an answer of the kind."""

_SIGN_PATTERNS = {kind: re.compile(rf"\b(?:{'|'.join(signs.split())})\b") for kind, signs in _SIGNS.items()}
_COPULA = re.compile(
    r"\s(?:is|are|was|means?|refers? to|denotes?|provides?|allows?|describes?|contains?|consists? of|holds?"
    r"|represents?|stands? for|defines?|specif(?:y|ies)|controls?|sets?|determines?)\s"
)
_NAME = re.compile(r"(?<=[\s(\"'`])(?:[A-Z][\w-]*|\w*[a-z][A-Z]\w*|\w+[_\d]\w*)")


@dataclass(frozen=True)
class Question:
    """A question in words, ready to be compared with sentences."""

    text: str

    @cached_property
    def subject(self) -> tuple[str, ...]:
        """The words that name what is asked about, as written."""
        return tuple(subject_words(self.text))

    @cached_property
    def stems(self) -> tuple[str, ...]:
        """The stems of the subject's words, each once."""
        return tuple(dict.fromkeys(stem(word) for word in self.subject))

    @cached_property
    def names(self) -> frozenset[str]:
        """The stems of proper names and identifiers: what an answer has to be about."""
        named = {stem(part) for name in _NAME.findall(self.text) for part in subject_words(name)}
        return frozenset(named & set(self.stems))

    @cached_property
    def kind(self) -> str:
        """The kind of answer that is wanted: a key of `_KINDS`, or "any"."""
        text = self.text.lower()
        return next((kind for kind, sign in _KINDS.items() if re.search(sign, text)), "any")

    @cached_property
    def _pairs(self) -> frozenset[tuple[str, str]]:
        return frozenset(pairwise(term for term in terms(self.text) if term in self.stems))

    def fit(self, sentence: str) -> float:
        """Say how well a sentence has the form of an answer to this question, from 0 to about 1."""
        fit = 0.0
        if self._pairs:
            said = set(pairwise(terms(sentence)))
            fit += 0.3 * len(self._pairs & said) / len(self._pairs)
        sign = _SIGN_PATTERNS.get(self.kind)
        if sign and (sign.search(sentence.lower()) or (self.kind == "number" and re.search(r"\d", sentence))):
            fit += 0.2
        if self.kind in ("definition", "any"):
            fit += self._defines(sentence)
        return fit

    def _defines(self, sentence: str) -> float:
        """Reward a sentence that begins with the subject and then says what it is or does."""
        copula = _COPULA.search(sentence[:140])
        head = set(terms(sentence[: copula.start()])) if copula else set()
        if not head & set(self.stems):
            return 0.0
        if not set(self.stems) <= head:
            return 0.15
        return 0.6 if len(head) <= len(self.stems) + 1 else 0.3
