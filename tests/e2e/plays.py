"""The plays in which things are killed: for each kind of event one that commits it, and how to get there.

A play has a lead-up (what is done before, undisturbed by the kill that counts), the armed command, and what
happens meanwhile. A kind that no play commits fails `test_every_kind_of_event_is_committed_in_a_play`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import psutil

from harness.prompts import render
from tests.e2e.crew import make_project
from tests.e2e.crew import stage_of as crew_stage
from tests.e2e.running import Command, Desk, interrupt
from tests.e2e.scripts import ALONE, ANSWER, FOLLOW_UP, REPORT, stage_alone, stage_of
from tests.kit.processes import kill, until_sync
from tests.kit.script import Request
from tests.kit.scripted_api import ScriptedProcess

Victim = Literal["harness", "cli", "postgres"]


@dataclass
class Scene:
    """A play at work. `given_up` counts the calls that a disturbance of the play itself left on the wire."""

    play: Play
    desk: Desk
    api: ScriptedProcess
    holds: Path
    given_up: Counter[str] = field(default_factory=Counter)

    def open_stages(self) -> list[str]:
        """The stages whose calls are on the wire now."""
        calls = self.api.calls().messages()
        return [self.play.stage(call.request) for call in calls if call.outcome == "open"]

    def hold(self, stage: str) -> None:
        """Make a stage wait on the wire."""
        (self.holds / f"{stage}.hold").touch()

    def release(self, stage: str) -> None:
        """Let a held stage go on, now and when it is asked for again."""
        (self.holds / f"{stage}.hold").unlink()
        (self.holds / f"{stage}.go").touch()

    def until_open(self, stage: str) -> None:
        """Wait until a stage's call is on the wire."""
        until_sync(lambda: stage in self.open_stages(), f"{stage} to be on the wire", timeout_s=60)


LeadUp = Callable[[Scene], tuple[str, ...]]
"""Does what comes first, and gives the command to arm."""


def anew(*options: str) -> LeadUp:
    """Begin a session."""
    return lambda _: ("run", "How?", "--sources", "notes.md", *options)


def after_a_kill(point: str, *options: str) -> LeadUp:
    """Resume a session that was killed at this point, its CLIs with it; nothing was on the wire there."""

    def lead_up(scene: Scene) -> tuple[str, ...]:
        command = stopped_at(scene.desk, anew(*options)(scene), point)
        assert command is not None, f"{point} was not reached in the lead-up"
        command.kill(clis_too=True)
        assert command.session_id is not None
        return ("resume", command.session_id)

    return lead_up


def after_a_spent_budget(scene: Scene) -> tuple[str, ...]:
    """Grant more to a session that was stopped by its budget."""
    small = anew("--flow", "single", "--budget-usd", "0.0027")(scene)
    code, finished = scene.desk.run(*small)
    assert (code, finished["status"]) == (3, "needs_help"), finished
    return ("resume", finished["session_id"], "--budget-usd", "5")


def after_a_report(scene: Scene) -> tuple[str, ...]:
    """Ask a further question in a session that is done."""
    code, finished = scene.desk.run(*anew("--flow", "single")(scene))
    assert (code, finished["report"]) == (0, ALONE), finished
    return ("ask", finished["session_id"], FOLLOW_UP)


def after_a_fork(scene: Scene) -> tuple[str, ...]:
    """Go on in a fork of a session that is done, from its last event: no call is left to make."""
    code, finished = scene.desk.run(*anew("--flow", "single")(scene))
    assert (code, finished["report"]) == (0, ALONE), finished
    shown, view = scene.desk.run("show", finished["session_id"])
    assert shown == 0
    return ("resume", finished["session_id"], "--at", str(view["events"]))


def with_a_fault(kind: Literal["cut", "busy"]) -> LeadUp:
    """Begin a session whose second answer breaks off on its way, or is refused at first."""

    def lead_up(scene: Scene) -> tuple[str, ...]:
        (scene.holds / f"step-1.{kind}").touch()
        return anew("--flow", "single")(scene)

    return lead_up


def held(lead_up: LeadUp, stage: str) -> LeadUp:
    """The same, with a stage that waits on the wire."""

    def with_hold(scene: Scene) -> tuple[str, ...]:
        scene.hold(stage)
        return lead_up(scene)

    return with_hold


def press_ctrl_c(scene: Scene, command: Command) -> None:
    """Interrupt it while a call is on the wire; that call is given up, and made again by a resume."""
    scene.until_open("step-1")
    interrupt(command)
    scene.given_up["step-1"] += 1
    scene.release("step-1")


def kill_the_clis(scene: Scene, command: Command) -> None:
    """Kill its CLIs while a call is on the wire; the gateway reads the answer to its end."""
    scene.until_open("answer-tides")
    kill(*command.clis())
    scene.release("answer-tides")


@dataclass(frozen=True)
class Play:
    """A session to kill in. `commits` are the kinds at whose crash points its armed command is stopped.

    `reports` are what it ends with, by question; `stage` names the step that a request asks for. `victims`
    are what may be killed there.
    """

    name: str
    flow: str
    commits: tuple[str, ...]
    script: str
    stage: Callable[[Request], str]
    lead_up: LeadUp
    given: Mapping[str, Any] = field(default_factory=dict)
    reports: tuple[str, ...] = (REPORT,)
    meanwhile: Callable[[Scene, Command], None] = lambda _, __: None
    victims: tuple[Victim, ...] = get_args(Victim)

    def __str__(self) -> str:
        return self.name


def _lead(name: str, *commits: str, lead_up: LeadUp | None = None, **more: Any) -> Play:
    first = more.pop("first", "plain")
    return Play(
        name=name,
        flow=more.pop("flow", "lead, rare"),
        commits=commits,
        script="tests.e2e.scripts:expedition",
        stage=partial(stage_of, first=first),
        lead_up=lead_up or anew(),
        given={"size": 2, "first": first, **more.pop("given", {})},
        **more,
    )


def _alone(name: str, *commits: str, lead_up: LeadUp | None = None, **more: Any) -> Play:
    return Play(
        name=name,
        flow=more.pop("flow", "single, rare"),
        commits=commits,
        script="tests.e2e.scripts:alone",
        stage=stage_alone,
        lead_up=lead_up or anew("--flow", "single"),
        reports=(ALONE, ANSWER),
        **more,
    )


def _crew(name: str, *commits: str, flow: str, asked: str, answer: str) -> Play:
    def lead_up(scene: Scene) -> tuple[str, ...]:
        make_project(scene.desk.home)
        (scene.desk.home / "flow.yaml").write_text(f"flow: {flow}\n")
        return ("run", asked, "--sources", "notes.md", "--flow", "flow.yaml")

    report = json.dumps({"note": answer, "handoff_to": None}, indent=2, ensure_ascii=False)
    return Play(
        name=name,
        flow="patterns",
        commits=commits,
        script="tests.e2e.crew:crew",
        stage=crew_stage,
        lead_up=lead_up,
        reports=(f"```json\n{report}\n```\n",),
    )


_ALWAYS = (
    "session.created", "session.finished", "agent_run.created", "agent_run.started", "cli.started",
    "agent_run.finished", "model.requested", "model.finished", "tool.requested", "tool.finished",
)  # fmt: skip
"""What every session commits."""

LEAD = _lead("lead", *_ALWAYS, "agent_run.suspended", "delegation.requested", flow="lead")
SINGLE = _alone("single", *_ALWAYS, flow="single")
SLOW = _lead("slow", flow="lead, any moment", given={"slow": True})

RARE = (
    _alone(
        "interrupted by a person",
        "session.suspended",
        lead_up=held(anew("--flow", "single"), "step-1"),
        meanwhile=press_ctrl_c,
    ),
    _alone(
        "taken up again", "session.resumed", lead_up=after_a_kill("after tool.requested", "--flow", "single")
    ),
    _alone("asked again", "session.asked", lead_up=after_a_report),
    # Nobody has a lease yet that would wait for the store: a fork is not made then.
    _alone("forked", "session.forked", lead_up=after_a_fork, victims=("harness",)),
    _lead(
        "a CLI dies",
        "agent_run.interrupted",
        lead_up=held(anew(), "answer-tides"),
        meanwhile=kill_the_clis,
    ),
    _alone("given more", "agent_run.reopened", lead_up=after_a_spent_budget),
    _alone("an answer breaks off", "model.failed", lead_up=with_a_fault("cut")),
    _alone("the service is busy", "model.retried", lead_up=with_a_fault("busy")),
    _alone(
        "paid, but not stored",
        "model.replayed",
        lead_up=after_a_kill("after model.finished", "--flow", "single"),
    ),
    _crew(
        "an answer is judged",
        "agent_run.answered",
        "gate.decided",
        flow="{pattern: agent, agent: a, gate: {verifier: verifier}}",
        asked="Go",
        answer="a did: Go",
    ),
    _crew(
        "branches are merged",
        "merge.decided",
        flow="{pattern: fan_out, branches: [a, b], policy: {kind: first_valid}}",
        asked="Go !hang:b",
        answer="a did: Go !hang:b",
    ),
    _crew(
        "help is asked for and granted",
        "routing.decided",
        "help.asked",
        flow="{pattern: supervisor, members: [a]}",
        asked="Go !help:a",
        answer=f"a did: Go !help:a {render('help_answered', None, answer='Go on.')}",
    ),
    _lead("a wrong delegation", "tool.denied", first="refused"),
    _lead("two delegations in a turn", "delegation.joined", first="double"),
    _lead(
        "a lost delegation", "delegation.voided", lead_up=after_a_kill("after delegation.requested")
    ),
)  # fmt: skip
"""Plays of events that an undisturbed run never commits."""

PLAYS = (LEAD, SINGLE, *RARE)


def stopped_at(desk: Desk, args: tuple[str, ...], point: str, count: int = 1) -> Command | None:
    """Run a command until it has stopped itself at a crash point; None if it ended before it."""
    command = armed(desk, args, point, count)
    return command if stops(command, desk, point) else None


def armed(desk: Desk, args: tuple[str, ...], point: str, count: int) -> Command:
    """Start a command that stops itself where `point` is reached for the `count`th time."""
    note = _note(desk)
    note.unlink(missing_ok=True)
    return desk.start(*args, HARNESS_CRASH_AT=f"{point}#{count}@{note}")


def stops(command: Command, desk: Desk, point: str) -> bool:
    """Wait until an armed command has stopped itself, or has ended before."""

    def stopped() -> bool:
        if command.process.poll() is not None:
            return True
        return _note(desk).exists() and psutil.Process(command.process.pid).status() == psutil.STATUS_STOPPED

    until_sync(stopped, f"{point} to be reached", timeout_s=90)
    return command.process.poll() is None


def _note(desk: Desk) -> Path:
    return desk.home / "reached"
