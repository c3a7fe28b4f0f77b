"""Sessions cut off after long work: a real run on the real CLI, with one turn repeated under fresh ids.

So events and transcript entries are what the CLI and the harness write themselves. They go into the store by
its own appends, under a lease that is then given back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import cast

from claude_agent_sdk import SessionKey, SessionStoreEntry

from benchmarks.places import output_of, session_in, told
from harness import events as ev
from harness.corpus.collect import collect
from harness.corpus.corpus import Corpus
from harness.flow import Agent
from harness.plan import plan
from harness.records import Limits
from harness.settings import Settings
from harness.store.database import Database
from harness.store.journal import Journal, read_events
from harness.store.transcripts import Entry, TranscriptStore, read_transcript
from tests.kit.processes import clean_env
from tests.kit.scripted_api import scripted_process

AGENT = "analyst"
NOTES = "notes.md"
BATCH = 500
"""Entries stored at once."""

_ID = re.compile(r"toolu_\w+|msg_\w+|[0-9a-f]{64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_LAST = "select max(seq) as last from transcript where scope = %(id)s"
_REWIND = (
    "delete from event where session_id = %(id)s and seq > %(head)s",
    "delete from transcript where scope = %(id)s::text and seq > %(last)s",
    "delete from kept_response where session_id = %(id)s",
    "update session set head = %(head)s, status = 'running', holder = null, lease_until = '-infinity'"
    " where id = %(id)s",
)


@dataclass(frozen=True)
class Pattern:
    """A real run: what it began with, the first turn included, and one later turn, each as JSON."""

    session_id: str
    run_id: str
    claude_session_id: str
    beginning: str
    turn: str


@dataclass(frozen=True)
class LongSession:
    """A session that was cut off. `head` is its newest event's number, `last` that of its newest entry."""

    id: str
    claude_session_id: str
    turns: int
    entries: int
    head: int
    last: int

    async def rewind(self, database: Database) -> None:
        """Take back what a resume has added."""
        async with database.transaction() as connection:
            for statement in _REWIND:
                await connection.run(statement, {"id": self.id, "head": self.head, "last": self.last})


def real_run(settings: Settings) -> str:
    """Run a question to its end on the real CLI, in the settings' store, and give the session's id."""
    home = settings.home
    (home / NOTES).write_text("# Notes\n\n" + "There is a tide, and there are winds. " * 20)
    with scripted_process("benchmarks.played:searching", home / "upstream" / "calls.jsonl") as api:
        env = clean_env(home / "first", api.base_url, **told(settings))
        command = ["run", "What of the tide?", "--flow", "single", "--sources", str(home / NOTES)]
        printed = output_of("-m", "harness", *command, "--json", env=env, timeout_s=120)
    return str(json.loads(printed.splitlines()[-1])["session_id"])


async def pattern_of(database: Database, session_id: str) -> Pattern:
    """Take the second turn of three out of a real run, and what was before it."""
    events = await read_events(database, session_id)
    own = [event for event in events if event.agent_run_id]
    started = next(event.payload for event in own if isinstance(event.payload, ev.AgentRunStarted))
    calls = [n for n, event in enumerate(own) if isinstance(event.payload, ev.ModelRequested)]
    entries = await read_transcript(database, session_id, started.claude_session_id)
    answers = [n for n, entry in enumerate(entries) if _opens_an_answer(entries, n)]
    return Pattern(
        session_id=session_id,
        run_id=str(own[0].agent_run_id),
        claude_session_id=started.claude_session_id,
        beginning=_written(own[1 : calls[1]], entries[: answers[1]]),
        turn=_written(
            own[calls[1] : calls[2]], [e for e in entries[answers[1] : answers[2]] if "message" in e]
        ),
    )


async def cut_off(database: Database, home: Path, pattern: Pattern, entries: int) -> LongSession:
    """Make a session with about so many entries, at least the pattern's beginning."""
    random = Random(entries)
    async with session_in(database, 0) as (journal, _):
        await Corpus(database).ingest(journal.session_id, "default", collect([home / NOTES]))
        (spec,) = plan(Agent(agent=AGENT), journal.state).create
        claude_session_id = _like(random, pattern.claude_session_id)
        names = {pattern.session_id: journal.session_id, pattern.run_id: spec.id}
        names[pattern.claude_session_id] = claude_session_id
        created = ev.AgentRunCreated(
            agent=spec.agent,
            bundle_version="v1",
            parent_id=None,
            path=spec.path,
            task=spec.task,
            limits=Limits(),
        )
        await journal.append(created, run_id=spec.id)
        known = set(_ID.findall(pattern.beginning))
        payloads, stored = _read(_renamed(pattern.beginning, names))
        turns = 1
        while len(stored) < entries:
            ids = {old: _like(random, old) for old in set(_ID.findall(pattern.turn)) - known}
            more, said = _read(_renamed(pattern.turn, names | ids))
            said[0]["parentUuid"] = next(entry["uuid"] for entry in reversed(stored) if entry.get("uuid"))
            payloads += more
            stored += said
            turns += 1
        for payload in payloads:
            await journal.append(payload, run_id=spec.id)
        last = await _store(journal, claude_session_id, stored)
        return LongSession(
            journal.session_id, claude_session_id, turns, len(stored), journal.state.head, last
        )


async def _store(journal: Journal, claude_session_id: str, entries: Sequence[Entry]) -> int:
    """Append a transcript and give the number of its newest entry."""
    store = TranscriptStore(journal.database, scope=journal.session_id, lease=journal.lease)
    key: SessionKey = {"project_key": journal.session_id, "session_id": claude_session_id}
    for start in range(0, len(entries), BATCH):
        await store.append(key, cast(list[SessionStoreEntry], entries[start : start + BATCH]))
    row = await journal.database.one(_LAST, {"id": journal.session_id})
    assert row is not None, "an aggregate has a row"
    return int(row["last"])


def _opens_an_answer(entries: Sequence[Entry], n: int) -> bool:
    """Whether an entry is the first of a message of the model."""
    if entries[n]["type"] != "assistant":
        return False
    message_id = entries[n]["message"]["id"]
    return not any(e["type"] == "assistant" and e["message"]["id"] == message_id for e in entries[:n])


def _written(events: Sequence[ev.Event], entries: Sequence[Entry]) -> str:
    payloads = [[type(e.payload).VERSION, e.payload.model_dump(mode="json")] for e in events]
    return json.dumps([payloads, entries])


def _read(written: str) -> tuple[list[ev.AnyPayload], list[Entry]]:
    payloads, entries = json.loads(written)
    return [ev.read_payload(given["kind"], version, given) for version, given in payloads], entries


def _renamed(written: str, names: dict[str, str]) -> str:
    return _ID.sub(lambda found: names.get(found[0], found[0]), written)


def _like(random: Random, old: str) -> str:
    """An id of the same form: other digits, the same letters and dashes."""
    return re.sub("[0-9a-f]", lambda _: random.choice("0123456789abcdef"), old)
