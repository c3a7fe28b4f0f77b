"""A session of any flow played on a book: what the planner says is done, in an order that chance decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from harness import events as ev
from harness.delegation import DELEGATE
from harness.flow import Agent, AnyNode, Lead, Supervisor, Team, node_at
from harness.messages import Message
from harness.plan import Place, Planner, RunSpec, payload_of, plan, result_of, results_so_far, verifier_run_id
from harness.records import Limits, Outcome
from harness.state import RunState
from tests.kit.journals import (
    RESUMED,
    TOO_MANY,
    Book,
    created,
    finished,
    requested,
    run_created,
    started,
    task,
)
from tests.kit.scripted_agents import Verdict, delegated, draft, routed, unfixed, verdict
from tests.kit.trees import QUESTION, Tree

Work = Iterator[ev.AnyPayload]


@dataclass
class Play:
    """Advances a book as the engine would: what was planned is carried out while others are at work.

    Like the engine it may carry out a plan that events of others have overtaken meanwhile.
    """

    tree: Tree
    random: Random
    book: Book = field(default_factory=Book)
    _at_work: dict[str, Work] = field(default_factory=dict)
    _to_create: list[RunSpec] = field(default_factory=list)

    def finish(self, kill: float = 0.0) -> Book:
        """Go on to the session's end. Before each event the process is killed with the probability `kill`."""
        while self.step():
            assert len(self.book.events) < TOO_MANY, "the session does not end"
            if self.random.random() < kill and self.book.state.created is not None:
                self.book = self.book.upto(len(self.book.events))
                self.book.add(RESUMED)
                self._at_work.clear()
                self._to_create.clear()
        return self.book

    def step(self) -> bool:
        """Commit the next event; false when the session has ended and nobody is at work for it."""
        book = self.book
        if book.state.created is None:
            book.add(created(self.tree.flow, question=QUESTION, state=self.tree.state))
            return True
        if self._to_create and self.random.random() < 0.7:
            self._create(self._to_create.pop(0))
            return True
        decision = plan(self.tree.flow, book.state)
        self._to_create = list(decision.create)
        for run_id in decision.ready:
            self._at_work.setdefault(run_id, self._work(book.state.runs[run_id]))
        steps = [
            *self._at_work,
            *(["create"] if decision.create else []),
            *(["cancel"] * len(decision.cancel)),
        ]
        if not steps:
            assert decision.outcome is not None, "stuck: nothing to do, and no outcome"
            return False
        match self.random.choice(steps):
            case "create":
                self._create(self._to_create.pop(0))
            case "cancel":
                run_id = self.random.choice(decision.cancel)
                self._at_work.pop(run_id, None)
                book.add(ev.AgentRunFinished(outcome=Outcome(status="cancelled"), work_s=0), run_id)
            case run_id:
                payload = next(self._at_work[run_id], None)
                if payload is None:
                    del self._at_work[run_id]
                else:
                    book.add(payload, run_id)
        return True

    def _create(self, spec: RunSpec) -> None:
        self.book.add(run_created(spec), spec.id)

    def reopen(self, run_id: str) -> None:
        """Give a run that needs help what it lacks."""
        self.book.add(ev.AgentRunReopened(limits=Limits(), answer="Here is a map."), run_id)

    def _helped(self, run: RunState) -> bool:
        mine = (event.payload for event in self.book.events if event.agent_run_id == run.id)
        return any(isinstance(payload, ev.AgentRunReopened) for payload in mine)

    def _node(self, run: RunState) -> AnyNode:
        return node_at(self.tree.flow, run.address)

    def _work(self, run: RunState) -> Work:
        match run.role:
            case "router":
                yield from self._route(run)
            case "verifier":
                yield from self._verify(run)
            case _ if run.status == "checking":
                yield from self._judge(run)
            case _:
                yield from self._agent(run)

    def _call(self, run: RunState) -> Work:
        call_id = f"{run.id}-{run.calls}"
        yield requested(call_id)
        yield finished(call_id)

    def _end(self, run: RunState, outcome: Outcome) -> Work:
        given = payload_of(outcome)
        known: dict[str, Any] = given if outcome.status == "done" and isinstance(given, dict) else {}
        writes = {name: known[source] for name, source in run.write.items() if source in known}
        yield ev.AgentRunFinished(outcome=outcome, work_s=1, writes=writes)

    def _route(self, run: RunState) -> Work:
        node = self._node(run)
        assert isinstance(node, Supervisor | Team)
        place = Place(run.id, run.path, run.address, run.parent_id)
        found = results_so_far(Planner(self.tree.flow, self.book.state), node, place, run)
        assert len(found) == len(run.decisions), "asked again before the last decision was worked off"
        yield started(run, entry="route", folder="")
        yield from self._call(run)
        decision = routed(node, run.task.payload, [told for _, told, _ in found])
        if isinstance(decision, Outcome):
            helped = Outcome(status="done", output="With help.")
            yield from self._end(run, helped if self._helped(run) else decision)
            return
        to, given = decision
        number = len(run.decisions) + 1
        yield ev.RoutingDecided(number=number, to=to, task=task(to, given, run.id, number), reason="luck")

    def _verify(self, run: RunState) -> Work:
        yield started(run)
        judged = self._node(run)
        assert isinstance(judged, Agent | Lead)
        said = verdict(judged, run.task.payload["output"])
        if said == "error":
            yield from self._end(run, Outcome(status="failed", problem="It was throttled."))
        else:
            yield from self._end(run, Outcome(status="done", output={"verdict": said, "problem": "Better."}))

    def _judge(self, run: RunState) -> Work:
        if not run.judged:
            verifier = self.book.state.runs[verifier_run_id(run)]
            assert verifier.outcome is not None
            assert run.gate is not None
            said: Verdict = verifier.outcome.output["verdict"] if verifier.status == "done" else "error"
            if said == "fix" and run.fixes == run.gate.fixes:
                yield from self._end(run, unfixed(run.proposal))
                return
            yield ev.GateDecided(by=verifier.agent, verdict=said, problem="Better.")
            if said == "fix":
                return
        yield from self._end(run, Outcome(status="done", output=run.proposal))

    def _agent(self, run: RunState) -> Work:
        node = self._node(run)
        assert isinstance(node, Agent | Lead)
        for asked in list(run.delegations.values()):
            if not (asked.suspended or asked.voided):
                # What a dead process has left: is the whole call in the transcript, or was it lost?
                if self.random.random() < 0.5 or len(asked.tasks) < len(self._asked(run)):
                    yield ev.DelegationVoided(tool_use_id=asked.tool_use_id, reason="lost")
                else:
                    yield ev.AgentRunSuspended(tool_use_id=asked.tool_use_id, work_s=0)
                    return
        waiting = next((d for d in run.delegations.values() if d.suspended and not d.delivered), None)
        yield started(run, entry="refire" if waiting else "prompt" if run.attempt else "fresh")
        if waiting is not None:
            yield ev.ToolFinished(tool_use_id=waiting.tool_use_id, tool=DELEGATE)
        if self.random.random() < 0.1:
            yield ev.AgentRunInterrupted(reason="the service was away", work_s=1)
            return
        yield from self._call(run)
        if self._asked(run):
            yield from self._delegate(run)
            return
        outcome = draft(node, run.task.payload, self._results(run), run.fixes)
        if self._helped(run) and outcome.status != "done":
            outcome = Outcome(status="done", output="With help.")
        if outcome.status == "done" and run.gate is not None and not self._helped(run):
            yield ev.AgentRunAnswered(output=outcome.output, work_s=1)
        else:
            yield from self._end(run, outcome)

    def _asked(self, run: RunState) -> list[tuple[str, Any]]:
        node = self._node(run)
        return delegated(node, run.task.payload, self._results(run)) if isinstance(node, Lead) else []

    def _results(self, run: RunState) -> list[list[dict[str, Any]]]:
        planner = Planner(self.tree.flow, self.book.state)
        found = []
        for delegation in run.delegations.values():
            if delegation.delivered:
                told = [(message, each.outcome) for message, each in planner.tasks(run, delegation)]
                assert all(outcome for _, outcome in told), "woken before all its tasks had ended"
                found.append(
                    [result_of(message.destination, outcome) for message, outcome in told if outcome]
                )
        return found

    def _delegate(self, run: RunState) -> Work:
        first = f"toolu_{run.id}_{len(run.delegations)}"
        asked = enumerate(self._asked(run), start=1)
        tasks: list[Message] = [task(to, given, first, number) for number, (to, given) in asked]
        split = self.random.randint(1, len(tasks))
        yield ev.DelegationRequested(tool_use_id=first, call_id=run.last_call, tasks=tuple(tasks[:split]))
        if tasks[split:]:
            yield ev.DelegationJoined(tool_use_id=f"{first}_more", into=first, tasks=tuple(tasks[split:]))
        yield ev.AgentRunSuspended(tool_use_id=first, work_s=1)
