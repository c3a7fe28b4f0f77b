"""The first words an agent hears: a person's question, or a task with all that is in it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from harness.briefing import first_words
from harness.resume import StartFresh


def heard(payload: dict[str, Any], told: str | None = None, wrong: str | None = None) -> str:
    """Give what an agent is told that begins with what a person's question has become.

    `told` is what its run was reopened with, `wrong` what was the matter with its last answer.
    """
    task = SimpleNamespace(source="person", payload=payload)
    verdicts = [SimpleNamespace(problem=wrong)] if wrong else []
    run = SimpleNamespace(continues=None, task=task, told=told, verdicts=verdicts)
    view: Any = SimpleNamespace(run=run, project=None)
    return first_words(view, StartFresh(), [], lambda: "S1: Leases") or ""


def test_a_question_alone_comes_with_the_list_of_documents() -> None:
    """Whoever begins the work knows what there is to read."""
    assert "S1: Leases" in heard({"question": "What is a lease?"})


def test_what_comes_with_a_question_is_told_too() -> None:
    """A later stage that takes the question and what was found gets both."""
    told = heard({"question": "What is a lease?", "findings": [{"statement": "It runs out."}]})
    assert "It runs out." in told
    assert "What is a lease?" in told


def test_whoever_begins_again_is_told_what_was_wrong() -> None:
    """An empty answer leaves nothing in the conversation: what is to be mended comes after the task."""
    told = heard({"question": "What is a lease?"}, "It is empty.", wrong="It is empty.")
    task, back, wrong = map(told.index, ("What is a lease?", "Your answer has come back", "It is empty."))
    assert task < back < wrong


def test_whoever_begins_again_is_given_the_answer_to_its_call_for_help() -> None:
    """Help that was asked for in a conversation that is lost is not lost with it."""
    told = heard({"question": "What is a lease?"}, "It is a German one.", wrong="It was too short.")
    assert told.index("What is a lease?") < told.index("you asked for help") < told.index("a German one")
