"""Parting a question into sub-questions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.offline.planner import MOST_PARTS, sub_questions


@pytest.mark.parametrize(
    "question",
    [
        "How does the harness resume a killed run?",
        "Wie setzt das Harness einen Lauf fort?",
        "What are the pros and cons of leases?",
        "When was Tern released, by whom, and under which licence is it sold?",
    ],
)
def test_a_plain_question_stays_one(question: str) -> None:
    """Nothing is taken apart without a reason."""
    assert sub_questions(question) == [question]


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("What is MVCC, and how does it affect VACUUM?", ["What is MVCC?", "How does MVCC affect VACUUM?"]),
        ("How do leases work and why are they needed?", ["How do leases work?", "Why are leases needed?"]),
        ("I run a shop. How do I back up? How do I restore?", ["How do I back up?", "How do I restore?"]),
        (
            "What do VACUUM, ANALYZE, and REINDEX do?",
            ["What does VACUUM do?", "What does ANALYZE do?", "What does REINDEX do?"],
        ),
        (
            "What happens if the worker dies, the database restarts, or the network fails?",
            [
                "What happens if the worker dies?",
                "What happens if the database restarts?",
                "What happens if the network fails?",
            ],
        ),
        ("Can you tell me what the planner does?", ["What the planner does"]),
    ],
)
def test_joined_questions_are_taken_apart(question: str, parts: list[str]) -> None:
    """Each part can stand alone: pronouns are replaced by what they stand for."""
    assert sub_questions(question) == parts


@pytest.mark.parametrize(
    ("question", "sides"),
    [
        ("What is the difference between a lease and a lock?", ["a lease", "a lock"]),
        ("How is a lease different from a lock?", ["a lease", "a lock"]),
        ("Lease vs lock", ["Lease", "lock"]),
        ("Compare logical and physical replication", ["logical replication", "physical replication"]),
        ("Should I use JSON or JSONB?", ["JSON", "JSONB"]),
    ],
)
def test_a_comparison_is_the_question_and_its_sides(question: str, sides: list[str]) -> None:
    """Both sides get a question of their own beside the comparison itself."""
    assert sub_questions(question) == [question, *(f"What is {side}?" for side in sides)]


@given(st.text(max_size=1000))
def test_any_text_gives_one_to_four_parts(text: str) -> None:
    """However odd, a text is never parted into nothing or into too much."""
    assert 1 <= len(sub_questions(text)) <= MOST_PARTS
