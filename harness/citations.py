"""The citations of a report: what is cited, and whether each citation can be relied on.

A report is Markdown. Its prose carries markers such as [1], [2, 3] or [4-6]. Under its last heading "Sources"
each number has a line, or several:

    [1] S3, Title of the document: "a quote, word for word"

The quote may be left out. Several quotes for one number stand on lines of their own, or on one line with a
comma, a semicolon or "and" between them. Code and links carry no markers.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from harness.quotes import Quotable
from harness.records import Record

_MARKDOWN = MarkdownIt("commonmark", {"html": False})

_NUMBER = r"[1-9]\d{0,2}"
_RANGE = rf"{_NUMBER}(?:\s?[-–]\s?{_NUMBER})?"
MARKER = re.compile(rf"\[\s?({_RANGE}(?:\s?[,;]\s?{_RANGE})*)\s?\]")
"""A marker in prose; its group holds the numbers."""

_LONGEST_RANGE = 50

_ENTRY = re.compile(rf"^[ \t]*(?:[-*+][ \t]+)?\[({_NUMBER})\]:?[ \t]*", re.MULTILINE)
_LABEL = re.compile(r"""[*_`(]*([^\s,:;"“*_`)]+)""")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
# After a colon, else (for who forgot it) wherever one begins; to the last quotation mark of its kind.
_QUOTES = (
    re.compile(r""":\s*["“„«](.*)""", re.DOTALL),
    re.compile(r""":\s*(?=['‘])(.*)""", re.DOTALL),
    re.compile(r"""["“„«](.*)""", re.DOTALL),
)
_CLOSING = re.compile(r"""["”“»][^"”“»]*\Z""")
_BETWEEN_QUOTES = re.compile(r"""["”“»]\s*(?:[,;]|and)?\s*["“„«]""")

_SHOWN_CHARACTERS = 100


class FailedCitation(Record):
    """A citation that cannot be relied on, as it stands in the report, and the reason."""

    citation: str
    reason: str


class CitationCheck(Record):
    """How many citations were checked, and which of them failed."""

    checked: int
    failed: list[FailedCitation]


@dataclass(frozen=True)
class Citation:
    """One line under Sources, or a number of the prose that has none: then `source` is empty."""

    number: int
    source: str = ""
    quote: str | None = None

    def __str__(self) -> str:
        """Give it as it is written under Sources, without the title and with a long quote cut."""
        if not self.source:
            return f"[{self.number}]"
        if self.quote is None:
            return f"[{self.number}] {self.source}"
        quote = " ".join(self.quote.split())
        short = quote if len(quote) <= _SHOWN_CHARACTERS else quote[: _SHOWN_CHARACTERS - 3] + "..."
        return f'[{self.number}] {self.source}: "{short}"'


def check(report: str, texts: Mapping[str, str], read: Collection[str]) -> CitationCheck:
    """Check every citation of a report.

    Each marker must have a line under Sources, each line must name a source of the session that its agents
    have read, and each quote must stand in the text of its source. `texts` gives the texts by the sources'
    labels, `read` holds the labels that were read.
    """
    quotable: dict[str, Quotable] = {}
    checked = 0
    failed: list[FailedCitation] = []
    for citation in citations(report):
        text = texts.get(citation.source)
        if text is not None and citation.source not in quotable:
            quotable[citation.source] = Quotable(text)
        for each in _single_quotes(citation, quotable.get(citation.source)):
            reason = _problem(each, quotable.get(each.source), read)
            checked += 1
            if reason:
                failed.append(FailedCitation(citation=str(each), reason=reason))
    return CitationCheck(checked=checked, failed=failed)


def citations(report: str) -> list[Citation]:
    """Give the citations of a report in the order of their numbers."""
    prose, sources = parts(report)
    listed = list(_entries(sources))
    missing = set(_markers(prose)) - {citation.number for citation in listed}
    return sorted([*listed, *map(Citation, missing)], key=lambda citation: citation.number)


def _problem(citation: Citation, text: Quotable | None, read: Collection[str]) -> str | None:
    source = citation.source
    if not source:
        return "No line under Sources has this number and names a source."
    if text is None:
        return f"{source} is not a source of this session that its agents have read."
    if source not in read:
        return f"No agent of this session has read {source}."
    if citation.quote is not None and not text.holds(citation.quote):
        return f"The quote does not stand in {source} word for word."
    return None


def _single_quotes(citation: Citation, text: Quotable | None) -> Iterable[Citation]:
    """Take a line's quotes apart, unless together, with the marks between them, they are one quote."""
    quote = citation.quote
    if quote is None or text is None or text.holds(quote):
        return [citation]
    return [Citation(citation.number, citation.source, part) for part in _BETWEEN_QUOTES.split(quote)]


def parts(report: str) -> tuple[str, str]:
    """Give the prose of a report, and what stands under its last heading "Sources"."""
    lines = report.replace("\r\n", "\n").split("\n")
    # A line of dashes makes a heading of the lines above it, which may well be the sources: none for us.
    headings = [
        (opening.map[0], opening.tag, inline.content.strip(" :*_").casefold())
        for opening, inline in pairwise(_MARKDOWN.parse("\n".join(lines)))
        if opening.type == "heading_open" and opening.map and opening.markup.startswith("#")
    ]
    sources = [(line, tag) for line, tag, text in headings if text == "sources"]
    if not sources:
        return report, ""
    begin, level = sources[-1]
    end = next((line for line, tag, _ in headings if line > begin and tag <= level), len(lines))
    return "\n".join([*lines[:begin], "", *lines[end:]]), "\n".join(lines[begin + 1 : end])


def _markers(prose: str) -> Iterator[int]:
    for token in _MARKDOWN.parse(prose):
        for marker in MARKER.findall(_plain(token.children or [])):
            for part in re.split(r"[,;]", marker):
                first, *last = (int(number) for number in re.split(r"[-–]", part))
                span = range(first, (last or [first])[0] + 1)
                yield from span if 0 < len(span) <= _LONGEST_RANGE else (first, *last)


def _plain(inline: list[Token]) -> str:
    """Give the text of a paragraph without its code and its links."""
    pieces: list[str] = []
    links = 0
    for token in inline:
        links += (token.type == "link_open") - (token.type == "link_close")
        pieces.append(token.content if token.type == "text" and not links else "\n")
    return "".join(pieces)


def _entries(sources: str) -> Iterator[Citation]:
    starts = list(_ENTRY.finditer(sources))
    ends = [*(start.start() for start in starts), len(sources)][1:]
    for start, end in zip(starts, ends, strict=False):
        body = _BLANK_LINE.split(sources[start.end() : end])[0].strip()
        label = _LABEL.match(body)
        quote = next(filter(None, (form.search(body) for form in _QUOTES)), None)
        yield Citation(
            number=int(start[1]),
            source=label[1] if label else "",
            quote=_CLOSING.sub("", quote[1]).strip() if quote else None,
        )
