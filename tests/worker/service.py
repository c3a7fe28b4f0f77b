"""The harness as a service: sessions that are submitted, and worker processes that advance them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.rows import dict_row

from tests.e2e.crew import make_project
from tests.e2e.running import Command, Desk
from tests.e2e.scripts import ALONE, REPORT
from tests.kit.processes import alive, until_sync
from tests.kit.scripted_api import ScriptedProcess
from tests.worker.scripts import stage_of

PIPELINE = "flow: {pattern: pipeline, stages: [a, b]}\n"

SETTINGS = """
lease_ttl_s = 10
[worker]
poll_s = 0.5
"""


@dataclass(frozen=True)
class Kind:
    """A kind of session: what is submitted, the report it ends with, and its model calls if undisturbed."""

    name: str
    words: tuple[str, ...]
    report: str
    calls: int


def note(text: str) -> str:
    """Give the report of a crew whose last member says this."""
    said = json.dumps({"note": text, "handoff_to": None}, indent=2)
    return f"```json\n{said}\n```\n"


SINGLE = Kind("single", ("How?", "--sources", "notes.md", "--flow", "single"), ALONE, 3)
LEAD = Kind("lead", ("How?", "--sources", "notes.md"), REPORT, 7)
LINE = Kind("pipeline", ("Go", "--sources", "notes.md", "--flow", "line.yaml"), note("b did: Go"), 4)
KINDS = (SINGLE, LEAD, LINE)


@dataclass
class Service:
    """A desk with workers, and the sessions that were left to them, by id."""

    desk: Desk
    api: ScriptedProcess
    dsn: str
    """How the test itself reaches the database."""
    holds: Path
    """Where the played model looks for what it shall hold."""
    sessions: dict[str, Kind] = field(default_factory=dict)
    workers: list[Command] = field(default_factory=list)
    submitting: threading.Lock = field(default_factory=threading.Lock)
    """Held while sessions are submitted; who holds it may stop Postgres without a submission in its way."""

    def set_up(self, settings: str = SETTINGS) -> None:
        """Write the project that sessions and workers share."""
        make_project(self.desk.home)
        (self.desk.home / "notes.md").write_text(
            "# Notes\n\nTides, winds and stars. Ropes, sails and charts. a b c d e f.\n"
        )
        (self.desk.home / "line.yaml").write_text(PIPELINE)
        (self.desk.home / "harness.toml").write_text(settings)

    def submit(self, *kinds: Kind) -> list[str]:
        """Submit a session of each of these kinds, two at a time, and give their ids."""
        given = []
        for first in range(0, len(kinds), 2):
            with self.submitting:
                pair = kinds[first : first + 2]
                begun = [(kind, self.desk.start("submit", *kind.words)) for kind in pair]
                given += [self._submitted(*each) for each in begun]
        return given

    def _submitted(self, kind: Kind, command: Command) -> str:
        assert command.wait() == 0, command.errors
        session_id = command.session_id
        assert session_id is not None
        self.sessions[session_id] = kind
        return session_id

    def hold(self, stage: str) -> None:
        """Make a step of every session wait on the wire, by the name its script gives it."""
        (self.holds / f"{stage}.hold").touch()

    def release(self, stage: str) -> None:
        """Let a held step go on, also when it is asked for again."""
        (self.holds / f"{stage}.hold").unlink()
        (self.holds / f"{stage}.go").touch()

    def until_open(self, stage: str, *, count: int = 1) -> None:
        """Wait until calls of a step are on the wire."""

        def open_calls() -> int:
            calls = self.api.calls().messages()
            return sum(call.outcome == "open" and stage_of(call.request) == stage for call in calls)

        until_sync(lambda: open_calls() >= count, f"{stage} to be on the wire", timeout_s=60)

    def worker(self, concurrency: int = 2, **environment: str) -> Command:
        """Start a worker."""
        command = self.desk.start("worker", "--concurrency", str(concurrency), **environment)
        self.workers.append(command)
        return command

    def at_work(self) -> bool:
        """Whether every worker has reached its store."""
        return all("Waiting for sessions." in "".join(worker.errors) for worker in self.workers)

    def drained(self) -> None:
        """Ask every worker to end and see that it does."""
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            assert worker.wait() == 0, worker.errors
        self.workers.clear()

    def asked(self, sql: str, given: Sequence[Any] | Mapping[str, Any] = ()) -> list[dict[str, Any]]:
        """Ask the database."""
        with psycopg.connect(self.dsn, row_factory=dict_row, autocommit=True) as connection:
            return connection.execute(sql.encode(), given).fetchall()

    def calls(self) -> int:
        """How many model calls have been committed by all sessions."""
        return int(self.asked("select count(*) from event where kind = 'model.requested'")[0]["count"])

    def statuses(self) -> dict[str, str]:
        """How each session stands."""
        return {str(row["id"]): row["status"] for row in self.asked("select id, status from session")}

    def kinds_of(self, session_id: str) -> list[str]:
        """The kinds of a session's events, in order."""
        rows = self.asked("select kind from event where session_id = %s order by seq", (session_id,))
        return [row["kind"] for row in rows]

    def tokens(self, session_id: str) -> list[int]:
        """The token that each event of a session was written with, in order."""
        rows = self.asked("select token from event where session_id = %s order by seq", (session_id,))
        return [row["token"] for row in rows]

    def until(self, session_id: str, kind: str, *, count: int = 1, timeout_s: float = 60) -> None:
        """Wait until a session has committed an event of a kind."""
        what = f"{kind} of session {session_id}"
        until_sync(lambda: self.kinds_of(session_id).count(kind) >= count, what, timeout_s=timeout_s)

    def until_done(self, *, still_s: float = 60) -> None:
        """Wait until every session has ended, or fail when nothing has happened for `still_s` seconds."""
        heads, since = "", time.monotonic()
        while set(self.statuses().values()) - {"done"}:
            rows = self.asked("select sum(head) as heads, sum(token) as tokens from session")
            now = str(rows)
            if now != heads:
                heads, since = now, time.monotonic()
            assert time.monotonic() - since < still_s, self.asked(
                "select * from session where status <> 'done'"
            )
            time.sleep(0.3)

    def processes(self) -> list[psutil.Process]:
        """Whatever works in a folder of an attempt: CLIs and what they have started, also orphans."""
        folder = str(self.desk.home)
        return [process for process in psutil.process_iter() if alive(process) and _in(process, folder)]


def _in(process: psutil.Process, folder: str) -> bool:
    try:
        place = process.environ().get("TMPDIR", "")
        return place.startswith(folder) and "/sessions/" in place
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
