"""Whether a quote stands in a text, word for word, whatever typesetting has done to either.

What is the same: runs of white space, straight and curly quotation marks, hyphens and dashes, compatible
characters (Unicode NFKC), and a word divided at the end of a line. What is not: upper and lower case, and a
quote that begins or ends within a word or a number.
"""

from __future__ import annotations

import re
import unicodedata

_QUOTATION_MARKS = str.maketrans(
    dict.fromkeys("‘’‚‛′´`", "'") | dict.fromkeys("“”„‟″«»", '"') | dict.fromkeys("\u200b\u2060\ufeff", None)
)
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−", "-") | {"\xad": None})

_LETTER = r"[^\W\d_]"
# Where a word was divided at a line's end: whether a hyphen belongs there is not known. A code point that
# Unicode keeps free for such internal use.
_JOINT = "\ufdd0"
_DIVIDED = re.compile(rf"(?<={_LETTER})[-‐\xad][^\S\n]*\n\s*(?={_LETTER})")

_ELLIPSIS = re.compile(r"\[ ?\.\.\. ?\]|\( ?\.\.\. ?\)|\.{3,}|\. \. \.")

# Scripts without spaces between words (Thai to Khmer, kana, Han): there a quote may begin and end anywhere.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD_CHARACTER = rf"[^\W{_UNSPACED}]"


class Quotable:
    """A text made ready to look quotes up in it."""

    def __init__(self, text: str) -> None:
        self._text = _normalised(text)

    def holds(self, quote: str) -> bool:
        """Say whether the quote stands in the text.

        "..." or "[...]" in a quote leaves something out: the parts have to stand in the text one after the
        other. A quote without any text stands nowhere.
        """
        parts = [part.strip() for part in _ELLIPSIS.split(_normalised(quote))]
        at = 0
        for part in filter(None, parts):
            found = re.compile(_pattern(part)).search(self._text, at)
            if found is None:
                return False
            at = found.end()
        return any(parts)


def _normalised(text: str) -> str:
    text = unicodedata.normalize("NFKC", text.replace(_JOINT, "").translate(_QUOTATION_MARKS))
    return " ".join(_DIVIDED.sub(_JOINT, text).translate(_DASHES).split())


def _pattern(part: str) -> str:
    """Give a regular expression for a part of a quote, whatever words of the text are divided."""
    pattern = re.sub(
        rf"(?<={_LETTER})(?:{_JOINT}|- (?={_LETTER})|-|(?={_LETTER}))|.",
        lambda found: _HYPHENS.get(found[0]) or re.escape(found[0]),
        part,
    )
    return _border(part[0], before=True) + pattern + _border(part[-1], before=False)


# What a hyphen of a quote may be in the text, and what may stand between two of its letters.
_HYPHENS = {
    "": f"{_JOINT}?",
    "-": f"[-{_JOINT}]",
    "- ": f"(?:- |{_JOINT})",
    _JOINT: f"(?:{_JOINT}|- ?)?",
}


def _border(character: str, *, before: bool) -> str:
    """Give the condition on what may stand beside a quote's first or last character: no piece of its word."""
    word = _WORD_CHARACTER
    if not re.match(f"{word}|'", character):
        return ""
    # "can" is not quoted from "can't", nor 1 from 1,500.
    if before:
        return f"(?<!{word})(?<!{word}')" + (r"(?<!\d[.,])" if character.isdecimal() else "")
    return f"(?!'?{word})" + (r"(?![.,]\d)" if character.isdecimal() else "")
