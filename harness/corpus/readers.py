"""From the bytes of a file to a `Document`: Markdown, plain text, HTML and PDF."""

from __future__ import annotations

import codecs
import re
from itertools import accumulate, pairwise
from pathlib import PurePath
from typing import Literal

from markdown_it import MarkdownIt

from harness.corpus.document import Document, Heading, one_line, storable

Kind = Literal["markdown", "text", "html", "pdf"]

SNIFFED_BYTES = 8192
"""How much of a file's beginning `kind_of` looks at."""

_BY_SUFFIX: dict[str, Kind] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
    ".text": "text",
    ".rst": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
}

# The longer mark first: UTF-32's little-endian one begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHARSET = re.compile(
    rb"""<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)|<meta[^>]*?charset\s*=\s*["']?([\w.:-]+)""", re.I
)
# Headings are blocks: what is within a paragraph costs most of the time and is not looked at.
_BLOCKS = MarkdownIt("commonmark").disable("inline")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"""^title:[ \t]*(["']?)(.*?\S)\1[ \t]*$""", re.MULTILINE)


def kind_of(name: str, head: bytes) -> Kind | None:
    """Say how a file is to be read, by its name and else by its first bytes; None for a binary file."""
    known = _BY_SUFFIX.get(PurePath(name).suffix.lower())
    if known:
        return known
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if b"\0" in head and not head.startswith(tuple(mark for mark, _ in _MARKS)):
        return None
    return "html" if re.match(rb"\s*<(?:!doctype html|html)\b", head, re.I) else "text"


def read(data: bytes, kind: Kind, locator: str) -> Document:
    """Read a file's bytes; `locator` is its name for the messages. The text may be empty, but not a PDF's.

    Raises BadSource for a PDF that is encrypted, damaged or without text.
    """
    # The parsers are imported here, because a session that reads no such file need not wait for them.
    if kind == "pdf":
        from harness.corpus.pdf import read_pdf

        return read_pdf(data, locator)
    text = storable(decode(data)).strip()
    if kind == "html":
        from harness.corpus.html import read_html

        return read_html(text)
    return _read_markdown(text) if kind == "markdown" else Document(text)


def decode(data: bytes) -> str:
    """Decode text: by its byte order mark, as UTF-8, as it declares itself (HTML), or as Windows-1252."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    declared = [name.decode() for found in _CHARSET.findall(data[:2048]) for name in found if name]
    # What calls itself Latin-1 is read as Windows-1252, which has the curly quotes: encoding.spec.whatwg.org.
    wanted = ["cp1252" if _is_latin_1(name) else name for name in declared]
    for encoding in ("utf-8-sig", *wanted, "cp1252"):
        try:
            return data.decode(encoding)
        except (LookupError, UnicodeError):
            continue
    return data.decode("latin-1")


def _is_latin_1(name: str) -> bool:
    return name.lower().replace("_", "-") in {"iso-8859-1", "latin-1", "latin1", "us-ascii", "ascii"}


def _read_markdown(text: str) -> Document:
    """Keep the text as it is written, marks and all: that is what can be quoted word for word."""
    front = _FRONT_MATTER.match(text)
    start = front.end() if front else 0
    line_starts = list(accumulate((len(line) + 1 for line in text[start:].split("\n")), initial=start))
    tokens = _BLOCKS.parse(text[start:])
    headings = tuple(
        Heading(line_starts[opening.map[0]], one_line(inline.content))
        for opening, inline in pairwise(tokens)
        if opening.type == "heading_open" and opening.map and inline.content.strip()
    )
    named = front and _FRONT_TITLE.search(front[1])
    title = named[2] if named else headings[0].text if headings else None
    return Document(text, title, headings)
