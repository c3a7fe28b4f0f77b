"""Secrets taken out of whatever is stored, logged or shown: by the name they stand under, by their form, and
by their value where it is known.

Structures are redacted before they are written as JSON, so that what is written stays JSON.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any
from urllib.parse import quote

REDACTED = "[REDACTED]"
FAILED = "[REDACTION FAILED]"
"""Stands for what could not be looked through: rather nothing than a secret."""

SHORTEST = 6
"""Characters of the shortest known value that is looked for."""

_SECRET_NAMES = (
    *("password", "passwd", "passphrase", "secret", "token", "dsn", "authorization", "cookie"),
    *("credential", "credentials", "apikey", "accesskey", "secretkey", "privatekey", "signingkey"),
)
_OTHER_TOKENS = (
    *(
        "page",
        "pagination",
        "continuation",
        "sync",
        "cursor",
        "pad",
        "eos",
        "bos",
        "unk",
        "mask",
        "sep",
        "cls",
    ),
    *("stop", "start", "end", "special"),
)
_HARMLESS_NAMES = tuple(f"{word}token" for word in _OTHER_TOKENS)
_NOT_A_LETTER = re.compile(r"[^a-z]+")

_FAILURES = (RuntimeError, TypeError, ValueError, LookupError, MemoryError)
"""What looking through something strange can raise; a structure that is too deep is a RuntimeError."""

_ROUNDS = 8
"""How often a text is gone through until nothing is left to be found: twice, but for texts made to annoy."""

_LONG = 16
_CLEAN = 50_000
_CHANGED = 500
"""Texts of at least _LONG characters that are remembered: histories repeat in every request. Of clean ones
only the hash is kept."""


@lru_cache(maxsize=2_000)
def names_a_secret(name: str) -> bool:
    """Whether what stands under this name is a secret: `api_key`, `X-Api-Key`, `dbPassword`, `MY_TOKEN`.

    A count of tokens (`max_tokens`) is none, nor is the place in a list (`next_page_token`).
    """
    letters = _NOT_A_LETTER.sub("", name.lower())
    return letters.endswith(_SECRET_NAMES) and not letters.endswith(_HARMLESS_NAMES)


def _after(literal: str) -> str:
    """A pattern for the beginning of a word; in JSON within a text, `\\n` may stand before it."""
    return rf"{literal}(?:(?<![\w/+-]{literal})|(?<=\\[nrtbf]{literal}))"


def _plain(needle: str, rest: str, whole_word: bool = False) -> tuple[str, str]:
    return needle, (_after(needle) if whole_word else needle) + rest


# Each row is a literal and a pattern that begins with it: looking for a literal takes a fraction of the time.
# No pattern looks at a character more than a bounded number of times, whatever the text.
_FORMS: tuple[tuple[str, str], ...] = (
    _plain("sk-", r"(?:ant|lf|proj|svcacct|admin|or)-[\w-]{8,}+"),
    _plain("sk-", r"(?=[\w-]{0,60}?\d)(?=[\w-]{0,200}?\w{16})[\w-]{20,}+", whole_word=True),
    *(_plain(f"gh{kind}_", r"[A-Za-z0-9]{16,}+") for kind in "pousr"),
    _plain("github_pat_", r"\w{20,}+"),
    _plain("glpat-", r"[\w-]{16,}+"),
    _plain("npm_", r"[A-Za-z0-9]{30,}+"),
    _plain("hf_", r"[A-Za-z0-9]{30,}+", whole_word=True),
    _plain("xox", r"[a-z]-[A-Za-z0-9-]{10,}+"),
    _plain("AKIA", r"[A-Z0-9]{16}(?![A-Za-z0-9])", whole_word=True),
    _plain("ASIA", r"[A-Z0-9]{16}(?![A-Za-z0-9])", whole_word=True),
    _plain("AIza", r"[\w-]{30,}+", whole_word=True),
    _plain("eyJ", r"[\w-]{6,}+\.[\w-]{6,}+\.[\w-]*+", whole_word=True),
    _plain(
        "-----BEGIN",
        r" [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:(?:\s|\\++[nrt])*+[A-Z][A-Za-z-]{2,20}: [^\r\n\\]{0,200})*+"
        r"(?:(?:\s|\\++[nrt])*+[A-Za-z0-9+/=]{16,}+)++(?:(?:\s|\\++[nrt])*+[A-Za-z0-9+/=]{1,15}+(?![\w ]))?+"
        r"(?:(?:\s|\\++[nrt])*+-----END[A-Z0-9 ]{0,60}-----)?+",
    ),
    _plain("earer", r"(?<=[Bb]earer)(\s{1,3})(?:(?=[\w.~+/-]{0,200}?\d)[\w.~+/=-]{8,}+|[\w.~+/=-]{24,}+)"),
    _plain(
        "uthorization", r"([\"'\\]{0,4}:\s{0,3}[\"'\\]{0,4}(?:Basic|Token|Digest)\s{1,3})[^\s\"'\\,;]{6,}+"
    ),
    # The password of a URL. What begins like a port and goes on like a path is none.
    _plain("://", r"([^\s/?#:@\"'<>\\]{0,256}:)(?!\d{1,5}[/?#])[^\s/\"'<>\\]{1,256}(?=@)"),
)

# `name = "value"`, also as JSON within JSON, and `name=value` as in a DSN or a query. What is written like a
# call, a variable or a place to fill in is code and no value.
_ASSIGNED = (
    r"""["'\\]{0,4}(?:\s{0,3}(?:=>|[:=])\s{0,3}(?P<quote>\\{0,3}["'])(?!\$?\{|<|%[(s])"""
    r"""(?P<quoted>(?:(?!(?P=quote))(?:\\.|[^\n\\]))++)"""
    r"""|=(?!\$?[{(]|<|%[(s])(?![A-Za-z_.]*+[(\[),])(?P<bare>[^\s"'`&;,\\)]++))"""
)
_SECRET_KEY = (
    "(?i:" + "|".join(f"(?<={word}key)" for word in ("api", "api.", "ss.", "et.", "te.", "ng.")) + ")"
)
"""An API, access, secret, private or signing key, not just any; its whole name is looked at once found."""
_ASSIGNMENTS: tuple[tuple[str, str], ...] = tuple(
    (stem, f"(?P<stem>{stem}{more}){_ASSIGNED}")
    for stem, more in (
        *((word, "") for word in ("assword", "asswd", "assphrase", "ecret", "oken")),
        *((word, "") for word in ("ASSWORD", "ASSWD", "ASSPHRASE", "ECRET", "OKEN")),
        *((word, _SECRET_KEY) for word in ("key", "Key", "KEY")),
    )
)

_NAME = re.compile(r"[\w-]{1,40}\Z", re.ASCII)
_WORD = re.compile(r"[A-Za-z]+(?:[ _.-][A-Za-z]+)*+", re.ASCII)
_NO_PASSWORD = re.compile(r"[A-Za-z_]+(?:\.[A-Za-z_]+)++|None|null|nil|[Tt]rue|[Ff]alse|\W*+", re.ASCII)
"""An expression, or nothing at all."""

_BLOB = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_OPAQUE = {"thinking": "signature", "redacted_thinking": "data", "base64": "data"}
"""Fields of the Messages API, by the type of their block, that are bytes and have to stay as they are."""


class Redactor:
    """Replaces secrets. `known` are values to look for besides; those of less than 6 characters are left out.

    Redacting twice gives the same as redacting once. Nothing raises: what fails is replaced as a whole. The
    time taken grows with the length of the text and with nothing else.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        values = {value for value in known if len(value) >= SHORTEST and value not in REDACTED}
        written = {form for value in values for form in _written(value) if REDACTED not in form}
        self._known = sorted(written, key=lambda form: (-len(form), form))
        self._clean: set[int] = set()
        self._redacted: dict[int, str] = {}

    def text(self, text: str) -> str:
        """Give a text without secrets."""
        try:
            return self._text(text)
        except _FAILURES:
            return FAILED

    def value(self, value: Any) -> Any:
        """Give the same structure of dicts, lists, tuples and plain values without secrets.

        A string under a name that names a secret is one, whatever it looks like.
        """
        try:
            return self._value(value, secret=False)
        except _FAILURES:
            return FAILED

    def _value(self, value: Any, secret: bool) -> Any:
        match value:
            case str():
                return REDACTED if secret and value else self._text(value)
            case dict():
                opaque = _OPAQUE.get(str(value.get("type")))
                return {
                    self._text(name) if isinstance(name, str) else name: (
                        part
                        if name == opaque and isinstance(part, str) and _BLOB.fullmatch(part)
                        else self._value(part, isinstance(name, str) and names_a_secret(name))
                    )
                    for name, part in value.items()
                }
            case list():
                return [self._value(part, secret) for part in value]
            case tuple():
                return tuple(self._value(part, secret) for part in value)
            case _:
                return value

    def _text(self, text: str) -> str:
        if len(text) < SHORTEST:
            return text
        if len(text) < _LONG:
            return self._swept(text)
        seen = hash(text)
        if seen in self._clean:
            return text
        found = self._redacted.get(seen)
        if found is None:
            found = self._swept(text)
            self._remember(seen, text, found)
        return found

    def _swept(self, text: str) -> str:
        for _ in range(_ROUNDS):
            found = self._once(text)
            if found == text:
                return text
            text = found
        return FAILED

    def _once(self, text: str) -> str:
        for value in self._known:
            if value in text:
                text = text.replace(value, REDACTED)
        for needle, pattern in _FORMS:
            if needle in text:
                text = _compiled(pattern).sub(_form, text)
        for stem, pattern in _ASSIGNMENTS:
            if stem in text:
                text = _compiled(pattern).sub(_assigned, text)
        return text

    def _remember(self, seen: int, text: str, found: str) -> None:
        if len(self._clean) >= _CLEAN or len(self._redacted) >= _CHANGED:
            self._clean.clear()
            self._redacted.clear()
        if found == text:
            self._clean.add(seen)
        else:
            self._redacted[seen] = found


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # When it is first needed: to compile them all takes longer than most commands have to spare.
    return re.compile(pattern, re.ASCII)


def _form(found: re.Match[str]) -> str:
    """Replace a secret, but for what led to it: the group, if the pattern has one."""
    if not found.re.groups:
        return REDACTED
    return found.string[found.start() : found.end(1)] + REDACTED


def _assigned(found: re.Match[str]) -> str:
    """Replace a value if the whole name, of which the pattern knows the end, names a secret."""
    end = found.end("stem")
    name = _NAME.search(found.string, max(0, end - 40), end)
    group = "quoted" if found["quoted"] else "bare"
    if name is None or not names_a_secret(name[0]) or not _telling(name[0], found[group], group == "quoted"):
        return found[0]
    return found.string[found.start() : found.start(group)] + REDACTED


def _telling(name: str, value: str, quoted: bool) -> bool:
    """Whether a value in a text is a secret, and not a word or an expression that stands for one."""
    if "ass" in name.lower():
        return not _NO_PASSWORD.fullmatch(value) and value.lower() != name.lower()
    return len(value) >= 8 and not _WORD.fullmatch(value) and (quoted or any(map(str.isdigit, value)))


def _written(value: str) -> set[str]:
    """The forms in which a value stands in texts: as it is, in a URL, in JSON, in base64."""
    raw = value.encode("utf-8", "surrogatepass")
    encoded = base64.b64encode(raw).decode().rstrip("=")
    escaped = {json.dumps(value, ensure_ascii=ascii)[1:-1] for ascii in (True, False)}
    # The last character of base64 holds bits of what follows the value, so it may be another one.
    return {value, quote(raw, safe=""), quote(raw), encoded[:-1], *escaped}
