"""The form of a sentence: whether it can be quoted at all, and how well it stands alone in a report."""

from __future__ import annotations

import re

from harness.offline.sentences import Sentence
from harness.offline.words import is_common, words

LONGEST, LONGEST_ROW = 600, 300
"""Characters beyond which a sentence, or a row of a table, is not quoted."""

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
        return len(said) >= 3 and len(text) < LONGEST_ROW
    code = sum(char in "{}[]<>=|\\/@#$^~" for char in text)
    if _letters(text) < 0.7 or code > 0.04 * len(text):
        return False
    return len(said) >= 5 and len(text) <= LONGEST and any(map(is_common, said))


def form_of(sentence: Sentence) -> float:
    """Weigh the form of a sentence: 1 for one that can stand alone in a report, less for others."""
    text = sentence.text.rstrip()
    form = 1.0 - max(0, len(text) - 200) / 1000
    if sentence.row:
        return 0.8 * form
    flaws = {
        0.4: text.endswith("?"),
        0.5: text[0].islower() and is_common(words(text)[0]),
        0.6: not sentence.whole or text.startswith("("),
        0.7: text.endswith(":") or _mostly_code(text) or (len(text) < 200 and bool(_POINTER.search(text))),
        0.75: len(text) < 40,
        0.85: dangles(text) or text[0].islower(),
    }
    for weight, is_flawed in flaws.items():
        form *= weight if is_flawed else 1.0
    return form * min(1.0, (_letters(text) - 0.5) / 0.4)


def _letters(text: str) -> float:
    """Give the share of letters and spaces: 0.9 and more in plain prose, less in notes and code."""
    return sum(char.isalpha() or char == " " for char in text) / len(text)


def _mostly_code(text: str) -> bool:
    return sum(map(len, _CODE.findall(text))) > 0.4 * len(text)
