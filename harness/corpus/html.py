"""From an HTML page to its text: what a person would read there, one line or more for each block."""

from __future__ import annotations

import re

from bs4 import BeautifulSoup
from bs4.element import CData, NavigableString, PageElement, Tag

from harness.corpus.document import Document, Heading, one_line


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HEADINGS = _names("h1 h2 h3 h4 h5 h6 dt")
"""What names the text after it; the term of a definition does so as much as a heading."""

_PARAGRAPHS = _HEADINGS | _names(
    "address article aside blockquote body caption center dd details div dl fieldset figcaption figure "
    "footer form header hr legend main ol p pre section summary table ul"
)
_LINES = _names("br li tr")
_CELLS = _names("td th")
_UNSEEN = _names("button canvas head iframe math nav noscript object script select style svg template")

_CHROME_ROLES = _names("navigation banner contentinfo search menu menubar")
_CHROME_CLASSES = _names(
    "nav navbar navheader navfooter navigation breadcrumb breadcrumbs toc table-of-contents "
    "headerlink id_link sphinxsidebar skip-link"
)
"""Class names by which common generators (DocBook, Sphinx, Bootstrap) mark what only leads elsewhere."""

_XML_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")


def read_html(markup: str) -> Document:
    """Read a page: its title, and its text without what is marked as navigation."""
    # Without its declaration XHTML is not mistaken for XML, and with a line end after it a page of a few
    # words is not mistaken for a file name: Beautiful Soup would warn of both on the standard error.
    soup = BeautifulSoup(
        _XML_DECLARATION.sub("", markup) + "\n",
        "html.parser",
        # What is not asked for here costs an eighth of the time.
        store_line_numbers=False,
        multi_valued_attributes=None,
    )
    title = one_line(soup.title.get_text()) if soup.title else ""
    main = soup.find(_is_main)
    page = (_render(main) if main else None) or _render(soup.body or soup) or _Page()
    return page.document(title)


def _render(root: Tag) -> _Page | None:
    """Lay out everything below `root`, or give None when nothing there can be read."""
    page = _Page()
    # A stack of our own: pages nest deeper than Python recurses. A name on it closes the tag of that name.
    stack: list[PageElement | str] = list(reversed(root.contents))
    while stack:
        node = stack.pop()
        if isinstance(node, Tag):
            if node.name in _UNSEEN or _is_chrome(node):
                continue
            page.open(node.name)
            stack.append(node.name)
            stack.extend(reversed(node.contents))
        elif type(node) in (NavigableString, CData):  # comments and the like are subclasses
            page.pieces.append(str(node))
        elif type(node) is str:
            page.close(node)
    page.break_line(0)
    return page if page.blocks else None


def _is_main(tag: Tag) -> bool:
    return tag.name == "main" or tag.attrs.get("role") == "main"


def _is_chrome(tag: Tag) -> bool:
    attributes = tag.attrs
    if not attributes:
        return False
    return (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or attributes.get("role") in _CHROME_ROLES
        or not _CHROME_CLASSES.isdisjoint(str(attributes.get("class", "")).split())
    )


class _Page:
    """The blocks of a page as they are met, each with the line ends that go before it."""

    def __init__(self) -> None:
        self.blocks: list[tuple[int, str, bool]] = []
        self.pieces: list[str] = []
        self._gap = 0
        self._preformatted = 0
        self._heading = 0

    def open(self, name: str) -> None:
        if name in _CELLS:
            if "".join(self.pieces).strip():
                self.pieces.append(" | ")
        elif name == "br" and self._preformatted:
            self.pieces.append("\n")
        else:
            self._border(name)
        self._preformatted += name == "pre"
        self._heading += name in _HEADINGS

    def close(self, name: str) -> None:
        self._border(name)
        self._preformatted -= name == "pre"
        self._heading -= name in _HEADINGS

    def _border(self, name: str) -> None:
        if name in _PARAGRAPHS:
            self.break_line(2)
        elif name in _LINES and not self._preformatted:
            self.break_line(1)

    def break_line(self, gap: int) -> None:
        text = "".join(self.pieces)
        self.pieces.clear()
        text = text.strip("\n").rstrip() if self._preformatted else one_line(text)
        if text:
            self.blocks.append((self._gap, text, self._heading > 0))
            self._gap = gap
        else:
            self._gap = max(self._gap, gap)

    def document(self, title: str) -> Document:
        parts: list[str] = []
        headings: list[Heading] = []
        length = 0
        for gap, text, is_heading in self.blocks:
            space = "\n" * gap if parts else ""
            if is_heading:
                headings.append(Heading(length + len(space), one_line(text)))
            parts += (space, text)
            length += len(space) + len(text)
        return Document("".join(parts), title or (headings[0].text if headings else None), tuple(headings))
