"""Scores that follow from a journal: the same for whoever asks, and of the right step."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from pydantic import ValidationError

from harness import events as ev
from harness.tracing.scores import COMMENT_CHARS, Score, scores_of
from harness.tracing.span import Span
from tests.kit.journals import BEGAN, SESSION, Book
from tests.kit.scores import finished, gate

RUN = str(uuid.UUID(int=7))
OTHER = str(uuid.UUID(int=8))


def taken_up(seq: int, run_id: str = RUN, kind: str = "agent_run") -> Span:
    """A span that an event of this number has opened."""
    return Span.model_validate(
        {
            "session_id": SESSION,
            "span_id": f"{kind}-{seq}",
            "parent_span_id": None,
            "agent_run_id": run_id,
            "kind": kind,
            "name": kind,
            "seq": seq,
            "started_at": BEGAN + timedelta(seconds=seq),
            "attributes": {},
        }
    )


def test_the_citations_that_hold_are_a_share_of_those_checked() -> None:
    """Eight of nine are 8/9, with the count in words, of the whole session and of the time it ended."""
    book = Book()
    ended = book.add(finished(9, 1))
    (score,) = scores_of(book.events)
    assert (score.name, score.comment, score.span_id) == ("citations_held", "8 of 9 hold", None)
    assert score.value == pytest.approx(8 / 9)
    assert (score.session_id, score.given_at) == (SESSION, ended.recorded_at)


def test_a_session_without_citations_has_no_share_of_them() -> None:
    """Neither a report without citations nor a session without a report is praised or blamed for any."""
    book = Book()
    book.add(finished(0, 0))
    book.add(ev.SessionFinished(status="failed", report=None, problem="No.", citations=None))
    assert scores_of(book.events) == ()


def test_each_verdict_is_a_score_of_the_span_it_was_given_in() -> None:
    """Of a run that was taken up twice, an early verdict stays with the first span, in whatever order."""
    book = Book()
    book.add(gate("fix", "Cite your sources."), RUN)
    for _ in range(3):
        book.add(finished(0, 0))
    book.add(gate("pass"), RUN)
    spans = [taken_up(4), taken_up(1), taken_up(2, OTHER), taken_up(3, kind="gate"), taken_up(9)]
    first, second = scores_of(book.events, spans)
    assert (first.name, first.value, first.comment) == ("gate reviewer", "fix", "Cite your sources.")
    assert (second.value, second.comment) == ("pass", None)
    assert (first.span_id, second.span_id) == ("agent_run-1", "agent_run-4")


def test_asking_again_gives_the_same_scores() -> None:
    """A journal that has grown has the scores it had, and those of what came after."""
    book = Book()
    book.add(gate("abstain"), RUN)
    book.add(finished(2, 0))
    before = scores_of(book.events)
    book.add(gate("pass"), RUN)
    book.add(finished(2, 0))
    after = scores_of(Book(book.events).events)
    assert after[:2] == before
    assert len({score.id for score in after}) == 4


def test_a_gate_says_what_can_be_kept() -> None:
    """Its words are cut, hold nothing that Postgres refuses, and are left out where content is not kept."""
    book = Book()
    book.add(gate("fix", "a\x00b\ud800" + "c" * COMMENT_CHARS), RUN)
    (score,) = scores_of(book.events)
    assert score.comment is not None
    assert len(score.comment) == COMMENT_CHARS
    assert score.comment.startswith("a\ufffdb?c")
    (silent,) = scores_of(book.events, comments=False)
    assert silent == score.model_copy(update={"comment": None})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, ["good"]])
def test_a_value_is_a_finite_number_or_a_word(value: object) -> None:
    """What no receiver could take is refused where it is made."""
    with pytest.raises(ValidationError):
        Score.model_validate(
            {"id": "1", "session_id": SESSION, "name": "x", "value": value, "given_at": BEGAN}
        )
