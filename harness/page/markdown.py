"""A report as HTML: Markdown without raw HTML and without images, its citations linked to their sources."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

from harness.citations import MARKER, parts

_NUMBER = re.compile(r"\d+")
_BELOW = 2
"""The page has headings of its own above those of the report."""


def report_html(report: str, failing: Collection[int] = ()) -> str:
    """Render the prose of a report; its sources are shown by themselves, as `#source-N`.

    Markers of the numbers `failing` look different.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
    prose, _ = parts(report)
    tokens = markdown.parse(prose)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1:]) + _BELOW)}"
        style = str(token.attrs.pop("style", ""))  # the page's policy allows no style in an element
        if style:
            token.attrSet("class", style.removeprefix("text-align:"))
        if token.type == "inline":
            token.children = list(_linked(token.children or [], failing))
    return str(markdown.renderer.render(tokens, markdown.options, {}))


def _linked(inline: list[Token], failing: Collection[int]) -> Iterator[Token]:
    links = 0
    for token in inline:
        if token.type == "link_open":
            links += 1
            token.attrSet("rel", "noopener noreferrer")
            token.attrSet("target", "_blank")
        links -= token.type == "link_close"
        if token.type == "text" and not links:
            yield from _marked(token.content, failing)
        else:
            yield token


def _marked(text: str, failing: Collection[int]) -> Iterator[Token]:
    begin = 0
    for marker in MARKER.finditer(text):
        for number in _NUMBER.finditer(text, marker.start(1), marker.end(1)):
            yield _text(text[begin : number.start()])
            yield _link(int(number[0]), int(number[0]) in failing)
            yield _text(number[0])
            yield Token("link_close", "a", -1)
            begin = number.end()
    yield _text(text[begin:])


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _link(number: int, fails: bool) -> Token:
    title = f"Source {number}{': this citation does not hold' if fails else ''}"
    attributes: dict[str, str | int | float] = {
        "href": f"#source-{number}",
        "class": "cite fails" if fails else "cite",
        "title": title,
    }
    return Token("link_open", "a", 1, attrs=attributes)
