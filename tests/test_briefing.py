"""The first words an agent hears: a person's question, or a task with all that is in it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from harness.briefing import first_words
from harness.resume import StartFresh


def heard(payload: dict[str, Any]) -> str:
    """Give what an agent is told that begins with what a person's question has become."""
    task = SimpleNamespace(source="person", payload=payload)
    view: Any = SimpleNamespace(run=SimpleNamespace(continues=None, task=task), project=None)
    return first_words(view, StartFresh(), [], lambda: "S1: Leases") or ""


def test_a_question_alone_comes_with_the_list_of_documents() -> None:
    """Whoever begins the work knows what there is to read."""
    assert "S1: Leases" in heard({"question": "What is a lease?"})


def test_what_comes_with_a_question_is_told_too() -> None:
    """A later stage that takes the question and what was found gets both."""
    told = heard({"question": "What is a lease?", "findings": [{"statement": "It runs out."}]})
    assert "It runs out." in told
    assert "What is a lease?" in told
