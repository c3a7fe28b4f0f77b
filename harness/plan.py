"""The planner: what can run now follows from the flow and the journal's fold alone.

It keeps no state, reads no clock and touches nothing. A fresh run, a resume, a worker on another machine and
a dry run all ask the same question.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.events import trace_id
from harness.flow import Agent, Lead
from harness.messages import Message
from harness.records import Outcome, derived_id
from harness.state import Delegation, RunState, SessionState


@dataclass(frozen=True)
class RunSpec:
    """An agent run that should exist: who, for whom, with what task."""

    id: str
    agent: str
    parent_id: str | None
    path: str
    task: Message
    members: tuple[str, ...] = ()
    continues: str | None = None


@dataclass(frozen=True)
class Plan:
    """What follows from the journal.

    `create` are agent runs that are not in the journal yet, `ready` are ids of those in it that can go on
    (started, interrupted or woken), `outcome` is the session's, once everything has ended. All empty: wait.
    """

    create: tuple[RunSpec, ...] = ()
    ready: tuple[str, ...] = ()
    outcome: Outcome | None = None


def plan(flow: Agent | Lead, state: SessionState) -> Plan:
    """Decide what can run now."""
    turn = len(state.questions) - 1
    root_id = derived_id(state.id, "root", turn)
    root = state.runs.get(root_id)
    if root is None:
        return Plan(create=(_root(flow, state, turn, root_id),))
    if root.final:
        return Plan(outcome=root.outcome)
    return _advance(state, root)


def task_run_id(session_id: str, parent_id: str, tool_use_id: str, number: int) -> str:
    """Name the agent run of a delegated task (counted from 1), the same in any process."""
    return derived_id(session_id, parent_id, tool_use_id, number)


def tasks_of(
    state: SessionState, run: RunState, delegation: Delegation
) -> list[tuple[RunSpec, RunState | None]]:
    """Give each task of a delegation with its agent run, where it exists already."""
    pairs = []
    for number, task in enumerate(delegation.tasks, start=1):
        run_id = task_run_id(state.id, run.id, delegation.tool_use_id, number)
        path = f"{run.path}/{len(run.delegations)}.{number}"
        existing = state.runs.get(run_id)
        spec = RunSpec(run_id, task.destination, run.id, existing.path if existing else path, task)
        pairs.append((spec, existing))
    return pairs


def _root(flow: Agent | Lead, state: SessionState, turn: int, root_id: str) -> RunSpec:
    previous = derived_id(state.id, "root", turn - 1) if turn else None
    task = Message(
        id=derived_id(state.id, "question", turn),
        kind="task",
        source="person",
        destination=flow.agent,
        payload={"question": state.questions[turn]},
        schema_name="question",
        trace_id=trace_id(state.id),
    )
    members = flow.members if isinstance(flow, Lead) else ()
    return RunSpec(root_id, flow.agent, None, f"q{turn}", task, members, previous)


def _advance(state: SessionState, run: RunState) -> Plan:
    """Give what can be done for a run that has not ended, or for the runs it sleeps for."""
    delegation = run.waiting_on
    if delegation is None:
        return Plan(ready=(run.id,))
    create: list[RunSpec] = []
    ready: list[str] = []
    for spec, existing in tasks_of(state, run, delegation):
        if existing is None:
            create.append(spec)
        elif not existing.final:
            below = _advance(state, existing)
            create.extend(below.create)
            ready.extend(below.ready)
    if create or ready:
        return Plan(create=tuple(create), ready=tuple(ready))
    every_task_ended = all(task and task.final for _, task in tasks_of(state, run, delegation))
    return Plan(ready=(run.id,)) if every_task_ended else Plan()
