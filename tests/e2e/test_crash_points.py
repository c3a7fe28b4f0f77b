"""Killed just before or just after any commit: nothing acknowledged is lost, nothing finished is paid twice.

The harness stops itself at an armed crash point; then it, its CLIs or the embedded Postgres is killed.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import psutil
import pytest

from harness.audit import Gap, audit
from harness.events import AnyPayload, Event
from harness.records import SessionStatus
from harness.state import SessionState, fold
from harness.store.database import Database
from harness.store.embedded import EmbeddedServer
from harness.store.journal import load_state, read_events
from harness.store.transcripts import read_transcript
from tests.e2e.running import Command, Desk
from tests.e2e.scripts import REPORT, stage_of
from tests.kit.processes import clis, kill, tree, until_sync
from tests.kit.scripted_api import ScriptedProcess, scripted_process
from tests.kit.seeds import run_seed

Victim = Literal["harness", "cli", "postgres"]
DONE: SessionStatus = "done"

RARE = {
    "session.asked", "session.suspended", "session.resumed", "agent_run.interrupted", "agent_run.reopened",
    "model.failed", "model.replayed", "tool.denied", "delegation.joined", "delegation.voided",
}  # fmt: skip
"""Events that an undisturbed run of the played session never commits."""


def _kinds() -> list[str]:
    members = get_args(get_args(AnyPayload)[0])
    return [str(member.model_fields["kind"].default) for member in members]


POINTS = [
    f"{when} {what}"
    for what in (*(k for k in _kinds() if k not in RARE), "transcript")
    for when in ("before", "after")
]
UNBORN = ("before session.created",)
"""Killed here there is no session yet, and nothing to resume."""


@dataclass(frozen=True)
class Case:
    point: str
    count: int
    victim: Victim

    def __str__(self) -> str:
        return f"{self.victim} {self.point} #{self.count}"


@dataclass(frozen=True)
class Row:
    """What a case showed."""

    case: Case
    reached: bool
    repeated: int
    on_the_wire: int
    runs_repeated: int
    orphan_calls: int
    events_lost: int
    gaps: tuple[str, ...]


@pytest.fixture
def api(home: Path, holds: Path) -> Iterator[ScriptedProcess]:
    given = {"holds": str(holds), "size": 2}
    with scripted_process("tests.e2e.scripts:expedition", home / "calls.jsonl", given=given) as played:
        yield played


@pytest.fixture
def desk(home: Path, api: ScriptedProcess) -> Iterator[Desk]:
    """A desk whose database is the embedded one of its own home, so that it can be killed."""
    (home / "notes.md").write_text("# Notes\n\nTides, winds and stars. Ropes, sails and charts.\n")
    table = Desk(home, api.base_url, None)
    yield table
    table.close()
    for process in _servers(home):
        kill(process)


def quick_cases() -> list[Case]:
    """A few cases of each victim, others in each run."""
    dice = random.Random(run_seed())
    points = [point for point in POINTS if point not in UNBORN]
    victims: tuple[Victim, ...] = get_args(Victim)
    return [
        Case(dice.choice(points), dice.choice((1, 1, 2, 3)), victim) for victim in victims for _ in range(2)
    ]


QUICK = quick_cases()


@pytest.mark.parametrize("number", range(len(QUICK)))
def test_killed_at_a_crash_point_the_session_ends_right(
    desk: Desk, api: ScriptedProcess, number: int
) -> None:
    """The same report, and only what was on the wire in the killed process may be asked for again."""
    print(f"{QUICK[number]}; repeat with HARNESS_TEST_SEED={run_seed()}")
    check(QUICK[number], perform(desk, api, QUICK[number]))


@pytest.mark.campaign
@pytest.mark.parametrize("victim", get_args(Victim))
@pytest.mark.parametrize("point", [point for point in POINTS if point not in UNBORN])
def test_the_whole_matrix(desk: Desk, api: ScriptedProcess, point: str, victim: Victim) -> None:
    """Every crash point with every victim."""
    case = Case(point, 1, victim)
    row = perform(desk, api, case)
    print("ROW", row)
    check(case, row)


def test_killed_before_its_first_commit_there_is_no_session(desk: Desk, api: ScriptedProcess) -> None:
    """Nothing half-created is shown, and no call was made."""
    command = _stop_at(desk, Case("before session.created", 1, "harness"))
    assert command is not None
    command.kill()
    code, listed = desk.run("sessions")
    assert (code, listed["sessions"]) == (0, [])
    assert api.calls().messages() == []


def perform(desk: Desk, api: ScriptedProcess, case: Case) -> Row:
    """Run a session, kill at the case's point, let it end, and count."""
    command = _stop_at(desk, case)
    if command is None:
        return Row(case, False, 0, 0, 0, 0, 0, ())
    orphans_from = None
    open_runs: set[str] = set()
    finished_runs: set[str] = set()
    head = 0
    if case.victim == "harness":
        session_id = command.session_id
        command.kill()
        orphans_from = len(api.calls().messages())
        session_id = session_id or _only_session(desk)
        before = _state(desk, session_id)
        open_runs = {run.id for run in before.runs.values() if run.open_calls}
        finished_runs = {run.id for run in before.runs.values() if run.final}
        head = before.head
        orphan_calls = len(api.calls().messages()) - orphans_from
        code, finished = desk.run("resume", session_id)
    else:
        for process in clis(command.process.pid) if case.victim == "cli" else _servers(desk.home):
            kill(process)
        command.process.send_signal(signal.SIGCONT)
        code = command.wait(120)
        assert command.finished is not None, "".join(command.errors)
        finished, session_id, orphan_calls = command.finished, command.finished["session_id"], 0
    assert (code, finished["status"], finished["report"]) == (0, DONE, REPORT), finished
    stages = Counter(stage_of(call.request) for call in api.calls().completed())
    journal, gaps = _record(desk, session_id)
    after = fold(session_id, journal)
    return Row(
        case=case,
        reached=True,
        repeated=sum(count - 1 for count in stages.values()),
        on_the_wire=len(open_runs),
        runs_repeated=sum(after.runs[run].attempts > before.runs[run].attempts for run in finished_runs)
        if finished_runs
        else 0,
        orphan_calls=orphan_calls,
        events_lost=max(0, head - len(journal)) + sum(e.seq != n for n, e in enumerate(journal, start=1)),
        gaps=tuple(gap.what for gap in gaps),
    )


def check(case: Case, row: Row) -> None:
    """Hold a row against what is promised."""
    allowed = row.on_the_wire if case.victim == "harness" else 0
    assert row.repeated <= allowed, row
    assert row.runs_repeated == 0, row
    assert row.orphan_calls == 0, row
    assert row.events_lost == 0, row
    assert row.gaps == (), row


def _stop_at(desk: Desk, case: Case) -> Command | None:
    """Run until the process has stopped itself at the case's point; None if the session ended before it."""
    note = desk.home / "reached"
    armed = f"{case.point}#{case.count}@{note}"
    command = desk.start("run", "How?", "--sources", "notes.md", HARNESS_CRASH_AT=armed)

    def stopped() -> bool:
        if command.process.poll() is not None:
            return True
        return note.exists() and psutil.Process(command.process.pid).status() == psutil.STATUS_STOPPED

    until_sync(stopped, f"{case.point} to be reached", timeout_s=60)
    if command.process.poll() is not None:
        assert command.wait() == 0, "".join(command.errors)
        return None
    return command


def _servers(home: Path) -> list[psutil.Process]:
    """The embedded server of a home, postmaster and all."""
    found = []
    for pid_file in home.glob("harness/**/postmaster.pid"):
        pid = int(pid_file.read_text().splitlines()[0])
        if psutil.pid_exists(pid):
            found += [psutil.Process(pid), *tree(pid)]
    return found


def _only_session(desk: Desk) -> str:
    code, listed = desk.run("sessions")
    assert code == 0
    return str(listed["sessions"][0]["session_id"])


def _state(desk: Desk, session_id: str) -> SessionState:
    async def read(dsn: str) -> SessionState:
        async with await Database.open(dsn) as database:
            return await load_state(database, session_id)

    with EmbeddedServer.acquire(desk.home / "harness") as server:
        return asyncio.run(read(server.dsn))


def _record(desk: Desk, session_id: str) -> tuple[list[Event], list[Gap]]:
    """The journal, and what is missing between it and the transcripts."""

    async def read(dsn: str) -> tuple[list[Event], list[Gap]]:
        async with await Database.open(dsn) as database:
            journal = await read_events(database, session_id)
            ids = {run.claude_session_id for run in fold(session_id, journal).runs.values()}
            transcripts = {id_: await read_transcript(database, session_id, id_) for id_ in ids if id_}
            return journal, audit(journal, transcripts)

    with EmbeddedServer.acquire(desk.home / "harness") as server:
        return asyncio.run(read(server.dsn))
