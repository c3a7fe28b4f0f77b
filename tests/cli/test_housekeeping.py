"""`harness prune`, `export`, `import` and `db status`: what people and programs are told."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.store.database import Database
from tests.cli.processes import NO_MODEL, document, run_process
from tests.kit.processes import clean_env
from tests.kit.whole_sessions import age, counts, whole_session


async def sessions(database: Database, folder: Path) -> tuple[str, str, str]:
    """A session that ended long ago, one that ended now, and one that was stopped long ago."""
    old = await whole_session(database, folder, status="done", question="How do they sail?")
    young = await whole_session(database, folder, status="done", days=0)
    return old, young, await whole_session(database, folder, days=90)


async def left(database: Database) -> set[str]:
    """The sessions there are."""
    return {row["id"] for row in await database.all("SELECT id::text FROM session")}


async def test_a_dry_run_shows_what_would_go(database: Database, dsn: str, tmp_path: Path) -> None:
    """The session, its state, its question and about how much room it takes; nothing is changed."""
    old, _, stopped = await sessions(database, tmp_path)
    before = counts(dsn)
    args = ("prune", "--older-than", "30d", "--tenant", "t", "--dry-run")
    shown = await asyncio.to_thread(run_process, *args, dsn=dsn)
    assert shown.returncode == 0, shown.stderr
    head, row, told = shown.stdout.splitlines()
    assert head.split() == ["session", "state", "last", "event", "question"]
    assert row.split()[:2] == [old[:8], "done"]
    assert "1 session would be deleted with all that hangs on them: about " in told
    found = await document(*args, "--status", "suspended", dsn=dsn)
    assert [each["session_id"] for each in found["sessions"]] == [stopped]
    assert (found["dry_run"], found["deleted"]) == (True, None)
    assert found["freed_bytes"] > 1000
    assert counts(dsn) == before


async def test_prune_deletes_and_says_what(database: Database, dsn: str, tmp_path: Path) -> None:
    """Sessions of this tenant that ended long ago, and what they alone used."""
    old, young, stopped = await sessions(database, tmp_path)
    args = ("prune", "--older-than", "4w", "--yes")
    nobody = await asyncio.to_thread(run_process, *args, dsn=dsn)
    assert nobody.stdout.startswith("Deleted: 0 sessions,"), "another tenant's are not seen"
    told = await asyncio.to_thread(run_process, *args, "--tenant", "t", dsn=dsn)
    assert told.returncode == 0, told.stderr
    assert told.stdout == ("Deleted: 1 session, 0 unused documents, 0 sent spans, 0 outdated tool answers.\n")
    assert await left(database) == {young, stopped}
    assert old not in await left(database)


async def test_prune_without_options_does_as_the_settings_say(
    database: Database, dsn: str, tmp_path: Path
) -> None:
    """The project's file names the age."""
    old, young, stopped = await sessions(database, tmp_path)
    (tmp_path / "harness.toml").write_text('tenant = "t"\n[housekeeping]\nkeep_days = 30\n')
    told = await asyncio.to_thread(run_process, "prune", "--yes", "--json", dsn=dsn, cwd=tmp_path)
    found = json.loads(told.stdout)
    assert [each["session_id"] for each in found["sessions"]] == [old]
    assert found["deleted"]["sessions"] == 1
    assert await left(database) == {young, stopped}


@pytest.mark.parametrize(("said", "goes"), [("n", False), ("y", True), ("", False)])
async def test_a_person_is_shown_and_asked(
    database: Database, dsn: str, tmp_path: Path, said: str, goes: bool
) -> None:
    """Only a clear yes deletes."""
    old, _, _ = await sessions(database, tmp_path)
    shown = await asyncio.to_thread(_at_terminal, dsn, tmp_path, said)
    assert old[:8] in shown
    assert "Delete them for good? [y/N]" in shown
    assert ("Nothing was deleted." in shown) != goes
    assert (old not in await left(database)) == goes


async def test_a_refusal_is_one_sentence(database: Database, dsn: str, tmp_path: Path) -> None:
    """When a kept session would be harmed, a person reads which one, and how to look at it."""
    await sessions(database, tmp_path)
    await database.run(
        "CREATE FUNCTION slip() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN DELETE FROM result; RETURN OLD; END $$"
    )
    await database.run("CREATE TRIGGER slip BEFORE DELETE ON event EXECUTE FUNCTION slip()")
    before = counts(dsn)
    args = ("prune", "--older-than", "30d", "--yes", "--tenant", "t")
    told = await asyncio.to_thread(run_process, *args, dsn=dsn)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith("Error: Pruning would harm session ")
    assert "harness doctor --session" in told.stderr
    assert told.stderr.count("\n") == 1
    assert counts(dsn) == before


async def test_db_status_shows_the_storage(database: Database, dsn: str, tmp_path: Path) -> None:
    """Bytes by table, sessions by status, the oldest, and what pruning would free."""
    empty = await document("db", "status", dsn=dsn)
    assert (empty["storage"]["sessions"], empty["storage"]["oldest"]) == ([], None)
    await sessions(database, tmp_path)
    found = (await document("db", "status", "--tenant", "t", dsn=dsn))["storage"]
    tables = {each["table"]: each["bytes"] for each in found["tables"]}
    assert {"event", "transcript", "span", "recording", "passage"} <= tables.keys()
    assert min(tables["event"], tables["transcript"]) >= 8192
    assert {each["status"]: each["sessions"] for each in found["sessions"]} == {"done": 2, "suspended": 1}
    assert found["prunable"] == 1
    assert 0 < found["freed_bytes"] < sum(tables.values()) / 2
    told = await asyncio.to_thread(run_process, "db", "status", "--tenant", "t", dsn=dsn)
    assert "Sessions: 2 done, 1 suspended; the oldest is of " in told.stdout
    assert "Prunable: 1 session that ended more than 30 days ago, about " in told.stdout


async def test_a_session_goes_into_a_file_and_comes_back(
    database: Database, dsn: str, tmp_path: Path
) -> None:
    """Exported, pruned and imported again, it is told as before."""
    old, young, stopped = await sessions(database, tmp_path)
    common = ("--tenant", "t", "--project", str(tmp_path))
    before = await document("show", old, *common, dsn=dsn)
    told = await asyncio.to_thread(run_process, "export", old[:8], *common, dsn=dsn, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(f"Session {old} is in {old[:8]}.session.gz: ")
    await document("prune", "--older-than", "30d", "--yes", "--tenant", "t", dsn=dsn)
    assert await left(database) == {young, stopped}
    file = str(tmp_path / f"{old[:8]}.session.gz")
    told = await asyncio.to_thread(run_process, "import", file, *common, dsn=dsn)
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(f"Session {old} is here: ")
    assert await document("show", old, *common, dsn=dsn) == before
    await age(database, old, 0)
    assert (await document("doctor", "--session", stopped, *common, dsn=dsn))["ok"]


def _at_terminal(dsn: str, home: Path, said: str) -> str:
    """Run prune at a terminal, where a person says this."""
    ours, theirs = os.openpty()
    env = clean_env(home, NO_MODEL, HARNESS_DSN=dsn, HARNESS_HOME=str(home / "data"), HARNESS_TENANT="t")
    command = [sys.executable, "-m", "harness", "prune", "--older-than", "30d"]
    process = subprocess.Popen(command, cwd=home, env=env, stdin=theirs, stdout=subprocess.PIPE, text=True)
    try:
        os.write(ours, f"{said}\n".encode())
        shown, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 0, shown
    return shown
