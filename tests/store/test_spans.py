"""Spans in Postgres: written with their events, and taken from the outbox by one exporter at a time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from harness import events as ev
from harness.records import Outcome
from harness.state import RunState
from harness.store.database import Database
from harness.store.journal import Along, Journal
from harness.store.spans import Outbox, read_spans, standing
from harness.tracing.content import Keeper
from harness.tracing.describe import Shown
from tests.kit.journals import finished, requested
from tests.kit.sessions import new_journal, run_at_work

ODD = "NUL \x00, half a pair \ud83d, é"


async def ended_session(database: Database) -> tuple[Journal, RunState]:
    """A session with five spans, all ended."""
    journal = await new_journal(database)
    run = await run_at_work(journal)
    for number in range(3):
        await journal.append(requested(f"c{number}"), run_id=run.id)
        await journal.append(finished(f"c{number}"), run_id=run.id)
    done = ev.AgentRunFinished(outcome=Outcome(status="done", output="x"), work_s=1)
    await journal.append(done, run_id=run.id)
    await journal.append(ev.SessionFinished(status="done", report="x", problem=None))
    return journal, run


async def test_a_span_is_there_with_its_checkpoint(database: Database) -> None:
    """Open with the event that opened it, ended with the one that closed it, and the same span for both."""
    journal = await new_journal(database)
    run = await run_at_work(journal)
    asked = await journal.append(requested("c1"), run_id=run.id, shown=Shown(input=[ODD]))
    (open_,) = [span for span in await read_spans(database, journal.session_id) if span.kind == "model"]
    assert (open_.status, open_.ended_at, open_.seq) == ("open", None, asked.seq)
    answered = await journal.append(finished("c1"), run_id=run.id, shown=Shown(output=ODD))
    (ended,) = [span for span in await read_spans(database, journal.session_id) if span.kind == "model"]
    assert (ended.span_id, ended.status) == (open_.span_id, "ok")
    assert asked.span_id == answered.span_id == ended.span_id
    assert ended.ended_at is not None
    assert ended.ended_at >= ended.started_at
    assert ended.attributes["output"]["text"] == ODD
    assert ended.attributes["usage"]["output_tokens"] == 1


async def test_the_same_append_again_changes_nothing(database: Database) -> None:
    """A try that was committed without our hearing of it leaves one event and one span."""
    journal = await new_journal(database)
    run = await run_at_work(journal)
    commit = journal._commit

    async def twice(row: dict[str, Any], along: Along) -> dict[str, Any]:
        await commit(row, along)
        return await commit(row, along)

    journal._commit = twice  # type: ignore[method-assign]
    await journal.append(requested("c1"), run_id=run.id)
    spans = await read_spans(database, journal.session_id)
    assert [span.kind for span in spans].count("model") == 1


async def test_without_tracing_no_span_is_written(database: Database) -> None:
    """The events name their spans all the same."""
    journal = await new_journal(database)
    run = await run_at_work(journal)
    before = await read_spans(database, journal.session_id)
    silent = Journal(database, journal.lease, journal.state, keeper=None)
    event = await silent.append(requested("c1"), run_id=run.id)
    assert event.span_id is not None
    assert await read_spans(database, journal.session_id) == before


async def test_only_what_the_keeper_lets_through_is_stored(database: Database) -> None:
    """Sizes and hashes, and nothing of the words."""
    journal = await new_journal(database)
    run = await run_at_work(journal)
    careful = Journal(database, journal.lease, journal.state, keeper=Keeper("metadata"))
    await careful.append(requested("c1"), run_id=run.id, shown=Shown(input="told in confidence"))
    rows = await database.all("select opened, closed from span")
    assert "confidence" not in str(rows)
    (span,) = [span for span in await read_spans(database, journal.session_id) if span.kind == "model"]
    assert span.attributes["input"]["chars"] == 18


async def test_a_stale_holder_writes_no_span(database: Database) -> None:
    """Spans are fenced by the same token as their events."""
    journal = await new_journal(database)
    run = await run_at_work(journal)
    before = await read_spans(database, journal.session_id)
    await database.run("update session set token = token + 1")
    answers = await asyncio.gather(journal.append(requested("c1"), run_id=run.id), return_exceptions=True)
    assert isinstance(answers[0], Exception)
    assert await read_spans(database, journal.session_id) == before


async def test_an_exporter_takes_what_has_ended_and_nobody_else_has(database: Database) -> None:
    """Open spans stay; what one took, another does not get; what was sent is not taken again."""
    journal, _ = await ended_session(database)
    first, second = Outbox(database, "t"), Outbox(database, "t")
    taken, others = await asyncio.gather(first.take(3), second.take(100))
    ids = [ended.span.span_id for ended in (*taken, *others)]
    assert len(ids) == len(set(ids)) == 5
    await first.sent([ended.span for ended in taken])
    await second.sent([ended.span for ended in others])
    assert await first.take(100) == []
    found = await standing(database, "t", journal.session_id)
    assert (found.sent, found.waiting, found.sent_again) == (5, 0, 0)


async def test_a_clock_that_went_back_makes_no_negative_time(database: Database) -> None:
    """A span ends at its start at the earliest."""
    journal = await new_journal(database)
    run = await run_at_work(journal)
    await journal.append(requested("c1"), run_id=run.id)
    journal.lease.seen_at = ev.now() - timedelta(days=1)
    await journal.append(ev.SessionResumed(token=1, host="h", pid=1))
    spans = await read_spans(database, journal.session_id)
    ended = [span for span in spans if span.kind != "turn"]
    assert ended
    assert all(span.duration_s is not None and span.duration_s >= 0 for span in ended)
