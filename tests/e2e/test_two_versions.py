"""Workers of two versions on one database, as while an upgrade is under way: the older harms nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from harness.store.migrate import FOLDER, load, migrate
from tests.e2e.running import Command, Desk
from tests.kit.processes import until_sync
from tests.kit.scripted_api import scripted_process

ASK = ("submit", "How?", "--flow", "single", "--sources", "notes.md")

WIDER = """
alter table session add column region text not null default 'here';
alter table event add column shard integer;
create table region (name text primary key);
create index session_region on session (region);
"""
"""What a migration may do beside workers that do not know it: add, with a default or null."""

UNKNOWN = """
with own as (update session set head = head + 1 where id = %(id)s returning id, head, token)
insert into event (session_id, seq, id, kind, version, token, payload)
select id, head, gen_random_uuid(), 'session.blessed', 1, token, '{"by": "a newer version"}' from own
"""


@pytest.fixture
def desk(home: Path, dsn: str) -> Iterator[Desk]:
    """A place to run commands at, with a model whose stages can be held by files in it."""
    (home / "notes.md").write_text("# Notes\n\nTides, winds and stars.\n")
    played = scripted_process("tests.e2e.scripts:alone", home / "calls.jsonl", given={"holds": str(home)})
    with played as api, closing(Desk(home, api.base_url, dsn)) as table:
        yield table


def left(worker: Command, session_id: str) -> list[str]:
    """How a worker has left a session, each time."""
    mine = [line for line in worker.lines if line["session_id"] == session_id]
    return [line["status"] for line in mine if line["event"] == "session.left"]


def row(dsn: str, session_id: str) -> dict[str, Any]:
    """What the session's row says."""
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        # As JSON, because a lease that was given back ended before any time Python knows.
        stored = "select to_json(session) as row from session where id = %s"
        found = connection.execute(stored, [session_id]).fetchone()
    assert found is not None
    return dict(found["row"])


def requested(dsn: str, session_id: str) -> int:
    """How many model calls of a session have been committed."""
    counted = "select count(*) from event where session_id = %s and kind = 'model.requested'"
    with psycopg.connect(dsn) as connection:
        (count,) = connection.execute(counted, [session_id]).fetchone() or (0,)
    return int(count)


async def test_a_worker_goes_on_while_a_newer_version_migrates(desk: Desk, dsn: str, tmp_path: Path) -> None:
    """What it has in hand and what it takes up afterwards ends well; only its next start is refused."""
    (desk.home / "step-1.hold").write_text("0")
    first, second = (desk.run(*ASK)[1]["session_id"] for _ in range(2))
    worker = desk.start("worker", "--concurrency", "1")
    until_sync(lambda: requested(dsn, first) == 2, "a call on the wire", timeout_s=60)
    newer = tmp_path / "migrations"
    shutil.copytree(FOLDER, newer)
    name = f"{len(load(FOLDER)) + 1:04}_wider"
    (newer / f"{name}.sql").write_text(WIDER)
    assert await migrate(dsn, newer) == [name]
    (desk.home / "step-1.go").touch()
    until_sync(lambda: left(worker, second) == ["done"], "the second session's end", timeout_s=60)
    assert left(worker, first) == ["done"]
    assert row(dsn, second)["region"] == "here"

    late = desk.start("worker")
    assert late.wait() == 2
    assert f"has the migration {name}" in late.errors[0]
    assert "upgrade subagent-harness" in late.errors[0]


def test_a_session_of_a_newer_version_is_left_alone(desk: Desk, dsn: str) -> None:
    """An older worker drops it once, and it costs no try; one that can read it goes on with it."""
    newer, plain = (desk.run(*ASK)[1]["session_id"] for _ in range(2))
    with psycopg.connect(dsn) as connection:
        connection.execute(UNKNOWN, {"id": newer})
    before = row(dsn, newer)
    older = desk.start("worker", "--concurrency", "1", "--until-empty")
    assert older.wait() == 0, "what it cannot read is not its work"
    assert (left(older, newer), left(older, plain)) == (["dropped"], ["done"])
    (why,) = {line["problem"] for line in older.lines if line["status"] == "dropped"}
    assert "session.blessed" in why
    assert "use the version that wrote it" in why
    after = row(dsn, newer)
    # A claim takes a new token, so that whoever had it before writes nothing, and is a sign of life.
    assert after == before | {name: after[name] for name in ("token", "seen_at")}

    # This code becomes one that can read it.
    with psycopg.connect(dsn) as connection:
        connection.execute("delete from event where kind = 'session.blessed'")
    reader = desk.start("worker", "--until-empty")
    assert reader.wait() == 0
    assert left(reader, newer) == ["done"]
