"""Sentences of prose, lists, tables and headings, each an exact slice of its document."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.offline.sentences import sentences


def texts(document: str) -> list[str]:
    return [sentence.text for sentence in sentences(document)]


@given(
    st.lists(st.sampled_from(["# H", "A b.", " ", "\n", "|x|", "```", "- i", "\t", "e.g. ", "?", "é", "1. "]))
)
def test_sentences_are_slices_in_order(parts: list[str]) -> None:
    """Every sentence stands in the text where it says, and none begins before the last has ended."""
    document = "".join(parts)
    found = sentences(document)
    for sentence in found:
        assert document[sentence.start : sentence.end] == sentence.text
        assert sentence.text.strip() == sentence.text != ""
    assert all(one.end <= other.start for one, other in pairwise(found))


@pytest.mark.parametrize(
    "sentence",
    [
        "Use it, e.g. Tern, with Postgres 15.3 or later.",
        "It follows Sec. 4 of the report (see Fig. 2. Really) and no other.",
        "Dr. Smith et al. Wrote it in the U.S. Army.",
        "The call `queue.run. Again` is one sentence.",
        "J. R. Hartley wrote it.",
    ],
)
def test_abbreviations_and_code_do_not_end_a_sentence(sentence: str) -> None:
    """A full stop inside is no end."""
    assert texts(f"First one. {sentence} Last one.") == ["First one.", sentence, "Last one."]


def test_lines_of_a_paragraph_belong_together() -> None:
    """A sentence that is wrapped is one sentence, with its line end in it."""
    assert texts("A sentence that goes on\nover the line. Next.") == [
        "A sentence that goes on\nover the line.",
        "Next.",
    ]


def test_code_and_rules_are_left_out() -> None:
    """Fenced code is no prose, also when the text begins inside of it."""
    assert texts("Before.\n\n```sh\nrun it. Now.\n```\n\nAfter.\n\n---") == ["Before.", "After."]
    assert texts("inside. Still.\n```\n\nAfter.") == ["After."]


def test_items_and_rows_stand_for_themselves() -> None:
    """A list's item and a table's row are not joined with their neighbours."""
    options = "Options:\n- the first one\n- the second one\n  goes on"
    document = f"{options}\n\n| Name | Default |\n|---|---|\n| steps | 40 |"
    assert texts(document)[:3] == ["Options:", "the first one", "the second one\n  goes on"]
    rows = [sentence for sentence in sentences(document) if sentence.row]
    assert [row.text for row in rows][-1] == "| steps | 40 |"


@pytest.mark.parametrize("heading", ["# Retries", "Retries\n=======", "Retries", "### 4.2 Retries in detail"])
def test_headings_are_known_and_no_sentences(heading: str) -> None:
    """A heading, marked or bare, is the heading of what follows."""
    (sentence,) = sentences(f"{heading}\n\nA failed job is tried again.")
    assert sentence.text == "A failed job is tried again."
    assert "Retries" in sentence.heading
    assert sentence.whole


def test_other_scripts_end_their_sentences_too() -> None:
    """Full stops of Chinese and Japanese need no space after them."""
    assert texts("租约会过期。工人会续租。") == ["租约会过期。", "工人会续租。"]
