"""From the bytes of a file to a `Document`: Markdown, plain text, HTML and PDF."""

from __future__ import annotations

import codecs
import io
import logging
import re
import struct
import zlib
from itertools import accumulate, pairwise
from pathlib import PurePath
from typing import Literal

from markdown_it import MarkdownIt
from pypdf import PdfReader
from pypdf.errors import DependencyError, PyPdfError

from harness.corpus.document import Document, Heading, one_line, storable
from harness.corpus.html import read_html
from harness.errors import BadSource

# pypdf tells of every oddity of a file it can read all the same; what it cannot read it raises.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)

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

# What programs write where nobody gave a title.
_NO_TITLES = frozenset({"", "untitled", "untitled document"})

# All of these come out of pypdf for one or another damaged file.
_DAMAGED = (
    PyPdfError,
    DependencyError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


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
    if kind == "pdf":
        return _read_pdf(data, locator)
    text = storable(decode(data)).strip()
    if kind == "html":
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


def _read_pdf(data: bytes, locator: str) -> Document:
    try:
        reader = PdfReader(io.BytesIO(data))
        # An empty password opens a file that is only protected against changes.
        locked = reader.is_encrypted and not reader.decrypt("")
        pages = 0 if locked else len(reader.pages)
    except _DAMAGED as error:
        raise BadSource(
            f"{locator} is not a PDF that can be read ({one_line(str(error)) or type(error).__name__}): "
            "open it and save it anew, or leave it out."
        ) from error
    if locked:
        raise BadSource(f"{locator} is encrypted: save it without a password, or leave it out.")
    texts = [_page_text(reader, number) for number in range(pages)]
    if not any(texts):
        raise BadSource(
            f"{locator} is a PDF without text, perhaps scanned: run text recognition on it, or leave it out."
        )
    # An agent has to see that something is missing here.
    whole = [f"[page {n} cannot be read]" if text is None else text for n, text in enumerate(texts, 1)]
    return Document("\n\n".join(filter(None, whole)), _pdf_title(reader))


def _page_text(reader: PdfReader, number: int) -> str | None:
    """Give the text of a page, counted from 0, or None when it is damaged."""
    try:
        return storable(reader.pages[number].extract_text()).strip()
    except _DAMAGED:
        return None


def _pdf_title(reader: PdfReader) -> str | None:
    try:
        title = reader.metadata.title if reader.metadata else None
    except _DAMAGED:
        return None
    named = one_line(storable(title)) if isinstance(title, str) else ""
    return None if named.lower() in _NO_TITLES else named
