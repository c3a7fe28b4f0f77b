"""Journals in memory, and a simulator that fills them as the engine would, one event at a time.

    case = Case(rounds=(("done", "failed"), ("done",)))
    book = Simulator(case, Random(7)).finish(kill=0.1)
    assert plan(case.flow, book.state).outcome == case.outcome

Nothing here runs a process or knows a database: what the simulator does next follows from the fold alone, so
it can be stopped after any event and taken up again.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Literal

from hypothesis import settings
from hypothesis import strategies as st

from harness import events as ev
from harness.delegation import DELEGATE, results
from harness.flow import AnyNode, Lead, children, label
from harness.messages import Message
from harness.plan import RunSpec, plan
from harness.records import Limits, NeedsHelp, Outcome, Usage
from harness.state import RunState, SessionState, fold
from harness.tracing.span import trace_id

Fate = Literal["done", "needs_help", "failed"]

SESSION = "5a7a9dc0-6a0e-4b59-9a39-3c2f2d1b6d10"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
TOO_MANY = 5000
"""Events that no session of the simulator comes near, unless it goes round in circles."""
RESEARCH = Lead(agent="lead", members=("researcher", "checker"))
RESUMED = ev.SessionResumed(token=2, host="here", pid=1)
CALL_USAGE = Usage(input_tokens=10, output_tokens=1, model_calls=1, attempts=1)


class Book:
    """A session's journal and the fold of it."""

    def __init__(self, events: Iterable[ev.Event] = (), session_id: str = SESSION) -> None:
        self.events = list(events)
        self.state = fold(session_id, self.events)

    def add(self, payload: ev.AnyPayload, run_id: str | None = None) -> ev.Event:
        """Append an event and fold it in."""
        event = ev.Event(
            session_id=self.state.id,
            seq=self.state.head + 1,
            id=str(uuid.uuid4()),
            agent_run_id=run_id,
            span_id=self.state.trace.moves(payload, run_id, self.state.runs).within,
            recorded_at=BEGAN + timedelta(seconds=self.state.head),
            payload=payload,
        )
        self.events.append(event)
        self.state.apply(event)
        return event

    def upto(self, count: int) -> Book:
        """What a fresh process would read if only the first `count` events had been committed."""
        return Book(self.events[:count], self.state.id)


def created(flow: AnyNode = RESEARCH, **given: Any) -> ev.SessionCreated:
    """A session's first event."""
    fields: dict[str, Any] = {
        "tenant": "t",
        "question": "Why?",
        "flow_name": "test",
        "flow": flow,
        "upstream": "offline",
        "limits": Limits(),
    }
    return ev.SessionCreated(**(fields | given))


def run_created(spec: RunSpec, limits: Limits | None = None) -> ev.AgentRunCreated:
    """The event that brings a planned agent run into the journal."""
    return ev.AgentRunCreated(
        agent=spec.agent,
        bundle_version="v1",
        parent_id=spec.parent_id,
        path=spec.path,
        task=spec.task,
        members=spec.members,
        limits=limits or Limits(),
        continues=spec.continues,
        address=spec.address,
        role=spec.role,
        essential=spec.essential,
        gate=spec.gate,
        write=dict(spec.write),
    )


def started(run: RunState, **given: Any) -> ev.AgentRunStarted:
    """The event that precedes a CLI process."""
    fields: dict[str, Any] = {
        "attempt": run.attempt + 1,
        "entry": "prompt" if run.attempt else "fresh",
        "recovered": run.attempt > 0 and run.status != "suspended",
        "claude_session_id": run.claude_session_id or f"claude-{run.id}",
        "folder": f"/nowhere/{run.id}-{run.attempt + 1}",
    }
    return ev.AgentRunStarted(**(fields | given))


def requested(call_id: str, **given: Any) -> ev.ModelRequested:
    """The checkpoint of a model call; its body's hash is its id unless given."""
    fields: dict[str, Any] = {"request_hash": call_id, "ordinal": 0, "auxiliary": False, "model": "m"}
    return ev.ModelRequested(call_id=call_id, **(fields | given))


def finished(call_id: str, **given: Any) -> ev.ModelFinished:
    """The end of a model call."""
    fields: dict[str, Any] = {
        "auxiliary": False,
        "model": "m",
        "message_id": f"msg_{call_id}",
        "stop_reason": "tool_use",
        "usage": CALL_USAGE,
        "cost_usd": 0.5,
        "first_token_s": 0.1,
    }
    return ev.ModelFinished(call_id=call_id, **(fields | given))


def tool_requested(tool_use_id: str, tool: str = "mcp__corpus__search", **given: Any) -> ev.ToolRequested:
    """The checkpoint of a tool call."""
    fields: dict[str, Any] = {"input": {"query": "tides"}, "call_id": None, "replay": "read_only"}
    return ev.ToolRequested(tool_use_id=tool_use_id, tool=tool, **(fields | given))


def task(to: str, payload: Any, tool_use_id: str = "toolu", number: int = 1) -> Message:
    """A task as a delegation carries it."""
    return Message(
        id=f"{tool_use_id}-{number}",
        kind="task",
        source="lead",
        destination=to,
        payload=payload,
        schema_name=f"{to}.input",
        trace_id=trace_id(SESSION),
    )


@dataclass(frozen=True)
class Case:
    """A session that will be simulated: for each round of delegation how its tasks are going to end.

    `joined` of a round's tasks come by a second call of the same turn.
    """

    rounds: tuple[tuple[Fate, ...], ...] = ()
    joined: int = 0
    flow: Lead = RESEARCH

    @property
    def outcome(self) -> Outcome:
        """What the session has to end with, in whatever order its parts ended."""
        return Outcome(
            status="done",
            output=[
                [self._result(n, number, fate) for number, fate in enumerate(fates, start=1)]
                for n, fates in enumerate(self.rounds)
            ],
        )

    def tasks(self, n: int, tool_use_id: str) -> tuple[Message, ...]:
        """The tasks of a round."""
        return tuple(
            task(self._to(number), {"round": n, "number": number}, tool_use_id, number)
            for number in range(1, len(self.rounds[n]) + 1)
        )

    def fate(self, run: RunState) -> Outcome:
        """How a task's agent run ends."""
        n, number = run.task.payload["round"], run.task.payload["number"]
        match self.rounds[n][number - 1]:
            case "done":
                return Outcome(status="done", output={"found": f"{n}.{number}"})
            case "needs_help":
                help_ = NeedsHelp(reason="steps")
                return Outcome(
                    status="needs_help", output={"found": "a part"}, problem="Out of steps.", help=help_
                )
            case _:
                return Outcome(status="failed", problem=f"Task {n}.{number} failed.")

    def _to(self, number: int) -> str:
        members = [label(member) for member in children(self.flow).values()]
        return members[number % len(members)]

    def _result(self, n: int, number: int, fate: Fate) -> dict[str, Any]:
        ends: dict[str, dict[str, Any]] = {
            "done": {"output": {"found": f"{n}.{number}"}},
            "needs_help": {"problem": "Out of steps.", "output": {"found": "a part"}, "reason": "steps"},
            "failed": {"problem": f"Task {n}.{number} failed."},
        }
        return {"task": number, "to": self._to(number), "status": fate, **ends[fate]}


FATES: list[Fate] = ["done", "needs_help", "failed"]
CASES = st.builds(
    Case,
    rounds=st.lists(st.lists(st.sampled_from(FATES), min_size=1, max_size=4).map(tuple), max_size=3).map(
        tuple
    ),
    joined=st.integers(0, 2),
)
SEEDS = st.integers(0, 2**32 - 1)
"""Of a `Random` that orders events; a failing test names it among its arguments."""

printing_seeds = settings(max_examples=60, deadline=None, print_blob=True)
few = settings(printing_seeds, max_examples=25)

Work = Iterator[ev.AnyPayload]


@dataclass
class Simulator:
    """Advances a book by what the planner says, in an order that `random` decides."""

    case: Case
    random: Random
    book: Book = field(default_factory=Book)
    _at_work: dict[str, Work] = field(default_factory=dict)

    def finish(self, kill: float = 0.0) -> Book:
        """Go on to the session's end. Before each event the process is killed with the probability `kill`."""
        while self.step():
            assert len(self.book.events) < TOO_MANY, "the session does not end"
            if self.random.random() < kill and self.book.state.created is not None:
                self.book = self.book.upto(len(self.book.events))
                self.book.add(RESUMED)
                self._at_work.clear()
        return self.book

    def step(self) -> bool:
        """Commit the next event; false when the session has ended."""
        book = self.book
        if book.state.created is None:
            book.add(created(self.case.flow))
            return True
        decision = plan(self.case.flow, book.state)
        if decision.outcome is not None:
            return False
        if decision.create:
            spec = self.random.choice(decision.create)
            book.add(run_created(spec), spec.id)
            return True
        for run_id in decision.ready:
            self._at_work.setdefault(run_id, self._work(book.state.runs[run_id]))
        run_id = self.random.choice(list(self._at_work))
        payload = next(self._at_work[run_id], None)
        if payload is None:
            del self._at_work[run_id]
        else:
            book.add(payload, run_id)
        return True

    def _work(self, run: RunState) -> Work:
        return self._lead(run) if run.parent_id is None else self._task(run)

    def _lead(self, run: RunState) -> Work:
        state = self.book.state
        for asked in list(run.delegations.values()):
            if not (asked.suspended or asked.voided):
                yield from self._found(run, asked.tool_use_id, len(asked.tasks))
                if asked.suspended:
                    return
        waiting = next((d for d in run.delegations.values() if d.suspended and not d.delivered), None)
        yield started(run, entry="refire" if waiting else "prompt" if run.attempt else "fresh")
        if waiting is not None:
            yield ev.ToolFinished(tool_use_id=waiting.tool_use_id, tool=DELEGATE)
        delivered = [d for d in run.delegations.values() if d.delivered]
        yield from self._call(run)
        if len(delivered) == len(self.case.rounds):
            told = [without_ids(results(state, run, delegation)) for delegation in delivered]
            yield ev.AgentRunFinished(outcome=Outcome(status="done", output=told), work_s=1)
            return
        yield from self._delegate(run, len(delivered))

    def _found(self, run: RunState, tool_use_id: str, committed: int) -> Work:
        """A process finds a request that was not slept for: is the call in the transcript or was it lost?"""
        n = sum(d.delivered for d in run.delegations.values())
        if committed < len(self.case.rounds[n]) or self.random.random() < 0.5:
            yield ev.DelegationVoided(tool_use_id=tool_use_id, reason="lost")
        else:
            yield ev.AgentRunSuspended(tool_use_id=tool_use_id, work_s=0)

    def _delegate(self, run: RunState, n: int) -> Work:
        first = f"toolu_{n}_{len(run.delegations)}"
        tasks = self.case.tasks(n, first)
        split = max(1, len(tasks) - self.case.joined)
        yield ev.DelegationRequested(tool_use_id=first, call_id=run.last_call, tasks=tasks[:split])
        if tasks[split:]:
            yield ev.DelegationJoined(tool_use_id=f"{first}_more", into=first, tasks=tasks[split:])
        yield ev.AgentRunSuspended(tool_use_id=first, work_s=1)

    def _task(self, run: RunState) -> Work:
        yield started(run)
        yield from self._call(run)
        tool_use_id = f"toolu_{run.id}_{len(run.tools)}"
        yield tool_requested(tool_use_id)
        yield ev.ToolFinished(tool_use_id=tool_use_id, tool="mcp__corpus__search", sources=("S1",))
        if self.random.random() < 0.2:
            yield ev.AgentRunInterrupted(reason="the service was away", work_s=1)
            return
        yield from self._call(run)
        yield ev.AgentRunFinished(outcome=self.case.fate(run), work_s=1)

    def _call(self, run: RunState) -> Work:
        call_id = f"{run.id}-{run.calls}"
        yield requested(call_id)
        yield finished(call_id)


def without_ids(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results without what a task that needs help is named by."""
    return [{name: value for name, value in each.items() if name != "continue"} for each in found]


def children_of(state: SessionState) -> list[RunState]:
    """Every agent run that was delegated to."""
    return [run for run in state.runs.values() if run.parent_id is not None]
