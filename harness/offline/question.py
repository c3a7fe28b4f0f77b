"""What a question asks for, as far as its words tell: its subject, its names and the kind of answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from harness.offline.words import is_vague, stem, subject_words, terms, words

_KINDS = {
    "number": r"\bhow (?:many|much|long|large|big|often|fast|far|old)\b"
    r"|\b(?:default|maximum|minimum|limit)\b",
    "reason": r"\bwhy\b|\breasons?\b|\bpurpose\b|\bbenefits?\b|\badvantages?\b",
    "manner": r"\bhow (?:do|does|did|can|to|is|are|should|would|could)\b|\bsteps?\b|\bprocedure\b",
    "time": r"\bwhen\b|\bin which case\b|\bafter what\b",
    "definition": r"\bwhat (?:do|does|did)\b|\bwhat(?:'s| is| are| was| were)\b"
    r"|\bdefin|\bmeaning\b|\bstands? for\b",
}
"""The kinds of answer, and how a question that wants one is known; the first that fits counts."""

_SIGNS = {
    "number": "one two three four five six seven eight nine ten hundred thousand million half once twice",
    "reason": "because since therefore thus otherwise avoid avoids prevent prevents allow allows enable "
    "enables ensure ensures guarantee guarantees reason cause causes due advantage benefit reduce reduces",
    "manner": "by using use via through first then must can run set call when each with",
    "time": "when if after before until whenever once during",
}
"""Words by which a sentence shows that it gives an answer of the kind."""

_SIGN_PATTERNS = {kind: re.compile(rf"\b(?:{'|'.join(signs.split())})\b") for kind, signs in _SIGNS.items()}
_COPULA = re.compile(
    r"\s(?:(?:is|are|was)(?! currently| being| \w+ing)"
    r"|means?|refers? to|denotes?|provides?|allows?|describes?|contains?|consists? of|holds?"
    r"|represents?|stands? for|defines?|specif(?:y|ies)|controls?|sets?|determines?)\s"
)
_CLAUSE = re.compile(r"\W*(?:If|When|While|Because|Since|Although|After|Before|As|For|In|On|Unless)\b")
_BRACKET = re.compile(r"([^()]*)\(([^()]*)\)")
_MEASURES = frozenset(stem(word) for word in ("default", "maximum", "minimum", "limit"))
_NAMED = re.compile(r"^[\W_]*(.{1,60}?)\s*(?:\||[*_`]*:|\s[—–-])\s")
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
    def search_words(self) -> tuple[str, ...]:
        """The words to search with: the subject without its vague words, unless it has no others."""
        return tuple(word for word in self.subject if not is_vague(word)) or self.subject

    @cached_property
    def _pairs(self) -> frozenset[tuple[str, str]]:
        return frozenset(pairwise(term for term in terms(self.text) if term in self.stems))

    def weight(self, term: str) -> float:
        """Weigh a word of the subject by itself: vague words count less."""
        return 0.4 if any(is_vague(word) and stem(word) == term for word in self.subject) else 1.0

    def has_sign(self, sentence: str) -> bool:
        """Whether a sentence shows that its answer is of the wanted kind, as a number does for "how many"."""
        sign = _SIGN_PATTERNS.get(self.kind)
        if self.kind == "number" and re.search(r"\d", sentence):
            return True
        return bool(sign and sign.search(sentence.lower()))

    def fit(self, sentence: str) -> float:
        """Say how well a sentence has the form of an answer to this question, from -0.4 to about 1."""
        said = terms(sentence)
        fit = 0.2 if self.has_sign(sentence) else 0.0
        if self._pairs:
            fit += 0.4 * len(self._pairs & set(pairwise(said))) / len(self._pairs)
        if self.kind == "number" and _MEASURES & set(self.stems) and not _MEASURES & set(said):
            fit -= 0.4
        if self.kind in ("definition", "any"):
            fit += self._defines(sentence)
        return fit

    def _defines(self, sentence: str) -> float:
        """Reward a sentence that says what the subject is, in brackets or right after naming it."""
        subject = set(self.stems)
        named = _NAMED.match(sentence)
        if named and set(terms(named[1])) == subject:
            return 0.8  # a glossary's row, or "Lease: who may write"
        for bracket in _BRACKET.finditer(sentence):
            inside = set(terms(bracket[2]))
            if inside & subject and len(inside) > len(subject) and bracket[2][:1].isupper():
                return 0.5  # "(Multiversion Concurrency Control, MVCC)"
            if inside and not inside & subject and set(terms(bracket[1])[-len(subject) :]) == subject:
                return 0.4 if bracket[2][:1].isupper() else 0.1
        copula = _COPULA.search(sentence[:140])
        head = set(terms(sentence[: copula.start()])) if copula and not _CLAUSE.match(sentence) else set()
        if not head & subject:
            return self._begins_with_subject(sentence)
        if not subject <= head:
            return 0.15
        return 0.6 if len(head) <= len(subject) + 1 else 0.2

    def _begins_with_subject(self, sentence: str) -> float:
        """Reward "VACUUM reclaims storage": the subject, and then at once what it does."""
        opening = [
            word for word in words(sentence)[: len(self.stems) + 3] if word.lower() not in ("a", "an", "the")
        ]
        named, then = opening[: len(self.stems)], opening[len(self.stems) : len(self.stems) + 1]
        if {stem(word) for word in named} != set(self.stems) or not then:
            return 0.0
        return 0.4 if then[0].islower() and then[0].endswith("s") else 0.1
