"""One session, as its journal tells it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from harness import events as ev
from harness.records import Limits, SessionStatus, Usage
from harness.state.board import Write, values
from harness.state.run import RunState, apply_to_run, part_from_origin
from harness.state.spent import Spent
from harness.state.trace import Trace
from harness.tracing.span import trace_id


@dataclass
class SessionState:
    """One session.

    Of a fork `root_id` is the session that its first agent runs were named by, `inherited` what they had used
    when it was forked. `halted` says that it, or the session it was forked from, had ended and no
    agent has gone on since.
    """

    id: str
    tenant: str = ""
    question: str = ""
    questions: list[str] = field(default_factory=list)
    created: ev.SessionCreated | None = None
    status: SessionStatus = "running"
    limits: Limits = field(default_factory=Limits)
    runs: dict[str, RunState] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)
    report: str | None = None
    problem: str | None = None
    citations: dict[str, Any] | None = None
    finished: bool = False
    halted: bool = False
    head: int = 0
    progress: int = 0
    """Events by which it has got on."""
    merged: set[str] = field(default_factory=set)
    written: list[Write] = field(default_factory=list)
    root_id: str = ""
    forked: ev.SessionForked | None = None
    inherited: Spent = field(default_factory=Spent)
    before_turn: Spent = field(default_factory=Spent)
    """What had been used when the turn began that is at work now, or was last."""
    recorded: bool = False
    replay_stopped: ev.ReplayStopped | None = None
    trace: Trace = field(init=False)

    def __post_init__(self) -> None:
        self.root_id = self.root_id or self.id
        self.trace = Trace(self.id)

    @property
    def trace_id(self) -> str:
        """The trace of all that happens in it."""
        return trace_id(self.id)

    @property
    def replays(self) -> str | None:
        """The recorded session that this one is a replay of."""
        return self.created.replays if self.created else None

    @property
    def spent(self) -> Spent:
        """What all agent runs used in this session; what a fork has inherited was paid in its origin."""
        return sum((run.spent for run in self.runs.values()), Spent()) - self.inherited

    @property
    def usage(self) -> Usage:
        """What all agent runs used in this session."""
        return self.spent.usage

    @property
    def cost_usd(self) -> float | None:
        """The cost in US dollars at list prices; None when a model without a known price was used.

        A replay costs nothing. Its agent runs count what the recorded answers cost, for limits to bite where
        they did.
        """
        return 0.0 if self.replays else self.spent.cost_usd

    @property
    def known_usd(self) -> float:
        """The cost in US dollars as far as prices are known, against which a budget is held."""
        return sum(run.cost_usd for run in self.runs.values()) - self.inherited.known_usd

    @property
    def known_tokens(self) -> int:
        """The tokens that are known to have been used, against which a budget is held."""
        return sum(run.tokens for run in self.runs.values()) - self.inherited.usage.total_tokens

    def children(self, run_id: str | None) -> list[RunState]:
        """The agent runs started by this one, in order."""
        return [run for run in self.runs.values() if run.parent_id == run_id]

    def board(self, *, before: int | None = None) -> dict[str, Any]:
        """The shared state, or what it was before the event of this number."""
        known = [write for write in self.written if before is None or write.seq < before]
        return values(self.created.state if self.created else {}, known)

    def apply(self, event: ev.Event) -> None:
        """Fold one event in. Events come in order of `seq`; one seen already changes nothing."""
        if event.seq <= self.head:
            return
        self.head = event.seq
        moves = self.trace.follow(event.payload, event.agent_run_id, self.runs)
        if any(step.kind == "turn" for step in moves.opened):
            self.before_turn = self.spent
        run = self.runs.get(event.agent_run_id or "")
        if run is None:
            self._apply_session(event)
        else:
            self._apply_to_run(run, event)

    def _apply_to_run(self, run: RunState, event: ev.Event) -> None:
        apply_to_run(run, event)
        self.progress += type(event.payload).PROGRESS
        match event.payload:
            case ev.AgentRunStarted():
                self.halted = False
            case ev.ReplayStopped() as stopped:
                self.replay_stopped = stopped
            case ev.ToolFinished(sources=sources):
                self.read.update(sources)
            case ev.AgentRunFinished(writes=writes):
                self.written += [Write(event.seq, run.path, *each) for each in writes.items()]
            case _:
                pass

    def _part_from_origin(self, forked: ev.SessionForked) -> None:
        """Become the fork whose first events were copied: nobody is at work for it, and it has not ended."""
        self.forked, self.root_id = forked, forked.root
        self.status, self.finished = "suspended", False
        self.report, self.problem, self.citations = None, None, None
        for run in self.runs.values():
            part_from_origin(run, forked)
        self.inherited, self.before_turn = sum((run.spent for run in self.runs.values()), Spent()), Spent()

    def _apply_session(self, event: ev.Event) -> None:
        match event.payload:
            case ev.SessionCreated() as created if self.created is None:
                self.created = created
                self.tenant, self.question = created.tenant, created.question
                self.questions = [created.question]
                self.limits, self.recorded = created.limits, created.record
                self.status = "queued" if created.waits_for == "worker" else "running"
            case ev.SessionForked() as forked:
                self._part_from_origin(forked)
            case ev.SessionResumed(limits=limits, record=record):
                self.status, self.finished = "running", False
                self.limits, self.recorded = limits or self.limits, self.recorded or record
                self.replay_stopped = None
            case ev.SessionAsked(question=question):
                self.questions.append(question)
                self.status, self.finished, self.halted = "running", False, False
                self.report, self.problem, self.citations = None, None, None
            case ev.SessionSuspended(reason=reason, waits_for=waits_for):
                self.status = "queued" if waits_for == "worker" else "suspended"
                self.problem = reason
            case ev.SessionFinished() as done:
                self.status, self.finished, self.halted = done.status, True, True
                self.report, self.problem, self.citations = done.report, done.problem, done.citations
            case ev.MergeDecided(place=place):
                self.merged.add(place)
            case ev.AgentRunCreated() as created if event.agent_run_id:
                self.runs[event.agent_run_id] = RunState(
                    id=event.agent_run_id,
                    created_at=event.recorded_at,
                    created_seq=event.seq,
                    **{name: getattr(created, name) for name in _CREATED_FIELDS},
                )
            case _:
                pass


_CREATED_FIELDS = (
    "agent",
    "bundle_version",
    "parent_id",
    "path",
    "task",
    "members",
    "limits",
    "continues",
    "address",
    "role",
    "essential",
    "gate",
    "write",
)


def fold(session_id: str, journal: Iterable[ev.Event]) -> SessionState:
    """Build a session's state from its journal."""
    state = SessionState(session_id)
    for event in journal:
        state.apply(event)
    return state
