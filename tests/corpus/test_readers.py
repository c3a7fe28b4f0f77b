from __future__ import annotations

import pytest

from harness.corpus.readers import decode, kind_of, read
from harness.errors import BadSource
from tests.corpus.documents import damaged, pdf, protected


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.md", b"", "markdown"),
        ("A.MARKDOWN", b"", "markdown"),
        ("a.txt", b"\0", "text"),
        ("a.rst", b"", "text"),
        ("a.htm", b"", "html"),
        ("paper.pdf", b"", "pdf"),
        ("paper", b"%PDF-1.7\n\0", "pdf"),
        ("page", b"\n<!DOCTYPE html><html>", "html"),
        ("LICENSE", b"Permission is granted", "text"),
        ("notes.csv", b"\xff\xfea\0,\0", "text"),
        ("photo.png", b"\x89PNG\r\n\x1a\n\0\0", None),
        ("report.docx", b"PK\x03\x04\x14\0\x06\0", None),
    ],
)
def test_the_kind_of_a_file(name: str, head: bytes, kind: str | None) -> None:
    """A known suffix says how a file is read, else its first bytes do; a binary file is of no kind."""
    assert kind_of(name, head) == kind


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("naïve “café”".encode(), "naïve “café”"),
        (b"\xef\xbb\xbfwith a mark", "with a mark"),
        ("naïve".encode("utf-16"), "naïve"),
        ("naïve".encode("utf-32"), "naïve"),
        (b"<meta charset=iso-8859-5>\xbf\xe0\xd8\xd2\xd5\xe2", "<meta charset=iso-8859-5>Привет"),
        (
            b'<?xml version="1.0" encoding="latin-1"?>\x93caf\xe9\x94',
            '<?xml version="1.0" encoding="latin-1"?>“café”',
        ),
        (b"<meta charset=no-such-charset>caf\xe9", "<meta charset=no-such-charset>café"),
        (b"<meta charset=hex>caf\xe9", "<meta charset=hex>café"),
        (b"\x93quoted\x94 caf\xe9", "“quoted” café"),
        (b"\x81\xe9", "\x81é"),
    ],
)
def test_every_text_is_decoded(data: bytes, text: str) -> None:
    """UTF-8 comes first, then what the file declares, then Windows-1252, and Latin-1 takes what is left."""
    assert decode(data) == text


def test_what_postgres_cannot_store_is_removed() -> None:
    """NUL and other control characters go, halves of surrogate pairs too, and line ends become one kind."""
    assert read(b"a\0b\x1fc\r\nd\re", "text", "a.txt").text == "abc\nd\ne"
    declared = b"<meta charset=utf-7>caf\xe9"
    assert read(declared, "html", "a.html").text == "café"
    lone = "x\ud800y".encode("utf-16-le", "surrogatepass")
    text = read(b"\xff\xfe" + lone, "text", "a.txt").text
    assert text.encode("utf-8")
    assert text[0] + text[-1] == "xy"


def test_markdown_is_kept_as_written() -> None:
    """A Markdown text is what its file says, with its title and the places of its headings."""
    source = "# The *title*\n\nText with `code`.\n\n```\n# no heading\n```\n\nSecond\n------\n\nEnd."
    document = read(source.encode(), "markdown", "a.md")
    assert document.text == source
    assert document.title == "The *title*"
    assert [(h.text, source[h.offset :].split("\n")[0]) for h in document.headings] == [
        ("The *title*", "# The *title*"),
        ("Second", "Second"),
    ]


def test_front_matter_names_a_markdown_file() -> None:
    """The title of the front matter is the document's, and the front matter is no heading."""
    source = '---\ntitle: "On leases"\ntags: [a]\n---\n\n# Introduction\n\nText.'
    document = read(source.encode(), "markdown", "a.md")
    assert document.title == "On leases"
    assert [source[h.offset : h.offset + 14] for h in document.headings] == ["# Introduction"]


def test_a_page_is_read_in_lines() -> None:
    """Headings, paragraphs, list items, table rows and preformatted text of a page keep to their lines."""
    page = b"""<!DOCTYPE html><html><head><title> The
      page </title><style>p {}</style></head><body>
      <h1>Leases</h1><p>One   <b>bold</b>
      word.</p>loose<ul><li>first<li>second</ul>
      <table><tr><th>Name</th><th>Value</th></tr><tr><td>ttl</td><td>30&nbsp;s</td></tr></table>
      <pre>\ndef f():\n    return  1\n\n\n# end</pre><p>a<br>b<!-- hidden --></p>
      <dl><dt>token</dt><dd>a number</dd></dl><script>no()</script></body></html>"""
    document = read(page, "html", "a.html")
    assert document.title == "The page"
    assert document.text == (
        "Leases\n\nOne bold word.\n\nloose\n\nfirst\nsecond\n\nName | Value\nttl | 30 s\n\n"
        "def f():\n    return  1\n\n\n# end\n\na\nb\n\ntoken\n\na number"
    )
    assert [(h.text, document.text[h.offset :].startswith(h.text)) for h in document.headings] == [
        ("Leases", True),
        ("token", True),
    ]


@pytest.mark.parametrize(
    "chrome",
    [
        "<nav>Home</nav>",
        '<div role="navigation">Home</div>',
        '<div class="navheader x"><table><tr><td>Home</td></tr></table></div>',
        '<div class="toc">Home</div>',
        "<p hidden>Home</p>",
        '<span aria-hidden="true">Home</span>',
        "<template><p>Home</p></template>",
        "<select><option>Home</select>",
    ],
)
def test_navigation_is_dropped(chrome: str) -> None:
    """What a page marks as navigation, or does not show, is not part of its text."""
    page = f"<html><body>{chrome}<p>The text.</p>{chrome}</body></html>"
    assert read(page.encode(), "html", "a.html").text == "The text."


def test_the_main_part_of_a_page_is_its_text() -> None:
    """A page that marks its main part is that part, unless there is nothing in it."""
    assert read(b"<body><p>Ad</p><main><p>Text</p></main></body>", "html", "a.html").text == "Text"
    assert read(b'<body><p>Ad</p><div role="main"><p>Text</p></div></body>', "html", "a.html").text == "Text"
    assert read(b"<body><main><nav>x</nav></main><p>Text</p></body>", "html", "a.html").text == "Text"


def test_a_page_may_nest_deeper_than_python_recurses() -> None:
    """Thousands of nested tags are no obstacle."""
    page = "<div>" * 5000 + "deep" + "</div>" * 5000
    assert read(page.encode(), "html", "a.html").text == "deep"


@pytest.mark.filterwarnings("error")
def test_odd_pages_cause_no_warning() -> None:
    """XHTML with a declaration and a page that looks like a file name are read without a word on stderr."""
    xhtml = b'<?xml version="1.0" encoding="UTF-8"?>\n<p>Text</p>'
    assert read(xhtml, "html", "a.html").text == "Text"
    assert read(b"notes.txt", "html", "a.html").text == "notes.txt"


def test_a_pdf_is_read_page_by_page() -> None:
    """The text of a PDF is that of its pages, and its title comes from its metadata."""
    document = read(pdf(["First page\nsecond line", "Second page"], title="A paper"), "pdf", "a.pdf")
    assert document.text == "First page\nsecond line\n\nSecond page"
    assert document.title == "A paper"
    assert read(pdf(["Text"]), "pdf", "a.pdf").title is None


def test_a_bad_page_does_not_lose_the_rest() -> None:
    """A page that cannot be read leaves a note in its place, and the other pages stay."""
    document = read(damaged(pdf(["First", "Second", "Third"]), 1), "pdf", "a.pdf")
    assert document.text == "First\n\n[page 2 cannot be read]\n\nThird"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (pdf(["Secret"], password="secret"), "encrypted"),
        (pdf(["", ""]), "without text"),
        (damaged(pdf(["Only"]), 0), "without text"),
        (pdf(["Cut off"])[:300], "not a PDF that can be read"),
        (b"", "not a PDF that can be read"),
        (b"%PDF-1.7\nnothing", "not a PDF that can be read"),
    ],
    ids=["encrypted", "empty", "all damaged", "cut off", "no bytes", "no PDF"],
)
def test_a_pdf_that_cannot_be_read_is_refused(data: bytes, said: str) -> None:
    """An encrypted, empty or damaged PDF is refused by name, with the reason and a remedy in one sentence."""
    with pytest.raises(BadSource) as caught:
        read(data, "pdf", "papers/a.pdf")
    message = str(caught.value)
    assert message.startswith("papers/a.pdf ")
    assert said in message
    assert "leave it out" in message
    assert "\n" not in message


def test_protection_against_changes_does_not_hinder_reading() -> None:
    """A PDF that opens without a password is read although it is encrypted."""
    assert read(protected(pdf(["Open"])), "pdf", "a.pdf").text == "Open"
