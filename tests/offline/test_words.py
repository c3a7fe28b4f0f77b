"""Stems, subject words, and quotes made into sentences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.offline.words import kin, stem, subject_words, terms, tidy, words


@pytest.mark.parametrize(
    "forms",
    [
        "resume resumes resumed resuming",
        "kill kills killed killing",
        "query queries querying",
        "index indexes indices",
        "replicate replicates replicated replication",
        "copy copies copied copying",
        "stop stops stopped stopping",
        "database databases",
        "cache caches cached",
        "recover recovers recovery",
        "key keys",
        "write wrote written writing",
        "use uses used using",
    ],
)
def test_inflections_share_a_stem(forms: str) -> None:
    """The forms of a word compare as equal."""
    assert len({stem(form) for form in forms.split()}) == 1


@pytest.mark.parametrize(
    ("one", "other"), [("server", "serve"), ("lease", "less"), ("speed", "spend"), ("row", "rows?")]
)
def test_other_words_do_not(one: str, other: str) -> None:
    """Different words keep different stems."""
    assert stem(one) != stem(other)


def test_a_question_is_about_its_subject() -> None:
    """Words that hold the sentence together and words of asking are left out; an identifier stays whole."""
    assert subject_words("How does the harness resume a killed run?") == [
        "harness",
        "resume",
        "killed",
        "run",
    ]
    assert subject_words("Please explain what max_steps means") == ["max_steps"]
    assert subject_words("What is the difference?") == ["difference"]


def test_identifiers_are_found_by_name_and_by_their_parts() -> None:
    """`max_steps` is found by max_steps, by max and by steps; so is maxSteps by its parts."""
    assert {"max_step", "max", "step"} <= set(terms("Set max_steps."))
    assert {"max", "step"} <= set(terms("Set maxSteps."))
    assert words("Tern's max_steps is 40.") == ["Tern's", "max_steps", "is", "40"]


def test_kin_stand_for_one_another() -> None:
    """A word is kin to what often stands for it, and not to itself."""
    assert stem("cancel") in kin(stem("kill"))
    assert stem("kill") not in kin(stem("kill"))
    assert kin(stem("lentil")) == frozenset()


@pytest.mark.parametrize(
    ("quote", "statement"),
    [
        ("- **Leases** run\n  out by themselves", "Leases run out by themselves."),
        ("See [the guide](docs/guide.md) for more.", "See the guide for more."),
        ("It was released in 2019.[3]", "It was released in 2019."),
        ("Choose `a[1]` first.", "Choose `a[1]` first."),
        ("| retry_limit | 5 | How often |", "retry_limit: 5; How often."),
        ("Two ways:\n- one\n- two", "Two ways: one; two."),
        ("2 * 3 * 4 is 24.", "2 * 3 * 4 is 24."),
        ("Then an `open quote.", "Then an open quote."),
    ],
)
def test_a_quote_becomes_a_sentence(quote: str, statement: str) -> None:
    """Markup, footnotes and line ends go, an end mark comes, words stay."""
    assert tidy(quote) == statement


@given(st.text(max_size=200))
def test_no_text_is_too_odd(text: str) -> None:
    """Any text has words, stems and a tidy form on one line."""
    assert all(terms(word) == [] or word in text for word in words(text))
    assert subject_words(text) == subject_words(text)
    assert "\n" not in tidy(text)
