"""Real files for the tests, made on the spot."""

from __future__ import annotations

import io
from collections.abc import Sequence

from pypdf import PdfReader, PdfWriter
from pypdf.generic import DecodedStreamObject, NameObject
from reportlab.pdfgen import canvas  # type: ignore[import-untyped]

UNREADABLE = b"BT <not hexadecimal> Tj ET"
"""A page's content that no reader can make sense of."""


def pdf(pages: Sequence[str], *, title: str | None = None, password: str | None = None) -> bytes:
    """Make a PDF with a page for each text, encrypted if a password is given."""
    file = io.BytesIO()
    made = canvas.Canvas(file, encrypt=password)
    if title:
        made.setTitle(title)
    for page in pages:
        text = made.beginText(72, 720)
        for line in page.split("\n"):
            text.textLine(line)
        made.drawText(text)
        made.showPage()
    made.save()
    return file.getvalue()


def damaged(data: bytes, page: int) -> bytes:
    """Make the content of one page (counted from 0) of a PDF unreadable."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(data)))
    content = DecodedStreamObject()
    content.set_data(UNREADABLE)
    writer.pages[page][NameObject("/Contents")] = writer._add_object(content)
    return _written(writer)


def protected(data: bytes) -> bytes:
    """Protect a PDF against changes, but not against reading."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(data)))
    writer.encrypt(user_password="", owner_password="owner")
    return _written(writer)


def _written(writer: PdfWriter) -> bytes:
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()
