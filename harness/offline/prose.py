"""The form of a sentence: whether it can be quoted at all, and how well it stands alone in a report."""

from __future__ import annotations

import re

from harness.offline.sentences import Sentence
from harness.offline.words import is_common, words

_DANGLING = re.compile(
    r"\W*(?:It|Its|This|These|They|Their|Those|That|He|She|Such|However|But|And|Or|Also|Then|Therefore|Thus|Hence"
    r"|Otherwise|Similarly|Likewise|Instead|Moreover|Furthermore|Additionally|For example|For instance"
    r"|(?:As|Per) (?:described|mentioned|noted|discussed|shown|the) (?:above|below|previous)"
    r"|The (?:above|former|latter)"
    r"|In this|In that|In these|In such|As a result|Note that (?:this|it|these)|(?:Both|Neither|Each) of)\b"
)
_CODE = re.compile(r"`[^`]+`")
_POINTER = re.compile(r"\b(?:see|refer to|described in|discussed in|listed in|shown in)\b", re.IGNORECASE)


def dangles(text: str) -> bool:
    """Whether a sentence begins by pointing back at the one before it."""
    return bool(_DANGLING.match(text))


def is_readable(sentence: Sentence) -> bool:
    """Whether a sentence is prose, or the row of a table, that can be quoted."""
    text = sentence.text
    said = words(text)
    if sentence.row:
        return len(said) >= 3 and len(text) < 300
    letters = sum(char.isalpha() or char == " " for char in text)
    code = sum(char in "{}[]<>=|\\/@#$^~" for char in text)
    if letters < 0.7 * len(text) or code > 0.04 * len(text):
        return False
    return len(said) >= 5 and len(text) <= 600 and any(map(is_common, said))


def form_of(sentence: Sentence) -> float:
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
    if dangles(text):
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
