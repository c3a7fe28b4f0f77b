"""Which values are known to be secrets: those of variables and headers whose name says so.

A value that stands in many texts for other reasons (a word, a number, a path, a host) is none, whatever its
name: to redact it would spoil every document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from harness.redaction import names_a_secret

_SHORTEST = 8
_NAME = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|DSN)S?(?:_|$)|_(?:PASS|PWD)$")
_COMMON = re.compile(
    r"[A-Za-z]+(?:\.[A-Za-z-]+)*"  # a word, a host
    r"|[\d.,:+-]+"  # a number, a date
    r"|(?!.*[A-Za-z0-9+]{20})(?:~|\.{0,2})(?:/[\w.@ -]*)+",  # a path
    re.ASCII,
)
_GENERATED = re.compile(r"(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{12,}", re.ASCII)
_URL = re.compile(r"://")
_URL_PASSWORD = re.compile(r"://[^\s/?#:@]*:([^\s/]+)@")
_DSN_PASSWORD = re.compile(r"\bpassword\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s&]+))")
_SCHEME = re.compile(r"(?:Bearer|Basic|Token|Digest)\s+", re.IGNORECASE)


def of_variables(variables: Mapping[str, str]) -> Iterator[str]:
    """Give the secrets of an environment."""
    for name, value in variables.items():
        yield from passwords(value)
        upper = name.upper()
        if _NAME.search(upper) and "PUBLIC" not in upper and not _URL.search(value):
            yield from _telling(value)


def of_table(entries: Mapping[str, str]) -> Iterator[str]:
    """Give the secrets of a server's variables or headers: also values that look made by a machine."""
    yield from of_variables(entries)
    for name, value in entries.items():
        if names_a_secret(name) or (_GENERATED.search(value) and not _URL.search(value)):
            yield from _telling(value)


def of_headers(written: str) -> Iterator[str]:
    """Give the secrets of headers written `name=value,name=value`."""
    pairs = (pair.partition("=") for pair in written.split(","))
    yield from of_table({name.strip(): unquote(value.strip()) for name, _, value in pairs})


def passwords(value: str) -> Iterator[str]:
    """Give the password of a URL or a DSN, as it is written and as it is meant."""
    for found in (_URL_PASSWORD.search(value), _DSN_PASSWORD.search(value)):
        for password in found.groups() if found else ():
            yield from _telling(password or "")
            yield from _telling(unquote(password or ""))


def _telling(value: str) -> Iterator[str]:
    value = _SCHEME.sub("", value.strip(), count=1)
    if len(value) >= _SHORTEST and not _COMMON.fullmatch(value):
        yield value
