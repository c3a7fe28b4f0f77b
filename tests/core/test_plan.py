"""The planner: whatever the order of events and wherever they stop, the same session comes out."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any, Literal

import pytest
from hypothesis import given

from harness import events as ev
from harness.errors import BadFlow
from harness.flow import FLOWS, Agent, AnyNode, Lead, flow_named
from harness.messages import Message
from harness.plan import Plan, Planner, plan, task_run_id
from harness.records import Limits, NeedsHelp, Outcome, derived_id
from harness.state import RunState
from harness.tracing.span import span_id, trace_id
from tests.kit.journals import (
    CASES,
    RESEARCH,
    SEEDS,
    SESSION,
    Book,
    Case,
    Simulator,
    children_of,
    created,
    few,
    printing_seeds,
    requested,
    run_created,
    started,
    task,
)
from tests.kit.processes import clean_env


@printing_seeds
@given(CASES, SEEDS, SEEDS)
def test_every_completion_order_ends_alike(case: Case, first: int, second: int) -> None:
    """Tasks that end in any order, with and without kills in between, give the session the same outcome."""
    smooth = Simulator(case, Random(first)).finish()
    killed = Simulator(case, Random(second)).finish(kill=0.1)
    for book in (smooth, killed):
        assert plan(case.flow, book.state).outcome == case.outcome


def goes_on_from(whole: Book, count: int, case: Case, seed: int) -> None:
    """Cut a journal after `count` events: something can be done or it has ended, and the end is the same."""
    book = whole.upto(count)
    decision = plan(case.flow, book.state)
    assert decision.create or decision.ready or decision.outcome, f"stuck after {count} events"
    ended = Simulator(case, Random(seed), book).finish()
    assert plan(case.flow, ended.state).outcome == case.outcome


@few
@given(CASES, SEEDS)
def test_any_prefix_is_resumable(case: Case, seed: int) -> None:
    """Cut after any event, a session has something to do or has ended, and goes on to the same outcome."""
    random = Random(seed)
    whole = Simulator(case, random).finish(kill=0.05)
    for count in random.sample(range(1, len(whole.events) + 1), min(5, len(whole.events))):
        goes_on_from(whole, count, case, seed)


def test_every_prefix_of_two_rounds_is_resumable() -> None:
    """The same for each event of one session with a joined call, a failed task and one that needs help."""
    case = Case(rounds=(("done", "needs_help", "failed"), ("done",)), joined=1)
    whole = Simulator(case, Random(1)).finish(kill=0.05)
    for count in range(1, len(whole.events) + 1):
        goes_on_from(whole, count, case, count)


@few
@given(CASES, SEEDS)
def test_what_is_planned_can_be_done(case: Case, seed: int) -> None:
    """Nothing is created twice, nothing ended or sleeping on open tasks is ready, and no state changes."""
    whole = Simulator(case, Random(seed)).finish(kill=0.05)
    state = whole.upto(1).state
    for event in whole.events:
        state.apply(event)
        before = copy.deepcopy(state) if event.seq % 10 == 0 else None
        decision = plan(case.flow, state)
        assert before in (None, state)
        assert plan(case.flow, state) == decision
        assert not {spec.id for spec in decision.create} & state.runs.keys()
        assert len({spec.id for spec in decision.create}) == len(decision.create)
        for run_id in decision.ready:
            run = state.runs[run_id]
            assert not run.final
            if run.waiting_on is not None:
                tasks = Planner(case.flow, state).tasks(run, run.waiting_on)
                assert all(below.outcome for _, below in tasks)


@few
@given(CASES, SEEDS)
def test_each_task_that_was_slept_for_runs_once(case: Case, seed: int) -> None:
    """Kills included, each task that was slept for has one agent run, and one of a voided request none."""
    book = Simulator(case, Random(seed)).finish(kill=0.1)
    (root,) = [run for run in book.state.runs.values() if run.parent_id is None]
    slept = [delegation for delegation in root.delegations.values() if delegation.suspended]
    expected = {
        task_run_id(SESSION, root.id, delegation.tool_use_id, number)
        for delegation in slept
        for number in range(1, len(delegation.tasks) + 1)
    }
    assert {run.id for run in children_of(book.state)} == expected
    ends = [event.agent_run_id for event in book.events if event.payload.kind == "agent_run.finished"]
    assert len(ends) == len(set(ends)) == len(book.state.runs)


def asleep(*tasks_: Message, members: Lead = RESEARCH) -> tuple[Book, RunState]:
    """A session whose lead sleeps on these tasks."""
    book = Book()
    book.add(created(members))
    (spec,) = plan(members, book.state).create
    book.add(run_created(spec), spec.id)
    run = book.state.runs[spec.id]
    book.add(started(run), run.id)
    book.add(requested("call"), run.id)
    book.add(ev.DelegationRequested(tool_use_id="toolu_1", call_id="call", tasks=tasks_), run.id)
    book.add(ev.AgentRunSuspended(tool_use_id="toolu_1", work_s=1), run.id)
    return book, run


def ends(book: Book, run_id: str, status: str = "done", **given: Any) -> None:
    """Commit that a run has ended."""
    outcome = Outcome(status=status, **given)  # type: ignore[arg-type]
    book.add(ev.AgentRunFinished(outcome=outcome, work_s=1), run_id)


def create_all(book: Book, flow: AnyNode = RESEARCH) -> list[str]:
    """Create what is planned and give the ids."""
    specs = plan(flow, book.state).create
    for spec in specs:
        book.add(run_created(spec), spec.id)
    return [spec.id for spec in specs]


def test_a_session_begins_with_its_root() -> None:
    """The first thing to create is the flow's agent, with the question as its task and its members."""
    book = Book()
    book.add(created(RESEARCH, question="How high are tides?"))
    decision = plan(RESEARCH, book.state)
    (root,) = decision.create
    assert (decision.ready, decision.outcome) == ((), None)
    assert (root.agent, root.parent_id, root.path) == ("lead", None, "q0")
    assert root.members == ("researcher", "checker")
    assert root.task.payload == {"question": "How high are tides?"}
    assert (root.task.source, root.task.destination, root.continues) == ("person", "lead", None)


def test_an_agent_alone_has_no_members() -> None:
    """A single agent cannot delegate."""
    flow = Agent(agent="analyst")
    book = Book()
    book.add(created(flow))
    (root,) = plan(flow, book.state).create
    assert (root.agent, root.members) == ("analyst", ())


def test_tasks_wait_for_the_suspension() -> None:
    """A requested delegation creates nothing before the lead's suspension is committed; its lead is ready."""
    book, run = asleep(task("researcher", {}))
    awake = book.upto(len(book.events) - 1)
    assert plan(RESEARCH, awake.state) == Plan(ready=(run.id,), live=(run.id,))
    assert [spec.agent for spec in plan(RESEARCH, book.state).create] == ["researcher"]


def test_joined_tasks_run_with_the_first_call() -> None:
    """A further call's tasks get numbers and paths after those of the first call, and keep its id."""
    book, run = asleep(task("researcher", {"n": 1}))
    again = Book(book.events[:-1])
    again.add(
        ev.DelegationJoined(tool_use_id="toolu_2", into="toolu_1", tasks=(task("checker", {"n": 2}),)), run.id
    )
    again.add(ev.AgentRunSuspended(tool_use_id="toolu_1", work_s=1), run.id)
    specs = plan(RESEARCH, again.state).create
    assert [(spec.agent, spec.path) for spec in specs] == [("researcher", "q0/1.1"), ("checker", "q0/1.2")]
    assert [spec.id for spec in specs] == [task_run_id(SESSION, run.id, "toolu_1", n) for n in (1, 2)]


def test_a_voided_delegation_starts_nothing() -> None:
    """After a request was voided the lead simply goes on."""
    book, run = asleep(task("researcher", {}))
    again = Book(book.events[:-1])
    again.add(ev.DelegationVoided(tool_use_id="toolu_1", reason="lost"), run.id)
    assert plan(RESEARCH, again.state).create == ()
    assert plan(RESEARCH, again.state).ready == (run.id,)


def test_a_second_round_has_paths_and_ids_of_its_own() -> None:
    """Tasks of a further delegation do not take the place of the first one's."""
    book, run = asleep(task("researcher", {}))
    (first,) = create_all(book)
    ends(book, first)
    book.add(started(run, entry="refire"), run.id)
    book.add(ev.ToolFinished(tool_use_id="toolu_1", tool="delegate"), run.id)
    asked = (task("researcher", {}, "toolu_2"),)
    book.add(ev.DelegationRequested(tool_use_id="toolu_2", call_id="call", tasks=asked), run.id)
    book.add(ev.AgentRunSuspended(tool_use_id="toolu_2", work_s=1), run.id)
    (spec,) = plan(RESEARCH, book.state).create
    assert (spec.path, book.state.runs[first].path) == ("q0/2.1", "q0/1.1")
    assert spec.id != first


def test_the_lead_is_woken_by_the_last_of_its_tasks() -> None:
    """While one task goes on only that task is ready; when all have ended, in whatever way, the lead is."""
    book, run = asleep(task("researcher", {}), task("checker", {}), task("researcher", {}))
    ids = create_all(book)
    assert plan(RESEARCH, book.state).ready == tuple(ids)
    for run_id, status in zip(ids[::-1], ("failed", "cancelled", "needs_help"), strict=True):
        assert run.id not in plan(RESEARCH, book.state).ready
        ends(book, run_id, status)
    assert plan(RESEARCH, book.state).ready == (run.id,)


def test_one_failing_never_stops_its_siblings() -> None:
    """A failed task leaves the others ready."""
    book, _ = asleep(task("researcher", {}), task("checker", {}))
    first, second = create_all(book)
    ends(book, first, "failed", problem="It broke.")
    assert plan(RESEARCH, book.state).ready == (second,)
    assert plan(RESEARCH, book.state).outcome is None


def test_leads_below_leads_are_followed() -> None:
    """Where a task's agent sleeps on tasks of its own, those are what can run."""
    book, _ = asleep(task("researcher", {}))
    (below,) = create_all(book)
    book.add(started(book.state.runs[below]), below)
    book.add(
        ev.DelegationRequested(tool_use_id="toolu_x", call_id=None, tasks=(task("checker", {}, "x"),)), below
    )
    book.add(ev.AgentRunSuspended(tool_use_id="toolu_x", work_s=1), below)
    (spec,) = plan(RESEARCH, book.state).create
    assert (spec.parent_id, spec.agent, spec.path) == (below, "checker", "q0/1.1/1.1")
    (leaf,) = create_all(book)
    ends(book, leaf)
    assert plan(RESEARCH, book.state).ready == (below,)


def test_the_session_ends_with_its_root() -> None:
    """The root's outcome is the session's, whatever it is."""
    statuses: list[Literal["done", "needs_help", "failed", "cancelled"]]
    statuses = ["done", "needs_help", "failed", "cancelled"]
    for status in statuses:
        book = Book()
        book.add(created())
        (root,) = create_all(book)
        ends(book, root, status, output="report")
        assert plan(RESEARCH, book.state).outcome == Outcome(status=status, output="report")


def test_a_follow_up_goes_on_where_the_first_question_ended() -> None:
    """A second question gets a root of its own that continues the first one's Claude session."""
    book = Book()
    book.add(created())
    (first,) = create_all(book)
    ends(book, first)
    book.add(ev.SessionAsked(question="And now?"))
    (spec,) = plan(RESEARCH, book.state).create
    assert (spec.continues, spec.path, spec.task.payload) == (first, "q1", {"question": "And now?"})
    assert spec.id != first


def test_a_reopened_root_is_ready_again() -> None:
    """A root that asked for help and was granted more goes on instead of ending the session."""
    book = Book()
    book.add(created())
    (root,) = create_all(book)
    ends(book, root, "needs_help", help=NeedsHelp(reason="cost"))
    book.add(ev.AgentRunReopened(limits=Limits(max_steps=9)), root)
    assert plan(RESEARCH, book.state).ready == (root,)


IDS = """
import json, sys
from random import Random
from tests.kit.journals import Case, Simulator
from harness.records import derived_id
book = Simulator(Case(rounds=(("done", "failed"), ("done",))), Random(3)).finish(kill=0.1)
ids = sorted(book.state.runs) + [derived_id("a", 1, "b"), book.state.trace_id]
print(json.dumps([ids, sorted(spec.path for spec in book.state.runs.values())]))
"""


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_ids_are_the_same_in_any_process(tmp_path: Path, hash_seed: str) -> None:
    """Another process, with other hash values, names the same runs."""
    root = Path(__file__).resolve().parents[2]
    answer = subprocess.run(
        [sys.executable, "-c", IDS],
        cwd=root,
        env=clean_env(tmp_path, "http://127.0.0.1:9", PYTHONHASHSEED=hash_seed),
        capture_output=True,
        text=True,
        check=True,
    )
    book = Simulator(Case(rounds=(("done", "failed"), ("done",))), Random(3)).finish(kill=0.1)
    ids = [*sorted(book.state.runs), derived_id("a", 1, "b"), book.state.trace_id]
    assert json.loads(answer.stdout) == [ids, sorted(run.path for run in book.state.runs.values())]


def test_ids_never_change_between_versions() -> None:
    """A journal of an earlier version names its runs as this one does, so these values are forever."""
    assert derived_id("a", 1, "b") == "1a6cb395-216e-5e32-8c43-b9d8f0fcb686"
    assert trace_id("a") == "ca978112ca1bbdcafac231b39a23dc4d"
    assert span_id("a", "model", "b") == "37c19d21c1bbbd84"


def test_parts_of_an_id_do_not_run_together() -> None:
    """("ab", "c") and ("a", "bc") are different things."""
    assert derived_id("ab", "c") != derived_id("a", "bc")


def test_built_in_flows_name_their_bundles_and_unknown_ones_are_refused() -> None:
    """A name nobody has is answered with those there are."""
    for name, flow in FLOWS.items():
        assert flow_named(name) is flow
        assert flow.name == name
    with pytest.raises(BadFlow, match="no flow named 'reserch'; choose one of research, single"):
        flow_named("reserch")
