"""Migrations: in order, once, all or nothing, and never against the wrong schema."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.errors import MigrationRefused, StoreError, StoreUnavailable
from harness.store.database import Database
from harness.store.migrate import FOLDER, SchemaStatus, check, load, migrate, pending

FIRST = {"0001_ground.sql": "CREATE TABLE a (n int); INSERT INTO a VALUES (1); -- 100% plain\n"}
BOTH = {
    **FIRST,
    "0002_more.sql": "ALTER TABLE a ADD m text;"
    "CREATE FUNCTION f() RETURNS int AS $$ SELECT 7; $$ LANGUAGE sql;",
}


def folder_of(place: Path, files: Mapping[str, str]) -> Path:
    place.mkdir(exist_ok=True)
    for name, text in files.items():
        (place / name).write_text(text)
    return place


async def test_pending_migrations_are_applied_in_order_and_once(empty_dsn: str, tmp_path: Path) -> None:
    """Only what is missing is applied; a second call does nothing."""
    folder = folder_of(tmp_path / "m", FIRST)
    assert await check(empty_dsn, folder) == SchemaStatus((), ("0001_ground",))
    assert await migrate(empty_dsn, folder) == ["0001_ground"]
    assert await migrate(empty_dsn, folder) == []
    folder_of(folder, BOTH)
    assert await pending(empty_dsn, folder) == ["0002_more"]
    assert await migrate(empty_dsn, folder) == ["0002_more"]
    assert await check(empty_dsn, folder) == SchemaStatus(("0001_ground", "0002_more"), ())
    async with await Database.open(empty_dsn) as database:
        assert await database.all("SELECT n, m, f() FROM a") == [{"n": 1, "m": None, "f": 7}]
        rows = await database.all(
            "SELECT version, name, length(sha256) AS sha, applied_at FROM schema_migration"
        )
        assert [(row["version"], row["name"], row["sha"]) for row in rows] == [
            (1, "0001_ground", 64),
            (2, "0002_more", 64),
        ]
        assert all(row["applied_at"] for row in rows)


async def test_looking_changes_nothing(empty_dsn: str, tmp_path: Path) -> None:
    """Asking what is pending makes no table, in a database that has none."""
    await pending(empty_dsn, folder_of(tmp_path / "m", FIRST))
    async with await Database.open(empty_dsn) as database:
        assert await database.all("SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []


async def test_a_failing_migration_leaves_the_database_as_it_was(empty_dsn: str, tmp_path: Path) -> None:
    """The good ones before a bad one are rolled back with it."""
    folder = folder_of(tmp_path / "m", {**FIRST, "0002_bad.sql": "CREATE TABLE b (n int); SELECT nonsense;"})
    with pytest.raises(StoreError, match=r'SQLSTATE 42703.*"nonsense" does not exist'):
        await migrate(empty_dsn, folder)
    async with await Database.open(empty_dsn) as database:
        assert await database.all("SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []


async def test_an_edited_applied_migration_is_refused(empty_dsn: str, tmp_path: Path) -> None:
    """One changed character in an applied file is noticed by everyone who looks."""
    folder = folder_of(tmp_path / "m", FIRST)
    await migrate(empty_dsn, folder)
    folder_of(folder, {"0001_ground.sql": FIRST["0001_ground.sql"] + " "})
    for look in (migrate, pending, check):
        with pytest.raises(MigrationRefused, match="0001_ground is not the text that was applied"):
            await look(empty_dsn, folder)


async def test_an_old_server_is_refused(empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made in it; a schema that is up to date is left in peace."""
    monkeypatch.setattr("harness.store.migrate.OLDEST_SERVER", 999)
    with pytest.raises(MigrationRefused, match=r"is \d[^,]*, and 999 or newer is needed: upgrade"):
        await migrate(empty_dsn)
    assert (await check(empty_dsn)).applied == ()
    monkeypatch.undo()
    await migrate(empty_dsn)
    monkeypatch.setattr("harness.store.migrate.OLDEST_SERVER", 999)
    assert await migrate(empty_dsn) == []


async def test_a_database_newer_than_the_code_is_refused(empty_dsn: str, tmp_path: Path) -> None:
    """An older harness does not touch a schema it does not know."""
    await migrate(empty_dsn, folder_of(tmp_path / "new", BOTH))
    for look in (migrate, pending, check):
        with pytest.raises(MigrationRefused, match=r"has the migration 0002_more.*upgrade subagent-harness"):
            await look(empty_dsn, folder_of(tmp_path / "old", FIRST))


@pytest.mark.parametrize("name", ["0003_gap.sql", "0001_twice.sql", "2_short.sql", "0002-dash.sql"])
def test_a_badly_numbered_file_is_refused(tmp_path: Path, name: str) -> None:
    """A gap, a double number and an unreadable name all name the file and its remedy."""
    with pytest.raises(MigrationRefused, match=r"does not fit: rename it to"):
        load(folder_of(tmp_path / "m", {**FIRST, name: "SELECT 1"}))


MIGRATOR = """
import asyncio, sys
from pathlib import Path
from harness.store.migrate import migrate
sys.stdin.readline()
print(len(asyncio.run(migrate(sys.argv[1], Path(sys.argv[2])))))
"""


async def test_eight_migrators_at_once_apply_each_migration_once(empty_dsn: str, tmp_path: Path) -> None:
    """Eight processes start at the same moment: one applies everything, seven find it done."""
    files = {
        f"{n:04}_step.sql": f"CREATE TYPE t{n} AS ENUM ('x'); SELECT pg_sleep(0.05)" for n in range(1, 6)
    }
    folder = folder_of(tmp_path / "m", files)
    migrators = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", MIGRATOR, empty_dsn, str(folder)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        )
        for _ in range(8)
    ]
    try:
        said = await asyncio.gather(*(each.communicate(b"\n") for each in migrators))
    finally:
        for each in migrators:
            if each.returncode is None:
                each.kill()
                await each.wait()
    assert sorted(out.strip() for out, _ in said) == [b"0"] * 7 + [b"5"], said


SLEEPING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"


async def test_a_killed_migrator_leaves_no_lock(empty_dsn: str, tmp_path: Path) -> None:
    """Kill -9 in the middle: nothing of it remains and the next one goes on at once."""
    slow = {**FIRST, "0002_slow.sql": "CREATE TABLE b (n int); SELECT pg_sleep(600);"}
    folder = folder_of(tmp_path / "m", slow)
    migrator = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MIGRATOR, empty_dsn, str(folder)),
        stdin=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert migrator.stdin is not None
    migrator.stdin.write(b"\n")
    try:
        async with await Database.open(empty_dsn) as database, asyncio.timeout(20):
            while (backend := await database.one(SLEEPING)) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            migrator.kill()
            # A backend asleep does not notice that its client is gone.
            await database.run("SELECT pg_terminate_backend(%(pid)s, 5000)", backend)
    finally:
        if migrator.returncode is None:
            migrator.kill()
        await migrator.wait()
    folder_of(folder, {"0002_slow.sql": "CREATE TABLE b (n int);"})
    assert await migrate(empty_dsn, folder) == ["0001_ground", "0002_slow"]


async def test_the_shipped_migrations_apply_to_an_empty_database(empty_dsn: str) -> None:
    """The harness's own schema builds from nothing, and then nothing is pending."""
    names = [each.name for each in load(FOLDER)]
    assert await migrate(empty_dsn) == names
    assert await pending(empty_dsn) == []


async def test_a_dead_server_is_one_sentence() -> None:
    """No server: the error of opening a database, not one of migrating."""
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1/x cannot be used"):
        await migrate("postgresql://u:secret@127.0.0.1:1/x")
