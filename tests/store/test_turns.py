"""Sessions that were at work when a turn became one span: they go on, and end with their turn."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness import events as ev
from harness.store.database import Database, Json
from harness.store.journal import Journal, load_state
from harness.store.migrate import FOLDER, load, migrate
from harness.store.spans import read_ended
from tests.kit.journals import created
from tests.kit.sessions import lease_on, new_journal, run_at_work

_BEFORE = 15
"""The newest migration without turns."""

_OLD = """
insert into span (session_id, span_id, kind, name, seq, started_at, ended_at, status, opened)
values (%(id)s, %(kind)s, %(kind)s, %(kind)s, %(seq)s, now(), now(), 'ok', %(opened)s)
"""


@pytest.mark.parametrize("asked", [False, True])
async def test_a_session_at_work_gets_its_turn(empty_dsn: str, tmp_path: Path, asked: bool) -> None:
    """The span that its next process will end is there, with the question; the old ones stay and are read."""
    old = tmp_path / "migrations"
    old.mkdir()
    for migration in load(FOLDER):
        if migration.version <= _BEFORE:
            shutil.copy(FOLDER / f"{migration.name}.sql", old)
    await migrate(empty_dsn, old)
    async with await Database.open(empty_dsn) as database:
        journal = await new_journal(database)
        session_id = journal.session_id
        await run_at_work(journal)
        spans = [("session", 1, "Why?")]
        if asked:
            await journal.append(ev.SessionFinished(status="done", report="Thus.", problem=None))
            await journal.append(ev.SessionResumed(token=1, host="h", pid=1), status="running")
            await journal.append(ev.SessionAsked(question="And?"))
            spans += [("result", 4, ""), ("question", 6, "And?")]
        await database.run("delete from span where session_id = %(id)s", {"id": session_id})
        for kind, seq, text in spans:
            row = {"id": session_id, "kind": kind, "seq": seq, "opened": Json({"input": {"text": text}})}
            await database.run(_OLD, row)
    await migrate(empty_dsn)
    async with await Database.open(empty_dsn) as database:
        state = await load_state(database, session_id)
        journal = Journal(database, lease_on(database, session_id), state)
        await journal.append(ev.SessionFinished(status="done", report="So.", problem=None))
        ended = [each.span for each in await read_ended(database, session_id)]
        assert {span.kind for span in ended} == {"turn"}
        (turn,) = (span for span in ended if span.attributes.get("output"))
        assert turn.parent_span_id is None
        assert turn.attributes["input"]["text"] == ("And?" if asked else "Why?")
        assert turn.attributes["output"]["text"] == "So."
        assert turn.name == f"invoke_workflow {created().flow_name}"
