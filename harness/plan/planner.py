"""The planner: what can run now follows from the flow and the journal's fold alone.

It keeps no state, reads no clock and touches nothing. A fresh run, a resume, a worker on another machine and
a dry run all ask the same question.
"""

from __future__ import annotations

from dataclasses import replace

from harness.events import MergeDecided
from harness.flow import (
    Agent,
    AnyNode,
    Blackboard,
    FanOut,
    Handoff,
    Lead,
    Pipeline,
    Supervisor,
    Team,
    children,
    label,
    node_at,
)
from harness.messages import Message
from harness.plan.board import blackboard
from harness.plan.fan_out import fan_out
from harness.plan.routing import supervised
from harness.plan.sequence import handoff, pipeline
from harness.plan.step import Place, Plan, RunSpec, ended, together
from harness.plan.task import task_for
from harness.records import derived_id
from harness.state import Delegation, RunState, SessionState


class Planner:
    """Decides about one session. The patterns call it for the nodes they hold."""

    def __init__(self, flow: AnyNode, state: SessionState) -> None:
        self.flow = flow
        self.state = state
        self._merged: list[MergeDecided] = []

    def session(self) -> Plan:
        """Decide what can run now for the newest question."""
        turn = len(self.state.questions) - 1
        key, path = derived_id(self.state.root_id, "root", turn), f"q{turn}"
        # A further question begins with what the earlier ones have written.
        earlier = [write.seq for write in self.state.written if write.path.split("/")[0] != path]
        place = Place(key, path, "", essential=True, since=max(earlier, default=0))
        asked = Message(
            id=derived_id(self.state.root_id, "question", turn),
            kind="task",
            source="person",
            destination=label(self.flow),
            payload={"question": self.state.questions[turn]},
            schema_name="question",
            trace_id=self.state.trace_id,
        )
        whole = self.node(self.flow, place, task_for(self.state, self.flow, place, asked, asked.payload))
        wanted = set(whole.live)
        left = (run.id for run in self.state.runs.values() if not run.final and run.id not in wanted)
        return replace(whole, cancel=tuple(left), merged=tuple(self._merged))

    def note(self, decided: MergeDecided) -> None:
        """Note that a fan-out has been decided, unless the journal says so already."""
        if decided.place not in self.state.merged:
            self._merged.append(decided)

    def node(self, node: AnyNode, place: Place, task: Message) -> Plan:
        """Decide about a node that has been given a task."""
        match node:
            case Agent() | Lead():
                return self._agent(node, place, task)
            case Pipeline():
                return pipeline(self, node, place, task)
            case Handoff():
                return handoff(self, node, place, task)
            case FanOut():
                return fan_out(self, node, place, task)
            case Supervisor() | Team():
                return supervised(self, node, place, task)
            case Blackboard():
                return blackboard(self, node, place, task)

    def _agent(self, node: Agent | Lead, place: Place, task: Message) -> Plan:
        run = self.state.runs.get(place.key)
        if run is None:
            spec = RunSpec(
                id=place.key,
                agent=node.agent,
                parent_id=place.parent_id,
                path=place.path,
                task=task,
                members=tuple(label(member) for member in children(node).values()),
                continues=self._continued(place),
                address=place.address,
                essential=place.essential,
                limits=node.limits,
                gate=node.gate,
                write=node.write,
            )
            return Plan(create=(spec,))
        if run.final:
            return ended(run)
        if run.status == "checking" and node.gate is not None and not run.judged:
            return self._checked(node, place, run)
        delegation = run.waiting_on
        if delegation is None:
            return Plan(ready=(run.id,), live=(run.id,))
        below = [plan for _, plan in self.tasks(run, delegation)]
        if all(plan.outcome is not None for plan in below):
            return Plan(ready=(run.id,), live=(run.id,))
        return together([Plan(live=(run.id,)), *below])

    def tasks(self, run: RunState, delegation: Delegation) -> list[tuple[Message, Plan]]:
        """Each task of a delegation, in order, and how it stands."""
        below = children(node_at(self.flow, run.address))
        members = {label(member): (where, member) for where, member in below.items()}
        since = run.created_seq
        found: list[tuple[Message, Plan]] = []
        for nth, each in enumerate(run.delegations.values(), start=1):
            found = []
            for number, task in enumerate(each.tasks, start=1):
                if task.kind == "grant":
                    found.append((task, self.granted(task)))
                    continue
                where, member = members.get(task.destination, ("", Agent(agent=task.destination)))
                place = Place(
                    key=task_run_id(self.state.root_id, run.id, each.tool_use_id, number),
                    path=f"{run.path}/{nth}.{number}",
                    address="/".join(part for part in (run.address, where) if part),
                    parent_id=run.id,
                    since=since,
                )
                found.append((task, self.node(member, place, task)))
            if each.tool_use_id == delegation.tool_use_id:
                break
            since = max(since, *(plan.at for _, plan in found))
        return found

    def granted(self, grant: Message) -> Plan:
        """The agent run that a message lets go on, with more than it had."""
        run = self.state.runs[grant.destination]
        if grant.id not in run.granted_by:
            return Plan(reopen=((run.id, grant),))
        place = Place(run.id, run.path, run.address, run.parent_id, since=run.created_seq)
        return self.node(node_at(self.flow, run.address), place, run.task)

    def _checked(self, node: Agent | Lead, place: Place, run: RunState) -> Plan:
        """The verifier's agent run for what the agent has answered; once it has ended, the agent is ready."""
        assert node.gate is not None
        key = verifier_run_id(run)
        verifier = self.state.runs.get(key)
        if verifier is None:
            task = Message(
                id=derived_id(key, "task"),
                kind="task",
                source=run.id,
                destination=node.gate.verifier,
                payload={"task": run.task.payload, "output": run.proposal},
                schema_name=f"{node.gate.verifier}.input",
                trace_id=run.task.trace_id,
                in_reply_to=run.task.id,
            )
            path = f"{place.path}/check.{len(run.verdicts) + 1}"
            spec = RunSpec(
                key, node.gate.verifier, run.id, path, task, role="verifier", address=place.address
            )
            return Plan(create=(spec,), live=(run.id,))
        if verifier.final:
            return Plan(ready=(run.id,), live=(run.id,))
        return Plan(ready=(verifier.id,), live=(run.id, verifier.id))

    def _continued(self, place: Place) -> str | None:
        """The agent run that a follow-up question goes on from, if the flow's root is an agent itself."""
        turn = len(self.state.questions) - 1
        if place.address or place.parent_id is not None or not turn:
            return None
        return derived_id(self.state.root_id, "root", turn - 1)


def plan(flow: AnyNode, state: SessionState) -> Plan:
    """Decide what can run now."""
    return Planner(flow, state).session()


def task_run_id(root_id: str, parent_id: str, tool_use_id: str, number: int) -> str:
    """Name the agent run of a delegated task (counted from 1), the same in any process and any fork."""
    return derived_id(root_id, parent_id, tool_use_id, number)


def verifier_run_id(run: RunState) -> str:
    """Name the agent run that judges what a run has just answered."""
    return derived_id(run.id, "verifier", len(run.verdicts))
