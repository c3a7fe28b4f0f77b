"""Scores in the store: kept once, taken by one sender at a time, and only by their tenant's."""

from __future__ import annotations

import uuid
from datetime import timedelta

from harness.store.database import Database
from harness.store.journal import read_events, read_events_of
from harness.store.scores import ScoreOutbox, add_score, note_scores, read_scores
from harness.store.spans import read_spans
from harness.tracing.scores import SCORED, Score, scores_of
from tests.cli.hand_made import keep, worked
from tests.kit.journals import Book
from tests.kit.scores import GIVEN, finished, gate, score_of

RUN = str(uuid.UUID(int=7))


async def test_a_score_comes_back_as_it_was_given(database: Database) -> None:
    """Numbers stay numbers and words stay words, even one that looks like a number or holds an escape."""
    session_id = await keep(database, worked())
    values: list[float | str] = [0.1, -3.0, "good", "7", "a\u2028b ü"]
    given = [
        score_of(session_id, value=value, comment=None, given_at=GIVEN + timedelta(seconds=n))
        for n, value in enumerate(values)
    ]
    for score in reversed(given):
        await add_score(database, score)
    read = await read_scores(database, session_id)
    assert [Score(**each.model_dump(include=set(Score.model_fields))) for each in read] == given
    assert all((each.tries, each.sent_at, each.refused) == (0, None, None) for each in read)


async def test_the_same_score_again_is_not_sent_again(database: Database) -> None:
    """A changed one is, and keeps its time: by that Langfuse knows it is the same."""
    session_id = await keep(database, worked())
    outbox = ScoreOutbox(database, "default")
    score = score_of(session_id)
    await add_score(database, score)
    (taken,) = await outbox.take(9)
    await outbox.sent(taken)
    await add_score(database, score.model_copy(update={"given_at": GIVEN + timedelta(days=2)}))
    assert await outbox.take(9) == []
    await add_score(
        database, score.model_copy(update={"value": "bad", "given_at": GIVEN + timedelta(days=2)})
    )
    (again,) = await outbox.take(9)
    assert (again.value, again.given_at, again.tries, again.sent_at) == ("bad", GIVEN, 1, None)


async def test_what_one_sender_has_taken_another_does_not_get(database: Database) -> None:
    """Until it is given back, or its time is up because the sender has died."""
    session_id = await keep(database, worked())
    await add_score(database, score_of(session_id))
    outbox, other = (ScoreOutbox(database, "default", session_id) for _ in range(2))
    taken = await outbox.take(9)
    assert await other.take(9) == []
    assert (await other.left()).left == 1, "it still waits"
    await outbox.later(taken, 0)
    (retaken,) = await ScoreOutbox(database, "default", hold_s=0).take(9)
    assert retaken.tries == 2
    assert len(await other.take(9)) == 1


async def test_a_refused_score_is_not_taken_again(database: Database) -> None:
    """It stays where it can be seen, with the reason."""
    session_id = await keep(database, worked())
    await add_score(database, score_of(session_id))
    outbox = ScoreOutbox(database, "default")
    (taken,) = await outbox.take(9)
    await outbox.refuse(taken, "Bad name")
    await outbox.later([taken], 0)
    assert await outbox.take(9) == []
    assert (await outbox.left()).left == 0
    (read,) = await read_scores(database, session_id)
    assert read.refused == "Bad name"


async def test_scores_are_taken_for_their_tenant_and_session_only(database: Database) -> None:
    """One tenant's keys never carry another's scores."""
    ours, more, theirs = [
        await keep(database, worked(), tenant=tenant) for tenant in ("default", "default", "other")
    ]
    for session_id in (ours, more, theirs):
        await add_score(database, score_of(session_id))
    assert (await ScoreOutbox(database, "default").left()).left == 2
    assert [each.session_id for each in await ScoreOutbox(database, "default", more).take(9)] == [more]
    assert [each.session_id for each in await ScoreOutbox(database, "default").take(9)] == [ours]
    assert await ScoreOutbox(database, "default", theirs).take(9) == []


async def test_noting_a_journal_again_adds_nothing(database: Database) -> None:
    """A session that stops twice has each score once, and no sent one is sent again."""
    session_id = await keep(database, worked())
    book = Book(session_id=session_id)
    book.add(gate("fix", "Cite."), RUN)
    book.add(finished(4, 1))
    await note_scores(database, session_id, book.events)
    outbox = ScoreOutbox(database, "default")
    for taken in await outbox.take(9):
        await outbox.sent(taken)
    book.add(finished(4, 0))
    await note_scores(database, session_id, book.events)
    read = await read_scores(database, session_id)
    assert [(each.name, each.value) for each in read] == [
        ("gate reviewer", "fix"),
        ("citations_held", 0.75),
        ("citations_held", 1.0),
    ]
    assert [each.value for each in await outbox.take(9)] == [1.0]


async def test_a_verdict_is_noted_at_its_agent_runs_span(database: Database) -> None:
    """It is the span in which that agent was at work, as the store has it, and no other of its spans."""
    book = worked()
    session_id = await keep(database, book)
    spans = [span for span in await read_spans(database, session_id) if span.kind == "agent_run"]
    at_work = spans[-1]
    book.add(gate("pass"), at_work.agent_run_id)
    await note_scores(database, session_id, book.events)
    (score,) = [each for each in await read_scores(database, session_id) if each.name == "gate reviewer"]
    assert score.span_id == at_work.span_id


async def test_scores_follow_from_a_few_kinds_of_events_alone(database: Database) -> None:
    """Reading these and nothing else of a journal gives all of its scores."""
    session_id = await keep(database, worked(), status="done")
    whole = await read_events(database, session_id)
    few = await read_events_of(database, session_id, SCORED)
    assert [event.payload.kind for event in few] == ["session.finished"]
    assert scores_of(few) == scores_of(whole) != ()
