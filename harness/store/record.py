"""A session's whole record: its journal, the fold of it, and what is missing beside its transcripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.audit import Gap, audit
from harness.events import Event
from harness.state import SessionState, fold
from harness.store.database import Connection, Database
from harness.store.journal import read_events
from harness.store.transcripts import Entry, read_transcript


@dataclass(frozen=True)
class SessionRecord:
    """What is stored of a session, transcripts by Claude session; `gaps` is empty when its parts agree."""

    journal: list[Event]
    state: SessionState
    transcripts: Mapping[str, list[Entry]]
    gaps: list[Gap]


async def read_record(database: Database | Connection, session_id: str) -> SessionRecord:
    """Read a session's journal and hold it against its transcripts."""
    journal = await read_events(database, session_id)
    state = fold(session_id, journal)
    ids = {run.claude_session_id for run in state.runs.values() if run.claude_session_id}
    transcripts = {each: await read_transcript(database, session_id, each) for each in ids}
    return SessionRecord(journal, state, transcripts, audit(journal, transcripts))
