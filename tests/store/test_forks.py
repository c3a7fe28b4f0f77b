"""Forks in the store: what of a session is copied, whole or not at all, and nothing of it is changed."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest

from harness import events as ev
from harness.corpus.collect import collect
from harness.corpus.corpus import Corpus
from harness.errors import BadInput, StoreError
from harness.flow import Agent
from harness.forking import prepare
from harness.plan import plan
from harness.records import Outcome
from harness.state import RunState
from harness.store.database import Database
from harness.store.forks import store_fork
from harness.store.journal import Journal, KeptResponse, kept_response, load_state, read_events
from harness.store.lease import acquire
from harness.store.sessions import Origin, Sessions
from harness.store.spans import read_spans
from harness.store.transcripts import TranscriptStore, read_transcript
from harness.tracing.span import span_id
from tests.kit.journals import created, finished, requested, run_created, started, task, tool_requested
from tests.kit.rows import rows_of
from tests.kit.script import text, tool_use
from tests.kit.sessions import new_journal
from tests.kit.transcripts import Transcript

FLOW = Agent(agent="analyst")
SEARCH = "mcp__corpus__search"
CLAUDE = "3f1c7f8e-0c52-4a52-9b1a-52f0a1d4e001"
SPAN = "abcdef0123456789"


class AtWork:
    """A session at work, its transcript beside its journal."""

    def __init__(self, journal: Journal, run: RunState) -> None:
        self.journal, self.run = journal, run
        self.told = Transcript()
        self.store = TranscriptStore(journal.database, scope=journal.session_id, lease=journal.lease)
        self._stored = 0

    @property
    def id(self) -> str:
        return self.journal.session_id

    async def add(self, payload: ev.AnyPayload, **given: Any) -> int:
        return (await self.journal.append(payload, run_id=self.run.id, **given)).seq

    async def mirror(self) -> None:
        """Store what has been said since."""
        new = [
            {**entry, "sessionId": CLAUDE, "said": f"\x00 sessionId {CLAUDE}"}
            for entry in self.told.entries[self._stored :]
        ]
        self._stored = len(self.told.entries)
        await self.store.append({"project_key": "p", "session_id": CLAUDE}, new)  # type: ignore[arg-type]

    async def answer(self, call: str, *blocks: Any) -> int:
        message = self.told.says(*blocks)
        await self.add(requested(call))
        keep = KeptResponse(f"conversation {call}", call, "application/json", b"{}")
        return await self.add(finished(call, message_id=message), keep=keep)

    async def rows(self) -> dict[str, list[str]]:
        return await asyncio.to_thread(rows_of, self.journal.database.dsn, self.id)


FIRST, SECOND = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))


@pytest.fixture
async def origin(database: Database) -> AtWork:
    """An analyst that has searched, and whose second answer asks for another search."""
    journal = await new_journal(database)
    await journal.append(created(FLOW, sources=1))
    (spec,) = plan(FLOW, journal.state).create
    await journal.append(run_created(spec), run_id=spec.id)
    run = journal.state.runs[spec.id]
    await journal.append(started(run, claude_session_id=CLAUDE), run_id=run.id)
    made = AtWork(journal, run)
    made.told.prompt("Why?")
    await made.answer(FIRST, tool_use(SEARCH, {"query": "tides"}, id="toolu_a"))
    await made.add(tool_requested("toolu_a"))
    await made.add(ev.ToolFinished(tool_use_id="toolu_a", tool=SEARCH, sources=("S1", "S3")))
    made.told.result("toolu_a")
    await made.answer(SECOND, text("On."), tool_use(SEARCH, {"query": "winds"}, id="toolu_b"))
    await made.mirror()
    return made


async def fork(origin: AtWork, at: int | str, **edits: Any) -> str:
    database = origin.journal.database
    state = await load_state(database, origin.id)
    prepared = await prepare(database, state, at, edits, {})
    await store_fork(database, prepared)
    return prepared.state.id


async def test_events_are_copied_with_their_numbers_and_times(origin: AtWork, database: Database) -> None:
    """Each with an id of its own; then comes the one that says where they are from."""
    new = await fork(origin, 6)
    there, here = await read_events(database, origin.id), await read_events(database, new)
    assert [event.seq for event in here] == [1, 2, 3, 4, 5, 6, 7]
    for copy, event in zip(here[:-1], there, strict=False):
        assert (copy.payload, copy.recorded_at, copy.agent_run_id) == (
            event.payload, event.recorded_at, event.agent_run_id,
        )  # fmt: skip
        assert copy.id != event.id
        assert copy.span_id == event.span_id
    forked = here[-1].payload
    assert isinstance(forked, ev.SessionForked)
    assert (forked.origin, forked.root, forked.at) == (origin.id, origin.id, 6)
    (root,) = await read_spans(database, new)
    assert here[-1].span_id == root.span_id == span_id(new, "turn", "")
    assert (root.seq, root.status, root.parent_span_id) == (7, "open", None)
    assert root.attributes["turn"] == 1
    assert root.attributes["forked_from"] == {"session_id": origin.id, "seq": 6}


async def test_nothing_of_the_origin_is_changed(origin: AtWork) -> None:
    """Not a byte of a row, and its holder still holds its lease."""
    before = await origin.rows()
    for at in (1, 5, origin.journal.state.head):
        await fork(origin, at)
    assert await origin.rows() == before
    await origin.add(ev.AgentRunInterrupted(reason="later", work_s=1))


async def test_it_is_listed_as_a_fork_that_waits(origin: AtWork, database: Database) -> None:
    """Of the same tenant, suspended, in nobody's hands; a lease on it is taken at once."""
    new = await fork(origin, 5)
    row = await Sessions(database, "t").row(new)
    assert (row.status, row.at_work, row.events) == ("suspended", False, 6)
    assert row.forked_from == Origin(session_id=origin.id, seq=5)
    assert (await Sessions(database, "t").row(origin.id)).forked_from is None
    lease, _ = await acquire(database, new, ttl_s=60)
    assert lease.token == 1


async def test_a_transcript_is_cut_and_has_a_name_of_its_own(origin: AtWork, database: Database) -> None:
    """The field that names the Claude session is another; all else is as it was, also the old name."""
    new = await fork(origin, 7)
    run = (await load_state(database, new)).runs[origin.run.id]
    assert run.claude_session_id not in (None, CLAUDE)
    there = await read_transcript(database, origin.id, CLAUDE)
    here = await read_transcript(database, new, run.claude_session_id or "")
    assert 0 < len(here) < len(there)
    assert here == [{**entry, "sessionId": run.claude_session_id} for entry in there[: len(here)]]
    assert here[-1]["message"]["content"][0]["tool_use_id"] == "toolu_a"
    assert await read_transcript(database, new, CLAUDE) == []


async def test_responses_that_may_be_asked_for_again_are_copied(origin: AtWork, database: Database) -> None:
    """Those answered by then, of agent runs that had not ended."""

    async def kept(session_id: str, call: str) -> bool:
        found = await kept_response(database, session_id, origin.run.id, f"conversation {call}")
        return found is not None

    new = await fork(origin, 8)
    assert (await kept(new, FIRST), await kept(new, SECOND)) == (True, False)
    new = await fork(origin, 9)
    assert (await kept(new, FIRST), await kept(new, SECOND)) == (True, True)
    ended = await origin.add(ev.AgentRunFinished(outcome=Outcome(status="done", output="x"), work_s=1))
    new = await fork(origin, ended)
    assert (await kept(new, FIRST), await kept(new, SECOND)) == (False, False)


async def test_documents_that_were_found_later_are_not_there(
    origin: AtWork, database: Database, tmp_path: Any
) -> None:
    """Those that were given, and those that its agents had been shown; the labels stay."""
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.md").write_text(f"# {name}\n\nAll about {name}.")
    await Corpus(database).ingest(origin.id, "t", collect([str(tmp_path / f"{n}.md") for n in "abc"]))

    async def labels(at: int) -> list[str]:
        return [source.label for source in await Corpus(database).sources(await fork(origin, at))]

    assert await labels(6) == ["S1"]
    assert await labels(7) == ["S1", "S3"]


async def test_kept_results_are_copied(origin: AtWork, database: Database) -> None:
    """An agent may still read on in what it was given the beginning of."""
    row = {"session_id": origin.id, "reference": "r", "body": "long"}
    await database.run(
        "INSERT INTO result (session_id, reference, body) VALUES (%(session_id)s, %(reference)s, %(body)s)",
        row,
    )
    new = await fork(origin, 7)
    rows = await database.all("SELECT body FROM result WHERE session_id = %(id)s", {"id": new})
    assert rows == [{"body": "long"}]


async def test_an_edit_is_in_the_fork_only(origin: AtWork, database: Database) -> None:
    """In its journal, in the list of sessions, and in the event that says what was edited."""
    new = await fork(origin, 1, question="How?")
    first, last = await read_events(database, new)
    assert isinstance(first.payload, ev.SessionCreated)
    assert isinstance(last.payload, ev.SessionForked)
    assert (first.payload.question, last.payload.edits) == ("How?", {"question": "How?"})
    assert (await Sessions(database, "t").row(new)).question == "How?"
    assert (await Sessions(database, "t").row(origin.id)).question == "Why?"


async def test_a_fork_that_cannot_be_written_is_not_there_at_all(origin: AtWork, database: Database) -> None:
    """Whichever of its parts it is that fails."""
    state = await load_state(database, origin.id)
    prepared = await prepare(database, state, 9, {}, {})
    await database.run("ALTER TABLE transcript ADD CONSTRAINT full_up CHECK (scope = '') NOT VALID")
    with pytest.raises(StoreError):
        await store_fork(database, prepared)
    assert all(rows == [] for rows in rows_of(database.dsn, prepared.state.id).values())


async def test_a_span_names_the_event_that_opened_it(origin: AtWork, database: Database) -> None:
    """By its id or the beginning of it, if no other one begins alike."""
    for named, seq in ((SPAN, 6), ("abcdffffffffffff", 8)):
        await database.run(
            "INSERT INTO span (session_id, span_id, kind, name, seq, started_at, opened)"
            " VALUES (%(id)s, %(span)s, 'tool', 'execute_tool', %(seq)s, now(), '{}')",
            {"id": origin.id, "span": named, "seq": seq},
        )
    for given in (SPAN, SPAN[:5], SPAN[:5].upper()):
        assert len(await read_events(database, await fork(origin, given))) == 7
    with pytest.raises(BadInput, match=r"More than one span .* begins with 'abcd'; give more"):
        await fork(origin, "abcd")
    with pytest.raises(BadInput, match=r"no span that begins with 'beef'"):
        await fork(origin, "beef")


async def test_a_point_beyond_the_end_is_refused(origin: AtWork, database: Database) -> None:
    """With the numbers there are."""
    with pytest.raises(BadInput, match="has 9 events; give --at one of them, from 1 to 9"):
        await fork(origin, 10)
    assert len(await Sessions(database, "t").newest(10)) == 1


async def test_a_fork_of_a_fork_finds_its_conversations(origin: AtWork, database: Database) -> None:
    """Whether it is forked before or after the event that made it a fork."""
    first = await load_state(database, await fork(origin, 9))
    for at in (7, 10):
        prepared = await prepare(database, first, at, {}, {})
        await store_fork(database, prepared)
        second = await load_state(database, prepared.state.id)
        assert (second.root_id, second.forked and second.forked.origin) == (origin.id, first.id)
        claude = second.runs[origin.run.id].claude_session_id or ""
        assert claude not in (CLAUDE, first.runs[origin.run.id].claude_session_id)
        entries = await read_transcript(database, second.id, claude)
        assert entries
        assert {entry["sessionId"] for entry in entries} == {claude}
        assert json.dumps(entries).count(CLAUDE) == len(entries), "only in what was said"


async def test_a_lost_delegation_is_not_edited(origin: AtWork, database: Database) -> None:
    """Its call never reached the transcript, so that it will be asked for anew; a point it still is."""
    grant = task("helpless", {"answer": "Go."}).model_copy(update={"kind": "grant"})
    at = await origin.add(ev.DelegationRequested(tool_use_id="toolu_lost", call_id=None, tasks=(grant,)))
    with pytest.raises(BadInput, match="was lost and made again; edit the later one"):
        await fork(origin, at, **{"tasks.0.payload.answer": "Stop."})
    assert len(await Sessions(database, "t").newest(10)) == 1
    assert await fork(origin, at)
