from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from harness.quotes import Quotable

TEXT = (
    "With  synchronous_commit\noff the “last” transactions may be lost; it's the asyn-\nchronous write-\n"
    "ahead log. It can't be undone. It costs 1,500.50 dollars, in pre- and post-war prices — or 3 % of it. "
    "The ﬁrst x² counts."
)


@pytest.mark.parametrize(
    "quote",
    [
        "synchronous_commit off",
        "the \"last\" transactions",
        "the “last” transactions",
        "it’s the",
        "asynchronous write-ahead log.",
        "asyn- chronous write- ahead log",
        "asyn-\nchronous write-\nahead",
        "the asyn-",
        "costs 1,500.50 dollars",
        "pre- and post-war prices - or",
        "first x2 counts",
        "With synchronous_commit off ... may be lost",
        "With synchronous_commit […] may be lost [...] costs 1,500.50 dollars",
        "... transactions may be lost ...",
        TEXT,
    ],
)  # fmt: skip
def test_a_quote_stands_whatever_typesetting_did(quote: str) -> None:
    """Spaces, quotation marks, dashes, ligatures, divided words and omissions make no difference."""
    assert Quotable(TEXT).holds(quote)


@pytest.mark.parametrize(
    "quote",
    [
        "Synchronous_commit off",
        "synchronous_commit on",
        "ransactions may be",
        "transactions may b",
        "costs 1",
        "costs 1,500",
        "500.50 dollars",
        "It can",
        "t be undone",
        "it'",
        "'s the",
        "500 dollars",
        "asyn chronous",
        "may be lost ... synchronous_commit",
        "last ... transactions ... last",
        "premand post-war",
        "",
        " ",
        "...",
        "[...]",
    ],
)
def test_what_does_not_stand_there_is_no_quote(quote: str) -> None:
    """Other case, other words, pieces of words and numbers, another order and nothing at all are refused."""
    assert not Quotable(TEXT).holds(quote)


def test_scripts_without_spaces_can_be_quoted_anywhere() -> None:
    """Where words are not set apart a quote may begin and end within a run of characters."""
    text = Quotable("非同期コミットでは最後のトランザクションが失われることがあります。")
    assert text.holds("最後のトランザクション")
    assert not text.holds("最初のトランザクション")


_line = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40)
_ODD = (
    'a The commit commit. “off” it’s write-ahead 1,500 -5 ... x² ﬁn é (see S1) 語 "on", — pre- ¨ [...] … '
    "e\u0301 a\xadb \u0301 \ufdd0"
)
_words = st.sampled_from(_ODD.split(" "))
_texts = st.one_of(
    st.lists(st.one_of(_words, _line), min_size=1, max_size=30).flatmap(
        lambda words: st.lists(
            st.sampled_from([" ", "\n", "  ", "\n\n", "-\n", "\t", "\r\n"]),
            min_size=len(words),
            max_size=len(words),
        ).map(lambda gaps: "".join(a + b for a, b in zip(words, gaps, strict=True)))
    ),
    st.text(max_size=200),
)


# Many a random text has no word in it.
@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(_texts, st.data())
def test_a_quote_cut_from_a_text_always_stands(text: str, data: st.DataObject) -> None:
    """Whatever the text is, the words between two of its spaces are a quote, as they stand or on one line."""
    borders = [0, *(found.start() for found in re.finditer(r"\s", text)), len(text)]
    begin = data.draw(st.sampled_from(borders))
    end = data.draw(st.sampled_from([border for border in borders if border >= begin]))
    quote = text[begin:end]
    assume(re.search(r"\w", quote))
    assert Quotable(text).holds(quote)
    if "-\n" not in quote:
        assert Quotable(text).holds(" ".join(quote.split()))


@given(st.lists(_words, min_size=1, max_size=30), st.data())
def test_a_quote_with_one_changed_word_never_stands(words: list[str], data: st.DataObject) -> None:
    """A word that the text does not have, a letter more or a letter less make it another text."""
    text = " ".join(words)
    begin = data.draw(st.integers(0, len(words) - 1))
    quote = words[begin : data.draw(st.integers(begin + 1, len(words)))]
    place = data.draw(st.integers(0, len(quote) - 1))
    changed = data.draw(st.sampled_from(["other", quote[place] + "x", "x" + quote[place], quote[place][:-1]]))
    assume(re.search(r"\w", changed))
    assume(changed not in words and not any(_same(changed, word) for word in words))
    quote[place] = changed
    assert not Quotable(text).holds(" ".join(quote))


def _same(changed: str, word: str) -> bool:
    """Whether taking off a sign leaves the word as it reads: then it has not been changed."""
    return re.sub(r"[\W_]", "", changed) == re.sub(r"[\W_]", "", word)
