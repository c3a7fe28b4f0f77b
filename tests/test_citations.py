from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.citations import Citation, check, citations

TEXTS = {
    "S1": 'The server reports a commit before the log is flushed. Values are "on", "off" and "local".',
    "S2": "A lease ends after 30 seconds. Another process may take it.",
    "S3": "Nobody has read this.",
}
READ = {"S1", "S2"}


def _failed(report: str) -> list[tuple[str, str]]:
    return [(each.citation, each.reason) for each in check(report, TEXTS, READ).failed]


def test_a_sound_report() -> None:
    """Each line and each quote is one citation, and all hold."""
    report = """# Commits

The log is flushed later [1]. A lease is short [2, 3] and can be lost [3][1].

## Sources

[1] S1, Commit: "reports a commit before the log is flushed"
[2] S2, Leases: "ends after 30 seconds"
[2] S2, Leases: "may take it"
[3] S2
"""
    assert check(report, TEXTS, READ).model_dump(mode="json") == {"checked": 4, "failed": []}


@pytest.mark.parametrize(
    "report", ["", "No citation at all.", "# Report\n\n## Sources\n\nNo document is cited.\n"]
)
def test_a_report_without_citations(report: str) -> None:
    """Nothing to check is nothing that failed."""
    assert check(report, TEXTS, READ).model_dump() == {"checked": 0, "failed": []}


def test_everything_that_can_be_wrong_is_told() -> None:
    """A number without a line, a source unknown or unread, and a wrong quote each say their reason."""
    report = """One [1], two [2], three [3], four [4], five [5].

## Sources

[1] S1, Commit: "reports a commit after the log is flushed"
[2] S9, Unknown: "whatever"
[3] S3, Unread: "Nobody has read this."
[4]
"""
    result = check(report, TEXTS, READ)
    assert result.checked == 5
    assert [(each.citation, each.reason) for each in result.failed] == [
        (
            '[1] S1: "reports a commit after the log is flushed"',
            "The quote does not stand in S1 word for word.",
        ),
        ('[2] S9: "whatever"', "S9 is not a source of this session that its agents have read."),
        ('[3] S3: "Nobody has read this."', "No agent of this session has read S3."),
        ("[4]", "No line under Sources has this number and names a source."),
        ("[5]", "No line under Sources has this number and names a source."),
    ]


def test_a_report_that_lost_its_sources() -> None:
    """Without the heading every number fails."""
    assert [citation for citation, _ in _failed("One [1] and two [2].\n\nSources: [3] S1\n")] == [
        "[1]",
        "[2]",
        "[3]",
    ]


@pytest.mark.parametrize(
    "prose",
    [
        "```\na[1]\n```",
        "~~~ python\na[1]\n~~~",
        "Code:\n\n    a[1]\n",
        "Inline `a[1]` and ``b ` [1]``.",
        "[1](https://example.org/a_(b))",
        "[a [1] text](https://example.org)",
        "![1](figure.png)",
        "[1][]\n\n[1]: https://example.org",
        "A footnote[^1].",
        "The year [2024], the interval [0, 1], the array [], the box [x] and [1.5].",
    ],
)
def test_what_is_not_a_marker(prose: str) -> None:
    """Code, links, images, footnotes and other things in brackets are not citations."""
    assert citations(f"{prose}\n\n## Sources\n") == []


@pytest.mark.parametrize(
    ("prose", "numbers"),
    [
        ("One [1].", [1]),
        ("Two [1, 2] and more [2,3] and [4; 5].", [1, 2, 3, 4, 5]),
        ("Ranges [1-3] and [5–6], and one that is none [9-7].", [1, 2, 3, 5, 6, 7, 9]),
        ("Side by side [1][2].", [1, 2]),
        ("**Bold [1]**, *[2]*, ~~[3]~~, <b>[4]</b>", [1, 2, 3, 4]),
        ("# Heading [1]\n\n> quote [2]\n\n- item [3]\n\n  - item\n\n    paragraph [4]", [1, 2, 3, 4]),
        ("| a [1] | b [2] |\n|---|---|\n| c [3] | d |", [1, 2, 3]),
        ("One [1](https://example.org) but [2] (in brackets).", [2]),
    ],
)  # fmt: skip
def test_what_is_a_marker(prose: str, numbers: list[int]) -> None:
    """Markers count wherever prose stands, alone, in lists and in ranges."""
    assert [citation.number for citation in citations(prose)] == numbers


@pytest.mark.parametrize(
    ("line", "source", "quote"),
    [
        ('[1] S3, A title: "a quote"', "S3", "a quote"),
        ("[1] S3, A title: “a quote”.", "S3", "a quote"),
        ("[1] S3, Ein Titel: „ein Zitat“", "S3", "ein Zitat"),
        ("[1] S3, A title: 'don't stop'", "S3", "'don't stop'"),
        ('[1] S3, A title, "a quote" (section 4)', "S3", "a quote"),
        ('[1] S3 "a quote"', "S3", "a quote"),
        ('[1]: S3: "a quote"', "S3", "a quote"),
        ('- [1] **S3**, *A title*: "a quote"', "S3", "a quote"),
        ('[1] S3, A "telling" title: "a quote"', "S3", "a quote"),
        ('[1] S3, A title: "he said "no" to it"', "S3", 'he said "no" to it'),
        ('[1] S3, A title: "a quote that\n  goes on"', "S3", "a quote that\n  goes on"),
        ("[1] S3, A title: \"never closed, isn't it", "S3", "never closed, isn't it"),
        ('[1] S3, A title: ""', "S3", ""),
        ("[1] S3, A title", "S3", None),
        ("[1] S3", "S3", None),
        ('[1] S3, docs/a.md: "a quote"\n\nA note on "all" of it.', "S3", "a quote"),
        ('[1] S3, A title: "a quote"\n---\nMade by hand.', "S3", "a quote"),
    ],
)
def test_lines_are_read_as_models_write_them(line: str, source: str, quote: str | None) -> None:
    """Small departures from the format do not hide a quote from the check."""
    assert citations(f"Text [1].\n\n## Sources\n\n{line}\n") == [Citation(1, source, quote)]


def test_the_last_heading_counts() -> None:
    """Only the last "Sources" is the list, up to the next heading of its rank; then there is prose again."""
    report = """## Sources

A chapter on sources [1].

### Sources:

[1] S1

#### Books

[2] S2

## Afterword

See [3].
"""
    assert citations(report) == [Citation(1, "S1"), Citation(2, "S2"), Citation(3)]


def test_several_quotes_on_one_line() -> None:
    """Each is a citation of its own; but a quote that has such marks within it is one."""
    report = """## Sources

[1] S2, Leases: "ends after 30 seconds"; "may take it" and "never ends"
[2] S1, Commit: "Values are "on", "off" and "local""
[3] S1, Commit: "Values are "on", "of" and "local""
"""
    result = check(report, TEXTS, READ)
    assert [each.citation for each in result.failed] == [
        '[1] S2: "never ends"',
        '[3] S1: "of"',
    ]
    assert result.checked == 3 + 1 + 3


def test_a_long_quote_is_told_in_short() -> None:
    """A failed citation is a line, however long its quote is."""
    citation, _ = _failed(f'## Sources\n\n[1] S1: "{"word " * 99}"')[0]
    assert citation.startswith('[1] S1: "word word')
    assert len(citation) < 120


_words = st.lists(st.text("abcXYZéß0123456789", min_size=1, max_size=6), min_size=1, max_size=40)
_marks = st.sampled_from(
    [" ", " ", " ", ", ", ". ", " - ", "\n", ' "', '" ', '", "', '"; "', " [1] ", " (", ": ", "*"]
)


@st.composite
def _text_and_quote(draw: st.DrawFn) -> tuple[str, list[str], str]:
    words = draw(_words)
    marks = draw(st.lists(_marks, min_size=len(words), max_size=len(words)))
    begin = draw(st.integers(0, len(words) - 1))
    end = draw(st.integers(begin + 1, len(words)))
    text = "".join(word + mark for word, mark in zip(words, marks, strict=True))
    inner = [*marks[begin : end - 1], ""]
    quote = "".join(word + mark for word, mark in zip(words[begin:end], inner, strict=True))
    return text, words[begin:end], quote


def _report(quote: str) -> str:
    line = " ".join(quote.split())
    return f'Something is so [1].\n\n## Sources\n\n[1] S1, A title: "{line}"\n'


@given(_text_and_quote())
def test_a_quote_cut_from_its_source_always_passes(drawn: tuple[str, list[str], str]) -> None:
    """Whatever marks stand within the quote, the report around it hides nothing and adds nothing."""
    text, _, quote = drawn
    result = check(_report(quote), {"S1": text}, {"S1"})
    assert (result.checked, result.failed) == (1, [])


@given(_text_and_quote(), st.data())
def test_a_quote_with_one_changed_word_always_fails(
    drawn: tuple[str, list[str], str], data: st.DataObject
) -> None:
    """One word that the source does not have, one letter more or one less, and the check says so."""
    text, quoted, quote = drawn
    word = data.draw(st.sampled_from(quoted))
    changed = data.draw(
        st.sampled_from(["other", word + "x", "x" + word, word[1:], word[:-1], word.swapcase()])
    )
    assume(changed and not re.search(rf"(?<!\w){changed}(?!\w)", text))
    altered = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", changed, quote, count=1)
    result = check(_report(altered), {"S1": text}, {"S1"})
    assert len(result.failed) >= 1
