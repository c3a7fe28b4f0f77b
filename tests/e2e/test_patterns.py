"""Every pattern with the real CLI: who ran, in which order, on which typed input; killed and resumed too."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.events import Event
from harness.launch_slots import slots_here
from harness.tracing.span import Span
from tests.e2e.crew import make_project, stage_of, task_of, who
from tests.e2e.running import Command, Desk
from tests.e2e.test_traces import told
from tests.kit.campaign import cases
from tests.kit.processes import until_sync
from tests.kit.scripted_api import ScriptedProcess, scripted_process
from tests.kit.seeds import run_seed
from tests.kit.traces import violations

PIPELINE = "flow: {pattern: pipeline, stages: [a, b, c]}"
FAN_OUT = """
flow:
  pattern: fan_out
  branches: [a, b, c]
  merge: {pattern: agent, agent: d, take: {objective: question, notes: previous.results}}
"""
SUPERVISOR = "flow: {pattern: supervisor, members: [a, b, c, d, e]}"
TEAM = """
flow:
  pattern: supervisor
  members:
    - {pattern: team, name: first, description: The first team., members: [a, b]}
    - {pattern: team, name: second, description: The second team., members: [c]}
"""
HANDOFF = "flow: {pattern: handoff, members: [a, b, c]}"
BLACKBOARD = """
state: {one: {kind: text}, two: {kind: text}}
flow:
  pattern: blackboard
  goal: [two]
  seats:
    - member: {pattern: agent, agent: b, write: {two: note}, take: {objective: state.one}}
      reads: [one]
    - member: {pattern: agent, agent: a, write: {one: note}}
"""
MIXED = """
flow:
  pattern: supervisor
  members:
    - {pattern: pipeline, name: line, stages: [a, b]}
    - pattern: fan_out
      name: fan
      branches: [c, d]
      merge: {pattern: agent, agent: e, take: {objective: input.objective, notes: previous.results}}
    - f
"""


@dataclass(frozen=True)
class Case:
    """A flow, what is asked, who has to work in which order, and how the answer begins."""

    flow: str
    question: str
    order: tuple[str, ...]
    answer: str


CASES = {
    "pipeline": Case(PIPELINE, "Go", ("a", "b", "c"), "c did: Go"),
    "fan_out": Case(FAN_OUT, "Go", ("abc", "d"), "d did: Go"),
    "supervisor": Case(
        SUPERVISOR, "Go", (*(x for n in "abcde" for x in ("router", n)), "router"), "e did: Go"
    ),
    "team": Case(
        TEAM,
        "Go",
        ("router", "router", "a", "router", "b", "router", "router", "router", "c", "router", "router"),
        "c did: Go",
    ),
    "handoff": Case(HANDOFF, "Go !hand:a:c !hand:c:b", ("a", "c", "b"), "b did: Go"),
    "blackboard": Case(BLACKBOARD, "Go", ("a", "b"), "b did: a did: Go"),
    "mixed": Case(
        MIXED,
        "Go",
        ("router", "a", "b", "router", "cd", "e", "router", "f", "router"),
        "f did: Go",
    ),
}


@pytest.fixture
def api(home: Path) -> Iterator[ScriptedProcess]:
    (home / "holds").mkdir()
    with scripted_process(
        "tests.e2e.crew:crew", home / "calls.jsonl", given={"holds": str(home / "holds")}
    ) as played:
        yield played


@pytest.fixture
def desk(home: Path, dsn: str, api: ScriptedProcess) -> Iterator[Desk]:
    """A project with a crew of bundles."""
    make_project(home)
    (home / "notes.md").write_text("# Notes\n\na b c d e f.\n")
    with closing(Desk(home, api.base_url, dsn)) as table:
        yield table


def begin(desk: Desk, case: Case) -> Command:
    """Start a session of a case."""
    (desk.home / "flow.yaml").write_text(case.flow)
    return desk.start("run", case.question, "--sources", "notes.md", "--flow", "flow.yaml")


def first_calls(api: ScriptedProcess) -> list[str]:
    """Who began to work, in order; a router once for each decision."""
    return [who(call.request) for call in api.calls().messages() if call.request.turn == 0]


def answer_of(finished: dict[str, Any]) -> str:
    """The note or the board's last field that the session ended with."""
    report = json.loads(finished["report"].removeprefix("```json\n").removesuffix("```\n"))
    return str(report.get("note") or report.get("two"))


def launched_at_once(journal: Sequence[Event]) -> int:
    """The most agent runs that had started while their CLIs had not."""
    most, launching = 0, set[str | None]()
    for event in journal:
        if event.payload.kind == "agent_run.started":
            launching.add(event.agent_run_id)
        elif event.payload.kind == "cli.started":
            launching.remove(event.agent_run_id)
        most = max(most, len(launching))
    return most


def in_order(began: list[str], order: tuple[str, ...]) -> bool:
    """Whether agents began in this order; the letters of one entry may come in any order."""
    place = 0
    for expected in order:
        width = 1 if expected == "router" else len(expected)
        group = began[place : place + width]
        wanted = [expected] if expected == "router" else sorted(expected)
        if sorted(group) != wanted:
            return False
        place += width
    return place == len(began)


@pytest.mark.parametrize("name", CASES)
def test_the_right_agents_run_in_the_right_order(desk: Desk, api: ScriptedProcess, name: str) -> None:
    """Each once, on what the pattern gives it, and the session ends with the right one's output."""
    case = CASES[name]
    command = begin(desk, case)
    assert command.wait() == 0, "".join(command.errors)
    assert command.finished is not None
    assert answer_of(command.finished).startswith(case.answer)
    began = first_calls(api)
    assert in_order(began, case.order), began
    stages = Counter(stage_of(call.request) for call in api.calls().messages())
    assert set(stages.values()) == {1}
    spans, record = told(desk, command.finished["session_id"])
    assert violations(spans, record.journal, record.state) == []
    if name == "team":
        assert _below(spans, "invoke_agent b") == ["invoke_agent router"] * 2 + ["invoke_workflow flow"]
    if name == "fan_out":
        assert _below(spans, "merge all") == ["invoke_workflow flow"]
        assert 1 <= launched_at_once(record.journal) <= slots_here()


@pytest.mark.parametrize("name", cases(list(CASES), {"mixed", "handoff", "blackboard"}))
def test_killed_in_the_middle_it_goes_on(desk: Desk, api: ScriptedProcess, name: str) -> None:
    """Killed while a later agent's call is on the wire: the same end, and only that call may be repeated."""
    case = CASES[name]
    last = [who_ for who_ in case.order if who_ != "router"][-1]
    command = begin(desk, case)
    holds = desk.home / "holds"

    def on_the_wire() -> bool:
        return any(call.outcome == "open" and who(call.request) == last for call in api.calls().messages())

    # Held by its name alone: the stage's other parts come from its task, which is not known before.
    (holds / f"{last}.hold").touch()
    until_sync(on_the_wire, f"{last} to be at work", timeout_s=90)
    command.kill()
    (holds / f"{last}.hold").unlink()
    (holds / f"{last}.go").touch()
    assert command.session_id is not None
    code, finished = desk.run("resume", command.session_id)
    assert code == 0, finished
    assert answer_of(finished).startswith(case.answer)
    stages = Counter(stage_of(call.request) for call in api.calls().messages())
    again = {stage: count for stage, count in stages.items() if count > 1}
    assert all(stage.startswith(f"{last}-") and count == 2 for stage, count in again.items()), again
    assert len(again) <= 1
    spans, record = told(desk, command.session_id)
    assert violations(spans, record.journal, record.state) == []
    assert all(run["attempts"] == 1 for run in finished["agent_runs"] if run["agent"] not in (last, "router"))


def test_routing_costs_one_small_call_for_each_decision_and_no_process(
    desk: Desk, api: ScriptedProcess
) -> None:
    """Five members: six decisions, each one call of the routing model, and five CLI processes in all."""
    command = begin(desk, CASES["supervisor"])
    seen: set[int] = set()
    while command.process.poll() is None:
        seen |= {cli.pid for cli in command.clis()}
        time.sleep(0.02)
    assert command.wait() == 0
    routing = [call.request for call in api.calls().messages() if who(call.request) == "router"]
    assert len(routing) == 6
    assert {request.model for request in routing} == {"claude-haiku-5-5"}
    assert {request.session for request in routing} == {""}, "none comes from a CLI"
    assert command.finished is not None
    runs = Counter(run["agent"] for run in command.finished["agent_runs"])
    assert runs == {"router": 1, "a": 1, "b": 1, "c": 1, "d": 1, "e": 1}
    assert len({call.request.session for call in api.calls().messages()} - {""}) == 5


COMMIT_S = 0.5
"""The longest that the commit of a complete answer takes on a busy machine."""


@pytest.fixture
def slow_api(home: Path) -> Iterator[ScriptedProcess]:
    with scripted_process("tests.e2e.crew:crew", home / "slow.jsonl", given={"slow": True}) as played:
        yield played


@pytest.mark.parametrize("number", cases({str(number): number for number in range(20)}, ()))
def test_a_mixed_tree_killed_at_random(desk: Desk, slow_api: ScriptedProcess, number: int) -> None:
    """Killed at any moment: the same end, and at most one call for each agent run at work is repeated."""
    desk.base_url = slow_api.base_url
    dice = random.Random(run_seed() * 100 + number)
    moment = dice.uniform(0.1, 12.0)
    print(f"killed {moment:.2f} s after its begin; repeat with HARNESS_TEST_SEED={run_seed()}")
    command = begin(desk, CASES["mixed"])
    until_sync(lambda: command.session_id, "the session to begin", timeout_s=60)
    deadline = time.monotonic() + moment
    while time.monotonic() < deadline and command.process.poll() is None:
        time.sleep(0.01)
    killed_at = time.time()
    command.kill()
    calls = slow_api.calls().messages()
    # A dead gateway's connections break. An answer that had just been sent may not have been committed yet.
    ends = [0.0 if call.outcome == "completed" else killed_at for call in calls]
    ends = [max(end, call.ended_at or 0.0) for end, call in zip(ends, calls, strict=True)]
    on_the_wire = sum(end > killed_at - COMMIT_S for end in ends)
    assert command.session_id is not None
    code, finished = desk.run("resume", command.session_id)
    assert code == 0, finished
    assert answer_of(finished).startswith("f did: Go")
    stages = Counter(stage_of(call.request) for call in slow_api.calls().messages())
    repeated = sum(count - 1 for count in stages.values())
    unattributed = finished["usage"]["unattributed_calls"]
    print("ROW", f"{moment:.2f} s", f"repeated {repeated}, on the wire {on_the_wire}, lost {unattributed}")
    assert repeated <= min(on_the_wire, unattributed)


def tasks_given(api: ScriptedProcess, name: str) -> list[dict[str, Any]]:
    """The tasks an agent was given, each once."""
    return [
        task_of(call.request)
        for call in api.calls().messages()
        if who(call.request) == name and call.request.turn == 0
    ]


def test_inputs_are_what_the_wiring_says(desk: Desk, api: ScriptedProcess) -> None:
    """A stage gets the question and the note before it; a merging agent all results in their order."""
    begin(desk, CASES["pipeline"]).wait()
    assert tasks_given(api, "b") == [{"objective": "Go", "note": "a did: Go"}]
    command = begin(desk, CASES["fan_out"])
    assert command.wait() == 0
    (merged,) = tasks_given(api, "d")
    assert [(note["source"], note["output"]["note"]) for note in merged["notes"]] == [
        (name, f"{name} did: Go") for name in "abc"
    ]


def _below(spans: Sequence[Span], name: str) -> list[str]:
    """The spans that one hangs under, from its parent to the root."""
    known = {span.span_id: span for span in spans}
    (span,) = [span for span in spans if span.name == name]
    names = []
    while span.parent_span_id is not None:
        span = known[span.parent_span_id]
        names.append(span.name)
    return names
