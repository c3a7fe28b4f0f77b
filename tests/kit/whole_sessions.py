"""Sessions without an engine that have a row in every table, with values that are hard to carry."""

from __future__ import annotations

import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from harness import events as ev
from harness.corpus.collect import collect
from harness.corpus.corpus import Corpus
from harness.flow import Agent
from harness.packing import Packed
from harness.plan import plan
from harness.records import SessionStatus
from harness.store.database import Database
from harness.store.journal import KeptResponse
from harness.store.queries import queries
from harness.store.recordings import Recording
from harness.store.scores import add_score
from harness.store.tables import SESSION_TABLES
from harness.store.transcripts import TranscriptStore
from harness.store.versions import keep_versions
from tests.kit.journals import created, finished, requested, run_created, started, tool_requested
from tests.kit.scores import score_of
from tests.kit.script import text, tool_use
from tests.kit.sessions import new_journal
from tests.kit.transcripts import Transcript

FLOW = Agent(agent="analyst")
HARD = "NUL \x00, half a pair \ud83d, é, \\u0000 and \t a tab\n"
SEARCH = "mcp__corpus__search"

_RESULTS = queries("results")
_RUN_OUT = """
WITH rollouts AS (
    INSERT INTO rollout (id, kind, name, old_version, new_version, content, percent, status, bounds)
    VALUES (gen_random_uuid(), 'bundle', 'analyst', 'v1', 'v2', '{}', 10, 'aborted', '{}') RETURNING id
), arms AS (
    INSERT INTO rollout_session (rollout_id, session_id, arm) SELECT id, %(id)s, 'old' FROM rollouts
)
INSERT INTO reservation (id, session_id, token, tenant, day, model, tokens)
VALUES (gen_random_uuid(), %(id)s, 1, 't', current_date, 'm', 1)
"""
_COLUMNS = """
SELECT string_agg(quote_ident(attname) || '::text', ', ' ORDER BY attname)
  FROM pg_attribute
 WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attname <> all(%s)
"""


async def whole_session(
    database: Database,
    folder: Path,
    *,
    status: SessionStatus = "suspended",
    days: float = 40,
    notes: str = "Tides turn twice a day.",
    **given: Any,
) -> str:
    """An analyst that has searched once and was cut off at its second search, `days` ago; gives the id.

    It has a row in every table of sessions. `notes` is the text of its document; `given` are fields of its
    creation.
    """
    journal = await new_journal(database)
    file = folder / f"{uuid.uuid5(uuid.NAMESPACE_OID, notes)}.md"
    file.write_text(f"# Notes\n\n{notes}\n")
    sources = await Corpus(database).ingest(journal.session_id, "t", collect([str(file)]))
    await journal.append(created(FLOW, sources=sources, **given))
    (spec,) = plan(FLOW, journal.state).create
    await journal.append(run_created(spec), run_id=spec.id)
    run = journal.state.runs[spec.id]
    claude = str(uuid.uuid4())
    await journal.append(started(run, claude_session_id=claude), run_id=run.id)
    told = Transcript()
    told.prompt(f"Why? {HARD}")
    for number, tool_use_id in enumerate(("toolu_a", "toolu_b"), 1):
        call = str(uuid.uuid4())
        message = told.says(tool_use(SEARCH, {"query": HARD}, id=tool_use_id), text("On."))
        await journal.append(requested(call), run_id=run.id)
        await journal.append(
            finished(call, message_id=message),
            run_id=run.id,
            keep=KeptResponse(f"conversation {number}", call, "application/json", b'{"n": 1}'),
            record=Recording(number, 200, {"a": "b"}, b'{"q": 1}', {}, "application/json", b'{"r": 2}'),
        )
        await journal.append(tool_requested(tool_use_id, input={"query": HARD}), run_id=run.id)
    ended = ev.ToolFinished(tool_use_id="toolu_a", tool=SEARCH, sources=("S1",))
    await journal.append(ended, run_id=run.id)
    told.result("toolu_a")
    store = TranscriptStore(database, scope=journal.session_id, lease=journal.lease)
    await store.append({"project_key": "p", "session_id": claude}, told.entries)  # type: ignore[arg-type]
    kept = {"session_id": journal.session_id, "reference": "r1", "body": "A long result."}
    await database.run(_RESULTS["keep_result"], kept)
    await add_score(database, score_of(journal.session_id))
    packed = Packed.of({"analyst/AGENT.md": b"You analyse."})
    await keep_versions(database, "t", journal.session_id, {("analyst", "v1"): packed})
    await database.run(_RUN_OUT, {"id": journal.session_id})
    if status in ("suspended", "running"):
        await journal.append(ev.SessionSuspended(reason="It was stopped."), status=status)
    else:
        end = ev.SessionFinished.model_validate({"status": status, "report": "R", "problem": None})
        await journal.append(end, status=status)
    await journal.lease.release()
    await age(database, journal.session_id, days)
    return journal.session_id


async def age(database: Database, session_id: str, days: float) -> None:
    """Let the newest event of a session be so long ago."""
    sql = "UPDATE session SET updated_at = clock_timestamp() - %(age)s WHERE id = %(id)s"
    await database.run(sql, {"id": session_id, "age": timedelta(days=days)})


def rows_by_table(dsn: str, session_id: str, *, without: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Every row that a session uses, as text, by table; columns that are `without` are left out."""
    found: dict[str, list[str]] = {}
    with psycopg.connect(dsn) as connection:
        for table in SESSION_TABLES:
            ((columns,),) = connection.execute(_COLUMNS, (table.name, list(without))).fetchall()
            select = f"SELECT row({columns})::text FROM {table.name} WHERE {table.of_sessions} ORDER BY 1"
            found[table.name] = [row[0] for row in connection.execute(select.encode(), {"ids": [session_id]})]
    return found


def counts(dsn: str) -> dict[str, int]:
    """How many rows each table of sessions has."""
    with psycopg.connect(dsn) as connection:
        return {
            table.name: connection.execute(f"SELECT count(*) FROM {table.name}".encode()).fetchall()[0][0]
            for table in SESSION_TABLES
        }
