"""A dump and an export, taken while a session is at work, go on elsewhere to the same report."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.store.binaries import find_binaries
from harness.store.embedded import EmbeddedServer
from tests.e2e.running import Command, Desk
from tests.e2e.scripts import REPORT, stage_of
from tests.kit.campaign import cases
from tests.kit.databases import fresh_database
from tests.kit.processes import until_sync
from tests.kit.scripted_api import ScriptedProcess, scripted_process

SIZE = 2
"""The researchers of a round."""

CALLS = 3 + 2 * 2 * SIZE
"""The calls of an undisturbed run: three of the lead, two of each researcher."""

STAGES = {"answer-winds": SIZE - 1, "lead-1": SIZE}
"""Where the session is held, with how many agent runs done: a subagent on the wire, or the lead itself."""


@pytest.fixture
def api(home: Path, holds: Path) -> Iterator[ScriptedProcess]:
    """An expedition of two rounds, with two researchers in each."""
    given = {"holds": str(holds), "size": SIZE}
    with scripted_process("tests.e2e.scripts:expedition", home / "calls.jsonl", given=given) as played:
        yield played


@pytest.fixture
def elsewhere(postgres: EmbeddedServer) -> Iterator[str]:
    """The DSN of a second database, with nothing in it."""
    with fresh_database(postgres.dsn, "template0") as dsn:
        yield dsn


def _program(name: str) -> Path:
    """A program of the server's own distribution."""
    return find_binaries(Path("nowhere")).folder / name


def _held(desk: Desk, api: ScriptedProcess, holds: Path, stage: str) -> Command:
    """A session at work, of which one call waits for its answer."""
    (holds / f"{stage}.hold").touch()
    command = desk.start("run", "How do they navigate?", "--sources", "notes.md", "--record")
    until_sync(lambda: _stands(command, api, stage), f"only {stage} to be at work", timeout_s=60)
    return command


def _stands(command: Command, api: ScriptedProcess, stage: str) -> bool:
    """Whether nothing but the held call is under way, so that nothing comes after a backup."""
    waiting = [call.request for call in api.calls().messages() if call.outcome == "open"]
    done = [line for line in command.lines if line.get("event") == "agent_run" and line["status"] == "done"]
    return len(done) == STAGES[stage] and [stage_of(request) for request in waiting] == [stage]


def _goes_on(desk: Desk, api: ScriptedProcess, holds: Path, dsn: str, session_id: str, stage: str) -> None:
    """Resume at the other database: the report is the same, and only the call on the wire is made again."""
    (holds / f"{stage}.hold").unlink()
    (holds / f"{stage}.go").touch()
    other = Desk(desk.home, desk.base_url, dsn, desk.started)
    code, finished = other.run("resume", session_id)
    assert (code, finished["status"], finished["report"]) == (0, "done", REPORT)
    assert len(api.calls().messages()) <= CALLS + 1
    assert other.run("doctor", "--session", session_id)[0] == 0
    (row,) = desk.run("sessions")[1]["sessions"]
    assert row["status"] == "running", "where it comes from it stands as it was killed"


@pytest.mark.parametrize("stage", cases(list(STAGES), {"answer-winds"}))
def test_a_dump_of_a_session_at_work_goes_on_elsewhere(
    desk: Desk, api: ScriptedProcess, holds: Path, home: Path, elsewhere: str, stage: str
) -> None:
    """pg_dump needs nobody to stop; what it took is restored into an empty database, and resumed there."""
    command = _held(desk, api, holds, stage)
    dump = home / "backup.dump"
    assert desk.dsn is not None
    subprocess.run([_program("pg_dump"), "-Fc", "-f", dump, desk.dsn], check=True, env={}, timeout=60)
    assert command.process.poll() is None
    command.kill(clis_too=True)
    assert command.session_id is not None
    subprocess.run([_program("pg_restore"), "--no-owner", "-e", "-d", elsewhere, dump], check=True, env={})
    _goes_on(desk, api, holds, elsewhere, command.session_id, stage)


@pytest.mark.parametrize("stage", cases(list(STAGES), {"lead-1"}))
def test_an_export_of_a_session_at_work_goes_on_elsewhere(
    desk: Desk, api: ScriptedProcess, holds: Path, elsewhere: str, stage: str
) -> None:
    """One file into an empty database: shown, resumed, forked and, as it was recorded, replayed there."""
    command = _held(desk, api, holds, stage)
    session_id = command.session_id
    assert session_id is not None
    code, exported = desk.run("export", session_id, "--out", "it.gz")
    assert (code, exported["at_work"]) == (0, True)
    assert command.process.poll() is None
    command.kill(clis_too=True)
    other = Desk(desk.home, desk.base_url, elsewhere, desk.started)
    code, imported = other.run("import", "it.gz")
    assert (code, imported["session_id"], imported["events"]) == (0, session_id, exported["events"])
    _goes_on(desk, api, holds, elsewhere, session_id, stage)
    code, forked = other.run("resume", session_id, "--at", str(exported["events"]))
    assert (code, forked["report"]) == (0, REPORT)
    code, replayed = other.run("replay", session_id)
    assert (code, replayed["same"], replayed["report"]) == (0, True, REPORT)


def test_old_sessions_are_pruned_beside_one_at_work(
    desk: Desk, api: ScriptedProcess, holds: Path, home: Path
) -> None:
    """It has the same documents and is held meanwhile; killed then, it goes on as if nothing had been."""
    code, done = desk.run("run", "How did they navigate?", "--sources", "notes.md")
    assert code == 0
    command = _held(desk, api, holds, "answer-winds")
    session_id = command.session_id
    assert session_id is not None
    code, told = desk.run("prune", "--older-than", "0d", "--yes", "--status", "done", "--status", "running")
    assert (code, [each["session_id"] for each in told["sessions"]]) == (0, [done["session_id"]])
    command.kill(clis_too=True)
    (holds / "answer-winds.hold").unlink()
    (holds / "answer-winds.go").touch()
    code, finished = desk.run("resume", session_id)
    assert (code, finished["report"]) == (0, REPORT)
    assert [row["session_id"] for row in desk.run("sessions")[1]["sessions"]] == [session_id]
    code, told = desk.run("prune", "--older-than", "0d", "--yes")
    assert (code, told["deleted"]["sessions"], told["deleted"]["documents"]) == (0, 1, 1)
    assert list((home / "harness" / "sessions").iterdir()) == []
