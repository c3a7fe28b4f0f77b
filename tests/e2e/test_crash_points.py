"""Killed just before or just after any commit: nothing acknowledged is lost, nothing finished is paid twice.

The harness stops itself at an armed crash point; then it, its CLIs or the embedded Postgres is killed.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

from harness.events import AnyPayload
from tests.e2e.counting import Row, after_kill_of_another, after_kill_of_harness, servers, standing
from tests.e2e.plays import (
    LEAD,
    PLAYS,
    RARE,
    SINGLE,
    Play,
    Scene,
    Victim,
    anew,
    armed,
    stopped_at,
    stops,
)
from tests.e2e.running import Desk
from tests.e2e.table import Missed, Tally
from tests.kit.processes import kill
from tests.kit.scripted_api import ScriptedProcess, scripted_process
from tests.kit.seeds import run_seed

VICTIMS: tuple[Victim, ...] = get_args(Victim)
UNBORN = ("before session.created",)
"""Killed here there is no session yet: the harness leaves nothing to resume, and has no CLI."""


IN_REPLAYS = {"replay.stopped"}
"""Kinds that only a replay commits, where nothing can be paid twice: `test_replay.py` kills one."""


@dataclass(frozen=True)
class Case:
    play: Play
    point: str
    victim: Victim
    count: int = 1

    @property
    def has_cli(self) -> bool:
        """Whether a CLI is at work at the point in any case: it is what is asked or told there."""
        return self.point.split()[1].startswith(("model", "tool", "delegation.requested", "transcript"))

    def __str__(self) -> str:
        return f"{self.play}: {self.victim} {self.point} #{self.count}"


def kinds() -> set[str]:
    """Every kind of event there is."""
    members = get_args(get_args(AnyPayload)[0])
    return {str(member.model_fields["kind"].default) for member in members}


def points(play: Play) -> list[str]:
    """The crash points of a play: those of the transcript too where everything is gone through."""
    commits = play.commits if play in RARE else (*play.commits, "transcript")
    return [f"{when} {what}" for what in commits for when in ("before", "after")]


POINTS = points(LEAD)

MATRIX = [
    Case(play, point, victim)
    for play in PLAYS
    for point in points(play)
    for victim in play.victims
    if point not in UNBORN or victim == "postgres"
]


def quick_cases() -> list[Case]:
    """One case of each victim for the lead, one for the single agent, one rare; others in each run.

    The last is one that has failed: what was granted was forgotten.
    """
    dice = random.Random(run_seed())

    def any_of(plays: tuple[Play, ...], victim: Victim | None = None, count: int = 1) -> Case:
        chosen = [case for case in MATRIX if case.play in plays and victim in (None, case.victim)]
        case = dice.choice([case for case in chosen if case.victim != "cli" or case.has_cli])
        return Case(case.play, case.point, case.victim, count)

    lead = [any_of((LEAD,), victim, dice.choice((1, 1, 2, 3))) for victim in VICTIMS]
    granted = next(case for case in MATRIX if case.point == "before agent_run.reopened")
    return [*lead, any_of((SINGLE,)), any_of(RARE), granted]


@pytest.fixture
def api(home: Path, holds: Path, case: Case) -> Iterator[ScriptedProcess]:
    given = {"holds": str(holds), **case.play.given}
    with scripted_process(case.play.script, home / "calls.jsonl", given=given) as played:
        yield played


@pytest.fixture
def scene(embedded_desk: Desk, api: ScriptedProcess, holds: Path, case: Case) -> Scene:
    return Scene(case.play, embedded_desk, api, holds)


def test_every_kind_of_event_is_committed_in_a_play() -> None:
    """A new kind of event needs a play in which things are killed just before and just after it."""
    assert {kind for play in PLAYS for kind in play.commits} == kinds() - IN_REPLAYS


@pytest.mark.parametrize("case", [pytest.param(case, id=str(n)) for n, case in enumerate(quick_cases())])
def test_killed_at_a_crash_point_the_session_ends_right(scene: Scene, case: Case, tally: Tally) -> None:
    """The same report, and only what was on the wire in the killed process may be asked for again."""
    print(f"{case}; repeat with HARNESS_TEST_SEED={run_seed()}")
    what = perform(scene, case)
    tally(case.play.flow, case.victim, what)
    if isinstance(what, Row):
        what.check()


@pytest.mark.campaign
@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", MATRIX, ids=str)
def test_the_whole_matrix(scene: Scene, case: Case, tally: Tally) -> None:
    """Every crash point of every play with every victim; each point is reached."""
    what = perform(scene, case)
    print("ROW", case, what)
    tally(case.play.flow, case.victim, what)
    assert what != "not reached", f"{case.play} does not commit what it is listed for"
    if isinstance(what, Row):
        what.check()


@pytest.mark.parametrize("case", [Case(SINGLE, UNBORN[0], "harness")], ids=str)
def test_killed_before_its_first_commit_there_is_no_session(scene: Scene, case: Case) -> None:
    """Nothing half-created is shown, and no call was made."""
    command = stopped_at(scene.desk, anew()(scene), case.point)
    assert command is not None
    command.kill()
    code, listed = scene.desk.run("sessions")
    assert (code, listed["sessions"]) == (0, [])
    assert scene.api.calls().messages() == []


def perform(scene: Scene, case: Case) -> Row | Missed:
    """Play until the case's point, kill there, let the session end, and count."""
    desk, play = scene.desk, case.play
    api, given_up = scene.api, scene.given_up
    command = armed(desk, play.lead_up(scene), case.point, case.count)
    play.meanwhile(scene, command)
    if not stops(command, desk, case.point):
        assert command.wait() == 0, "".join(command.errors)
        return "not reached"
    if case.victim == "harness":
        return after_kill_of_harness(desk, api, command, play, given_up) or "not reached"
    victims = command.clis() if case.victim == "cli" else servers(desk.home)
    if not victims:
        return "nobody there"
    before = standing(desk, api, command, play)
    kill(*victims)
    command.process.send_signal(signal.SIGCONT)
    return after_kill_of_another(desk, api, command, play, given_up, before)
