"""Killed just before or just after any commit: nothing acknowledged is lost, nothing finished is paid twice.

The harness stops itself at an armed crash point; then it, its CLIs or the embedded Postgres is killed.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import psutil
import pytest

from harness.events import AnyPayload
from tests.e2e.counting import Row, after_kill_of_another, after_kill_of_harness, servers
from tests.e2e.running import Command, Desk
from tests.kit.processes import clis, kill, until_sync
from tests.kit.scripted_api import ScriptedProcess, scripted_process
from tests.kit.seeds import run_seed

Victim = Literal["harness", "cli", "postgres"]
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


@pytest.fixture
def api(home: Path, holds: Path) -> Iterator[ScriptedProcess]:
    given = {"holds": str(holds), "size": 2}
    with scripted_process("tests.e2e.scripts:expedition", home / "calls.jsonl", given=given) as played:
        yield played


def quick_cases() -> list[Case]:
    """A few cases of each victim, others in each run."""
    dice = random.Random(run_seed())
    points = [point for point in POINTS if point not in UNBORN]
    victims: tuple[Victim, ...] = get_args(Victim)
    return [Case(dice.choice(points), dice.choice((1, 1, 2, 3)), victim) for victim in victims]


QUICK = quick_cases()


@pytest.mark.parametrize("number", range(len(QUICK)))
def test_killed_at_a_crash_point_the_session_ends_right(
    embedded_desk: Desk, api: ScriptedProcess, number: int
) -> None:
    """The same report, and only what was on the wire in the killed process may be asked for again."""
    print(f"{QUICK[number]}; repeat with HARNESS_TEST_SEED={run_seed()}")
    row = perform(embedded_desk, api, QUICK[number])
    if row is not None:
        row.check()


@pytest.mark.campaign
@pytest.mark.parametrize("victim", get_args(Victim))
@pytest.mark.parametrize("point", [point for point in POINTS if point not in UNBORN])
def test_the_whole_matrix(embedded_desk: Desk, api: ScriptedProcess, point: str, victim: Victim) -> None:
    """Every crash point with every victim."""
    case = Case(point, 1, victim)
    row = perform(embedded_desk, api, case)
    print("ROW", case, row)
    if row is not None:
        row.check()


def test_killed_before_its_first_commit_there_is_no_session(
    embedded_desk: Desk, api: ScriptedProcess
) -> None:
    """Nothing half-created is shown, and no call was made."""
    command = _stop_at(embedded_desk, Case("before session.created", 1, "harness"))
    assert command is not None
    command.kill()
    code, listed = embedded_desk.run("sessions")
    assert (code, listed["sessions"]) == (0, [])
    assert api.calls().messages() == []


def perform(desk: Desk, api: ScriptedProcess, case: Case) -> Row | None:
    """Run a session, kill at the case's point, let it end, and count; None if the point was never reached."""
    command = _stop_at(desk, case)
    if command is None:
        return None
    if case.victim == "harness":
        return after_kill_of_harness(desk, api, command)
    for process in clis(command.process.pid) if case.victim == "cli" else servers(desk.home):
        kill(process)
    command.process.send_signal(signal.SIGCONT)
    return after_kill_of_another(desk, api, command)


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
