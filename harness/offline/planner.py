"""From a question to its parts: the sub-questions that can be researched side by side."""

from __future__ import annotations

import re

from harness.offline.words import is_common, subject_words

MOST_PARTS = 4
"""Sub-questions for one question; what is beyond them stays in the last."""

LONGEST = 800
"""Characters; a longer text is not parted: it is a briefing, not a sentence."""

_ASKED = (
    "(?:how|what|why|when|where|who|which|whose|does|do|did|is|are|can|could|should|must|will|would|has|have)"
)
_THING = r"[\w`-]+(?: [\w`-]+){0,2}"


def _pattern(*parts: str) -> re.Pattern[str]:
    return re.compile("".join(parts), re.IGNORECASE)


_POLITE = _pattern(
    r"^(?:please|hi|hello|hey|(?:can|could|would) you|i(?: would|'d) like to|i want to|we want to",
    r"|help me(?: to)?|tell me|let me|kindly|know|understand|find out|explain(?: to me)?|show me)\b[\s,:]*",
)
_CONJUNCTION = _pattern(rf"(?:\s*[,;]\s*(?:and|but|or|then)?|\s+(?:and|but|or))\s+(?={_ASKED}\b)")
_COMPARISONS = (
    _pattern(
        r"\b(?:differences?|differs?|distinction|comparison|choose|relationship)\b.*?\b(?:between|of)\s+",
        r"(?P<a>.+?)\s+(?:and|or|from|vs\.?|versus)\s+(?P<b>.+)",
    ),
    _pattern(r"\bcompare\s+(?P<a>.+?)\s+(?:and|with|to|against|vs\.?|versus)\s+(?P<b>.+)"),
    _pattern(
        r"(?:\b(?:is|are|does|do|of|what about)\s+)?(?P<a>\S+(?:\s+\S+){0,3}?)\s+",
        r"(?:differs?|different) from\s+(?P<b>.+)",
    ),
    _pattern(
        r"(?P<a>\S.*?)\s+(?:vs\.?|versus|compared (?:to|with)|as opposed to|instead of|rather than)\s+",
        r"(?P<b>.+)",
    ),
    _pattern(
        r"\b(?:use|choose|prefer|pick|better|faster|safer)\b[:,]?\s+(?P<a>\S+(?:\s\S+)?)\s+or\s+(?P<b>.+)"
    ),
)
_CONTEXT = _pattern(r"\s+(?:in|for|when|with|on|regarding|inside|within|during|under)\s+.+$")
_LEAD = _pattern(rf"^(?:{_ASKED}\b(?: (?:is|are|does|do|i|we|you|use|better|faster|safer|it)\b)*[:,]?\s*)+")
_LIST = _pattern(
    rf"(?P<items>(?:{_THING}, ){{2,}}(?:and |or )?{_THING}?|{_THING}, [\w`-]+,? (?:and|or) [\w`-]+)",
    r"(?=\s*(?:$| (?:do|does|in|for|work|mean)\b))",
)
_SEPARATOR = _pattern(r",\s*(?:and |or )?|\s+(?:and|or)\s+")
_ARTICLE = _pattern(r"^(?:a|an|the) ")
_ASKS = _pattern(rf"^(?:{_ASKED}\s+)?(?:is|are|was|were|do|does|did|can|could|should|will|would)\b")
_INDIRECT = _pattern(rf"^{_ASKED} (?:the|a|an|my|your|our|this|that|these)\b(?! (?:one|best))")
_PRONOUN = _pattern(r"\b(it|they|them|this|these|those)\b")
_OWNER = _pattern(r"\b(its|their)\b")
_SUBJECTS = (
    _pattern(r"^what (?:do|does|did) (?P<subject>.+?) (?:do|mean)$"),
    _pattern(r"^(?:what|who)(?:'s| is| are| was| were)\s+(?P<subject>.+)$"),
    _pattern(
        r"^(?:how|why|when|where)\s+(?:does|do|did|is|are|can|should)\s+",
        r"(?P<subject>(?:the |a |an )?[\w`-]+(?: [\w`-]+)??)(?:\s+(?:work|get|be|[a-z]+)\b.*)?$",
    ),
)


def sub_questions(question: str) -> list[str]:
    """Part a question into one to four sub-questions, each of which can stand alone.

    A comparison becomes the question itself and one part for each side; joined questions and lists of three
    or more things are taken apart; everything else stays one.
    """
    parts: list[str] = []
    for sentence in _asked_sentences(question) if len(question) <= LONGEST else []:
        for clause in _clauses(sentence):
            asks = (sentence.endswith("?") and not _INDIRECT.match(clause)) or _ASKS.match(clause)
            mark = "?" if asks else ""
            parts += _compared(clause, mark) or _listed(clause, mark) or [_printed(clause, mark)]
    parts = list(dict.fromkeys(part for part in parts if part))
    if len(parts) > MOST_PARTS:
        rest = "; ".join(part.rstrip("?") for part in parts[MOST_PARTS - 1 :])
        parts = [*parts[: MOST_PARTS - 1], rest + "?"]
    return parts or [" ".join(question.split())]


def _asked_sentences(question: str) -> list[str]:
    """Give the sentences that ask; the others are background, unless there are no others."""
    text = " ".join(question.split())
    found = [part.strip() for part in re.split(r"(?<=[?!])\s+|(?<=[a-z0-9)]\.)\s+(?=[A-Z])", text)]
    asking = [part for part in found if part.endswith("?")]
    return [_without_politeness(part) for part in asking or [text] if part]


def _without_politeness(text: str) -> str:
    while (shorter := _POLITE.sub("", text, count=1)) != text and len(shorter.split()) > 1:
        text = shorter
    return text


def _clauses(sentence: str) -> list[str]:
    """Cut joined questions apart, and name in the later ones what their pronouns stand for."""
    clauses: list[str] = []
    subject = ""
    for clause in (part.strip(" ,;?") for part in _CONJUNCTION.split(sentence)):
        if clauses and subject and (_PRONOUN.search(clause) or _OWNER.search(clause)):
            name = subject.replace("\\", r"\\")
            clause = _PRONOUN.sub(name, _OWNER.sub(f"{name}'s", clause, count=1), count=1)
        elif clauses and (_PRONOUN.search(clause) or len(subject_words(clause)) < 2):
            clause = f"{clause} ({' '.join(subject_words(clauses[-1])[-3:])})"
        named = next((match["subject"] for pattern in _SUBJECTS if (match := pattern.match(clause))), "")
        subject = named if named and not is_common(named) else ""
        clauses.append(clause)
    return clauses


def _compared(clause: str, mark: str) -> list[str]:
    """Give a comparison as itself and its two sides; nothing when it is none."""
    for pattern in _COMPARISONS:
        match = pattern.search(clause)
        if not match:
            continue
        context = _CONTEXT.search(match["b"])
        about = context.group() if context else ""
        one, other = _side(match["a"]), _side(match["b"][: context.start()] if context else match["b"])
        if len(one.split()) == 1 and len(other.split()) == 2 and one != other.split()[0]:
            one = f"{one} {other.split()[1]}"  # "hash and B-tree indexes"
        if all(0 < len(side.split()) <= 6 for side in (one, other)):
            return [_printed(clause, mark), f"What is {one}{about}?", f"What is {other}{about}?"]
    return []


def _side(text: str) -> str:
    """Give one side of a comparison without what leads up to it."""
    return _LEAD.sub("", text.strip(" ,.?!:")).strip()


def _listed(clause: str, mark: str) -> list[str]:
    """Give one question for each of three or more things that are asked alike; nothing when they are not."""
    match = _LIST.search(clause)
    if not match:
        return []
    first, *others = (item for item in _SEPARATOR.split(match["items"]) if item)
    lead, tail = clause[: match.start()], clause[match.end() :]
    # What precedes the first comma belongs to the first item only as far as it is no part of the asking.
    own = first.split()
    longest = max(len(item.split()) for item in others)
    while len(own) > 1 and (is_common(own[0]) or len(own) > longest):
        lead, own = f"{lead}{own[0]} ", own[1:]
    if not lead.strip() or len(others) < 2:
        return []
    items = [" ".join(own), *others]
    if lead.lower().endswith((" a ", " an ", " the ")):
        items = [_ARTICLE.sub("", item) for item in items]
    return [_printed(f"{_agreeing(lead, item)}{item}{tail}", mark) for item in items]


def _agreeing(lead: str, item: str) -> str:
    """Turn a question about several things into one about a single thing."""
    if item.endswith("s"):
        return lead
    return re.sub(r"^(\w+ )(are|do)\b", lambda match: match[1] + {"are": "is", "do": "does"}[match[2]], lead)


def _printed(clause: str, mark: str) -> str:
    clause = clause.strip(" ,;.?!")
    return clause[:1].upper() + clause[1:] + mark if clause else ""
