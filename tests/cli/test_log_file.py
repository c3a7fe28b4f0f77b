"""The log as JSON lines: what a line says, whose file it is in, and that no secret is in it."""

from __future__ import annotations

import json
import logging
import shutil
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness import events as ev
from harness.cli.log_file import LogFile
from harness.event_log import log_event
from harness.log_fields import SESSION_ID, about
from harness.plan import plan
from harness.records import Outcome, Usage
from harness.redaction import Redactor
from tests.cli.processes import ROOT, run_process
from tests.kit.journals import (
    RESEARCH,
    Book,
    created,
    finished,
    requested,
    run_created,
    started,
    tool_requested,
)

KNOWN = "Quiet-Heron-41x77"
KEY = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"


def record(message: str = "Said.", at: datetime | None = None, **given: Any) -> logging.LogRecord:
    """A record of a logger of the harness."""
    said = {"name": "harness.x", "levelno": 30, "levelname": "WARNING", "msg": message}
    made = logging.makeLogRecord(said | given)
    if at is not None:
        made.created = at.timestamp()
    return made


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.iterdir()) for line in path.read_text().splitlines()]


@pytest.fixture
def log(tmp_path: Path) -> LogFile:
    """A log in a folder that is not there yet."""
    return LogFile(tmp_path / "home" / "logs", 3, Redactor([KNOWN]))


def test_a_line_says_when_what_and_whose(log: LogFile) -> None:
    """A record's fields stand beside it; what is not known is left out."""
    token = SESSION_ID.set("session-1")
    try:
        extra = about("hook_failed", hook="watch", agent_run_id=None)
    finally:
        SESSION_ID.reset(token)
    at = datetime(2026, 3, 4, 5, 6, 7, 89000, UTC)
    assert json.loads(log.line(record("hook %s failed", at, args=("watch",), **extra))) == {
        "time": "2026-03-04T05:06:07.089Z",
        "level": "warning",
        "event": "log.hook_failed",
        "session_id": "session-1",
        "hook": "watch",
        "logger": "harness.x",
        "message": "hook watch failed",
    }
    assert json.loads(log.line(record()))["event"] == "log.harness.x"


def test_a_line_holds_no_secret_and_is_one_line(log: LogFile) -> None:
    """Not in the sentence, not in a field, not in an exception's text."""
    try:
        raise RuntimeError(f'cannot log in as "me" with {KNOWN}\nnor with {KEY}')
    except RuntimeError:
        extra = about("x", problem="password=hunter2", token="abc")
        given = record(f"It is {KNOWN}", exc_info=sys.exc_info(), **extra)
    line = log.line(given)
    assert line.count(b"\n") == 1
    said = json.loads(line)
    assert said["message"] == "It is [REDACTED]"
    assert (said["problem"], said["token"]) == ("password=[REDACTED]", "[REDACTED]")
    assert 'cannot log in as "me" with [REDACTED]\nnor with [REDACTED]' in said["exception"]


def test_each_day_has_a_file_and_old_ones_go(log: LogFile, tmp_path: Path) -> None:
    """Only the owner may read them; other files in the folder stay."""
    folder = tmp_path / "home" / "logs"
    first = datetime(2026, 2, 27, 23, 59, 59, tzinfo=UTC)
    for day in range(6):
        log.emit(record(f"day {day}", first + timedelta(days=day)))
        (folder / "notes.txt").touch()
    log.close()
    kept = [f"harness-2026030{day}.jsonl" for day in (1, 2, 3, 4)]
    assert sorted(path.name for path in folder.iterdir()) == [*kept, "notes.txt"]
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in kept} == {0o600}


def test_several_processes_share_a_file(tmp_path: Path) -> None:
    """Long lines of several writers come whole, none is lost."""
    code = (
        "import logging, sys; from pathlib import Path\n"
        "from harness.cli.log_file import LogFile; from harness.redaction import Redactor\n"
        "log = LogFile(Path(sys.argv[1]), 3, Redactor())\n"
        "for n in range(200):\n"
        "    log.emit(logging.makeLogRecord({'msg': f'{sys.argv[2]} {n} ' + 'long ' * 2000}))\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "logs"), str(number)], cwd=ROOT)
        for number in range(3)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    said = [line["message"].split()[:2] for line in lines_of(tmp_path / "logs")]
    assert sorted(said) == sorted([str(writer), str(n)] for writer in range(3) for n in range(200))


def test_what_cannot_be_written_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And stops nothing."""
    (tmp_path / "logs").write_text("a file")
    log = LogFile(tmp_path / "logs", 3, Redactor())
    log.emit(record())
    log.emit(record())
    (told,) = capsys.readouterr().err.splitlines()
    assert told == f"The log in {tmp_path / 'logs'} cannot be written (File exists); it is left out."


def test_an_event_is_a_line_with_its_numbers_and_no_content(
    log: LogFile, caplog: pytest.LogCaptureFixture
) -> None:
    """Its kind names it; question, inputs, outputs and report are not told."""
    book = Book()
    book.add(created(question="CONTENT"))
    (spec,) = plan(RESEARCH, book.state).create
    book.add(run_created(spec), spec.id)
    book.add(started(book.state.runs[spec.id]), spec.id)
    book.add(requested("call-1"), spec.id)
    book.add(finished("call-1", usage=Usage(input_tokens=1000, output_tokens=50, model_calls=1)), spec.id)
    book.add(tool_requested("toolu_1", input={"query": "CONTENT"}), spec.id)
    error = "It is away.\n" + "More. " * 99
    book.add(ev.ToolFinished(tool_use_id="toolu_1", tool="mcp__corpus__search", error=error), spec.id)
    book.add(ev.AgentRunFinished(outcome=Outcome(status="done", output="CONTENT"), work_s=1.23456), spec.id)
    book.add(ev.SessionFinished(status="done", report="CONTENT", problem=None))
    with caplog.at_level(logging.INFO, "harness"):
        for event in book.events:
            log_event(event, book.state)
    lines = [json.loads(log.line(each)) for each in caplog.records]
    assert "CONTENT" not in json.dumps(lines)
    assert [line["event"] for line in lines] == [event.payload.kind for event in book.events]
    assert [line["seq"] for line in lines] == list(range(1, 10))
    call = lines[4]
    assert (call["session_id"], call["agent_run_id"], call["agent"]) == (book.state.id, spec.id, "lead")
    assert (call["model"], call["input_tokens"], call["output_tokens"], call["cost_usd"]) == (
        "m",
        1000,
        50,
        0.5,
    )
    assert lines[6]["problem"].startswith("It is away. More. ")
    assert len(lines[6]["problem"]) == 300
    assert (lines[7]["status"], lines[7]["work_s"]) == ("done", 1.235)


def test_events_are_logged_only_when_somebody_listens(caplog: pytest.LogCaptureFixture) -> None:
    """Without a file or --debug a run says no more than before."""
    book = Book()
    with caplog.at_level(logging.WARNING, "harness"):
        log_event(book.add(created()), book.state)
    assert caplog.records == []


def test_a_setting_or_an_option_keeps_the_log(tmp_path: Path) -> None:
    """Of every command that uses the settings; without either there is no file."""
    home = tmp_path / "data"
    by_setting = "[logs]\njson = true\n"
    for args, settings, kept in ((), "", False), (("--log-json",), "", True), ((), by_setting, True):
        (tmp_path / "harness.toml").write_text(settings)
        (tmp_path / "notes.md").write_text("Tides turn twice a day.\n")
        asked = ("run", "Why do tides turn?", "--offline", "--flow", "single", "--sources", "notes.md")
        ended = run_process(*asked, *args, cwd=tmp_path, HARNESS_HOME=str(home), PYTHONPATH=str(ROOT))
        assert ended.returncode == 0, ended.stderr
        assert (home / "logs").exists() is kept
        if kept:
            events = [line["event"] for line in lines_of(home / "logs")]
            assert (events[0], events[-1]) == ("session.created", "session.finished")
            shutil.rmtree(home / "logs")
