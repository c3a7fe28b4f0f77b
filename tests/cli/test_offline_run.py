"""What `harness run` and `harness resume` say while a session works: to a program, a pipe and a terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.progress import AgentRunChanged, AgentRunSummary, Result
from harness.records import Usage
from tests.cli.processes import NO_MODEL
from tests.e2e.running import Desk
from tests.kit.processes import clean_env, kill_tree, until_sync

QUESTION = "When do tides turn? Which stars are fixed?"


@pytest.fixture
def desk(home: Path, dsn: str) -> Iterator[Desk]:
    """A place to run commands at, with a document to quote and no model to reach."""
    (home / "notes.md").write_text(
        "# Tides\n\nTides turn twice a day.\n\n# Stars\n\nThe pole star is the only fixed star.\n"
    )
    table = Desk(home, NO_MODEL, dsn)
    yield table
    table.close()


def test_a_program_gets_one_object_a_line_with_exactly_these_keys(desk: Desk) -> None:
    """From session.started to session.finished, with every change of every agent run between them."""
    report = desk.home / "report.md"
    command = desk.start("run", QUESTION, "--offline", "--sources", "notes.md", "--out", "report.md")
    assert command.wait() == 0, command.errors
    first, *changes, last = command.lines
    session_id = first["session_id"]
    assert first == {"event": "session.started", "session_id": session_id}
    assert {line["event"] for line in changes} == {"agent_run"}
    assert all(line.keys() == AgentRunChanged.model_fields.keys() for line in changes)
    assert last.keys() == Result.model_fields.keys()
    assert (last["event"], last["session_id"], last["status"]) == ("session.finished", session_id, "done")
    assert last["usage"].keys() == Usage.model_fields.keys()
    assert all(run.keys() == AgentRunSummary.model_fields.keys() for run in last["agent_runs"])
    for run in last["agent_runs"]:
        states = [line["status"] for line in changes if line["id"] == run["id"]]
        assert states[:2] == ["ready", "running"]
        assert states[-1] == run["status"] == "done"
    assert last["citations"]["failed"] == []
    assert report.read_text() == last["report"]
    assert "".join(command.errors).strip() == "The report is in report.md."
    assert {path.name for path in desk.home.iterdir() if "report" in path.name} == {"report.md"}

    again = desk.start("resume", session_id[:8])
    assert again.wait() == 0
    assert again.lines == [{"event": "session.resumed", "session_id": session_id}, last]


def test_a_second_signal_does_not_undo_a_clean_stop(desk: Desk) -> None:
    """SIGTERM and then an impatient Ctrl-C: suspended, exit 130, the resume command, and it can go on."""
    command = desk.start("run", QUESTION, "--offline", "--sources", "notes.md")
    until_sync(lambda: any(line.get("status") == "running" for line in command.lines), "an agent to work")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGINT):
        os.kill(command.process.pid, number)
    assert command.wait() == 130
    assert command.lines[-1]["event"] == "session.finished"
    assert command.lines[-1]["status"] == "suspended"
    assert "Traceback" not in "".join(command.errors)
    assert f"harness resume {command.session_id}" in "".join(command.errors)
    assert command.session_id is not None
    code, finished = desk.run("resume", command.session_id)
    assert (code, finished["status"]) == (0, "done")


def test_a_reader_that_goes_away_suspends_the_session(desk: Desk) -> None:
    """With nobody left to read, the work stops at its last checkpoint and says how to go on."""
    with _started(desk, "run", QUESTION, "--offline", "--sources", "notes.md", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "session.started" in process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read()
    assert process.returncode == 1
    assert "Traceback" not in told
    assert "harness resume" in told
    code, finished = desk.run("resume", "--last")
    assert (code, finished["status"]) == (0, "done")


def test_a_pipe_gets_the_report_alone_on_stdout(desk: Desk) -> None:
    """Progress goes to stderr as plain lines: the session, each change, and how it ended."""
    with _started(desk, "run", QUESTION, "--offline", "--flow", "single", "--sources", "notes.md") as process:
        report, told = process.communicate(timeout=90)
    assert process.returncode == 0, told
    assert report.startswith("# ")
    assert "no language model" in report
    assert "\x1b" not in told
    lines = told.splitlines()
    assert lines[0].startswith("Session ")
    assert "no language model is used" in lines[1]
    assert "harness resume" in lines[2]
    assert [line.split()[1:3] for line in lines if " analyst " in line][:2] == [
        ["analyst", "ready"],
        ["analyst", "running"],
    ]
    assert any(line.startswith("Done after") for line in lines)
    assert any(line.startswith("Citations:") for line in lines)


def test_a_terminal_gets_a_tree_and_stdout_keeps_the_report(desk: Desk) -> None:
    """The tree is drawn on stderr and stays; the report can still be piped away."""
    ours, theirs = pty.openpty()
    drawn: list[bytes] = []
    reader = threading.Thread(target=_drain, args=(ours, drawn))
    reader.start()
    with _started(
        desk, "run", QUESTION, "--offline", "--sources", "notes.md", stderr=theirs, TERM="xterm", COLUMNS="80"
    ) as process:
        os.close(theirs)
        report, _ = process.communicate(timeout=90)
    reader.join(10)
    os.close(ours)
    screen = b"".join(drawn).decode()
    assert process.returncode == 0, screen
    assert report.startswith("# ")
    assert "\x1b" not in report
    assert "Traceback" not in screen
    last = screen.rsplit("last tool", 1)[1]
    assert last.index("lead") < last.index("├ ") < last.index("Done after")
    assert "running" not in last
    assert screen.count("\x1b[?25l") == screen.count("\x1b[?25h"), "the cursor is given back"


def _drain(terminal: int, into: list[bytes]) -> None:
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # a terminal whose other side is closed
            return
        if not part:
            return
        into.append(part)


@contextmanager
def _started(
    desk: Desk, *args: str, stderr: int = subprocess.PIPE, **extra: str
) -> Iterator[subprocess.Popen[str]]:
    env = clean_env(desk.home, NO_MODEL, HARNESS_HOME=str(desk.home / "harness"), **extra)
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", *args],
        cwd=desk.home,
        env=env | {"HARNESS_DSN": desk.dsn or ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    try:
        yield process
        process.wait(90)
    finally:
        kill_tree(process.pid)
        process.wait()
