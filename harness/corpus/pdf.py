"""From a PDF to its text, page by page."""

from __future__ import annotations

import io
import logging
import struct
import zlib

from pypdf import PdfReader
from pypdf.errors import DependencyError, PyPdfError

from harness.corpus.document import Document, one_line, storable
from harness.errors import BadSource

# pypdf tells of every oddity of a file it can read all the same; what it cannot read it raises.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)

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


def read_pdf(data: bytes, locator: str) -> Document:
    """Read a PDF; `locator` is its name for the messages.

    Raises BadSource when it is encrypted, damaged or without text.
    """
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
