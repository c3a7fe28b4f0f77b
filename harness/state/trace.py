"""Which steps of a session are open, and what an event opens and closes: the shape of its trace.

Everything follows from the journal, so that a process that takes a session up knows what the dead one left
open. A turn lasts from its question to its answer, over every death and stop between. When nobody advances
the session any more, no other step is open: each sitting ends what it has begun.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness import events as ev
from harness.state.run import RunState
from harness.tracing.span import SpanKind, SpanStatus, span_id

Name = tuple[SpanKind, str]
"""What a step is and what it belongs to: a call's id, an agent run's id."""

_TURN: Name = ("turn", "")

_ENDED: Mapping[str, SpanStatus] = {
    "done": "ok",
    "needs_help": "needs_help",
    "failed": "error",
    "cancelled": "cancelled",
}


@dataclass(frozen=True)
class Step:
    """A step of the session with its place in the trace."""

    name: Name
    span_id: str
    parent_id: str | None
    run_id: str | None

    @property
    def kind(self) -> SpanKind:
        """What it is."""
        return self.name[0]

    @property
    def key(self) -> str:
        """What it belongs to."""
        return self.name[1]


@dataclass
class Moves:
    """What an event does to the trace. A step in both has ended as soon as it began.

    `within` is the span the event belongs to.
    """

    opened: list[Step] = field(default_factory=list)
    closed: list[tuple[Step, SpanStatus]] = field(default_factory=list)
    within: str | None = None

    def start(self, step: Step) -> Step:
        """Open a step; the event belongs to it."""
        self.opened.append(step)
        self.within = step.span_id
        return step

    def end(self, step: Step, status: SpanStatus) -> None:
        """Close a step; the event belongs to it."""
        self.closed.append((step, status))
        self.within = step.span_id


@dataclass
class Trace:
    """The open steps of a session, by span id, and the newest span of everything that ever had one."""

    session_id: str
    open: dict[str, Step] = field(default_factory=dict)
    newest: dict[Name, Step] = field(default_factory=dict)
    times: Counter[Name] = field(default_factory=Counter)
    standing: Literal["working", "suspended", "ended"] = "working"

    def follow(self, payload: ev.AnyPayload, run_id: str | None, runs: Mapping[str, RunState]) -> Moves:
        """Fold one event in, before it is folded into the agent runs."""
        moves = self.moves(payload, run_id, runs)
        if isinstance(payload, ev.SessionForked):
            # What was copied happened in the origin's trace; here a new one begins.
            self.open, self.newest, self.times = {}, {}, Counter()
        for step in moves.opened:
            self.open[step.span_id] = self.newest[step.name] = step
            self.times[step.name] += 1
        for step, _ in moves.closed:
            self.open.pop(step.span_id, None)
        match payload:
            case ev.SessionCreated() | ev.SessionResumed() | ev.SessionAsked():
                self.standing = "working"
            case ev.SessionSuspended() | ev.SessionForked():
                self.standing = "suspended"
            case ev.SessionFinished():
                self.standing = "ended"
            case _:
                pass
        return moves

    def moves(self, payload: ev.AnyPayload, run_id: str | None, runs: Mapping[str, RunState]) -> Moves:
        """Say what an event opens and closes, given the agent runs as they were before it."""
        moves, run = Moves(within=self._turn), runs.get(run_id or "")
        match payload:
            case ev.SessionCreated() | ev.SessionAsked():
                self._start(moves, _TURN, None, None)
            case ev.SessionForked():
                Trace(self.session_id)._begin_fork(moves, runs)
            case ev.SessionResumed():
                # Of what waits only a fork has steps that are open: those it was given at its beginning.
                self._end_all(moves, "interrupted" if self.standing == "working" else "suspended")
                if self.standing != "ended":
                    self._whole(moves, ("wait", ""), self._turn, None)
            case ev.SessionSuspended():
                self._end_all(moves, "suspended")
            case ev.SessionFinished(status=status):
                self._end_all(moves, "interrupted")
                turn = self._opened(_TURN) or moves.start(self._step(_TURN, None, None))
                moves.end(turn, _ENDED[status])
            case _:
                if not self.turn_is_open and self.standing != "ended":
                    # It had ended, and is tried again, or has been answered.
                    self._start(moves, _TURN, None, None)
                if run is not None:
                    self._of_run(moves, payload, run, runs)
                else:
                    self._of_session(moves, payload)
        return moves

    def _of_session(self, moves: Moves, payload: ev.AnyPayload) -> None:
        match payload:
            case ev.AgentRunCreated(parent_id=parent_id):
                moves.within = self._run_or_turn(moves, parent_id)
            case ev.MergeDecided(place=place, parent_id=parent_id, problem=problem):
                parent = self._run_or_turn(moves, parent_id)
                self._whole(moves, ("merge", place), parent, None, "error" if problem else "ok")
            case _:
                pass

    def _begin_fork(self, moves: Moves, runs: Mapping[str, RunState]) -> None:
        """Open the turn, and in it whoever waits for tasks that were delegated before it was forked.

        The steps of the copied part are in the origin's trace; what runs on from there hangs below these.
        """
        turn = self._start(moves, _TURN, None, None)
        for run in runs.values():
            if (delegation := run.waiting_on) is None:
                continue
            own = self._start(moves, ("agent_run", run.id), self._parent(moves, run, runs), run)
            asked = self._start(moves, ("delegation", delegation.tool_use_id), own.span_id, run)
            self.newest |= {own.name: own, asked.name: asked}
        moves.within = turn.span_id

    def _of_run(
        self, moves: Moves, payload: ev.AnyPayload, run: RunState, runs: Mapping[str, RunState]
    ) -> None:
        own = self.newest.get(("agent_run", run.id))
        around = own.span_id if own else self._turn_in(moves)
        moves.within = around
        match payload:
            case ev.AgentRunStarted(entry=entry):
                self._start_run(moves, run, runs)
                if entry == "route":
                    self._start(moves, ("routing", run.id), moves.within, run)
            case ev.AgentRunInterrupted():
                self._end_of_run(moves, run, ("tool", "routing"), "interrupted")
                moves.within = around
            case ev.AgentRunAnswered():
                self._start(moves, ("gate", run.id), moves.within, run)
            case ev.GateDecided():
                self._end(moves, ("gate", run.id), run)
            case ev.AgentRunFinished(outcome=outcome):
                self._end_run(moves, run, runs, _ENDED[outcome.status])
            case ev.AgentRunReopened():
                self._whole(moves, ("wait", run.id), self._parent(moves, run, runs), run)
            case ev.RoutingDecided():
                self._end(moves, ("routing", run.id), run)
            case _:
                self._of_call(moves, payload, run)

    def _of_call(self, moves: Moves, payload: ev.AnyPayload, run: RunState) -> None:
        routing = self._opened(("routing", run.id))
        around = routing.span_id if routing else moves.within
        match payload:
            case ev.ModelRequested(call_id=call_id):
                self._start(moves, ("model", call_id), around, run)
            case ev.ModelRetried(call_id=call_id) if call := self._opened(("model", call_id)):
                moves.within = call.span_id
            case ev.ModelFinished(call_id=call_id):
                self._end(moves, ("model", call_id), run, around)
            case ev.ModelFailed(call_id=call_id):
                self._end(moves, ("model", call_id), run, around, "error")
            case ev.ModelReplayed(call_id=call_id):
                self._whole(moves, ("model", call_id), around, run)
            case ev.ToolRequested(tool_use_id=call_id):
                self._start(moves, ("tool", call_id), moves.within, run)
            case ev.HelpAsked(tool_use_id=call_id) | ev.DelegationJoined(tool_use_id=call_id):
                self._whole(moves, ("tool", call_id), moves.within, run)
            case ev.ToolFinished(tool_use_id=call_id, error=error):
                kind: SpanKind = "delegation" if call_id in run.delegations else "tool"
                self._end(moves, (kind, call_id), run, status="error" if error else "ok")
            case ev.ToolDenied(tool_use_id=call_id) if not _joined(call_id, run):
                self._end(moves, ("tool", call_id), run, status="error")
            case ev.DelegationRequested(tool_use_id=call_id):
                self._start(moves, ("delegation", call_id), moves.within, run)
            case ev.DelegationVoided(tool_use_id=call_id):
                self._end(moves, ("delegation", call_id), run, status="interrupted")
            case _:
                pass

    def _start_run(self, moves: Moves, run: RunState, runs: Mapping[str, RunState]) -> None:
        """Open an agent run's span, unless it is open still: a process may be one of several."""
        if (open_ := self._opened(("agent_run", run.id))) is not None:
            moves.within = open_.span_id
            return
        self._start(moves, ("agent_run", run.id), self._parent(moves, run, runs), run)

    def _end_run(self, moves: Moves, run: RunState, runs: Mapping[str, RunState], status: SpanStatus) -> None:
        # To end its group is a router's decision, too, and where it gives up its decision has failed.
        decided: SpanStatus = "interrupted" if status == "cancelled" else status
        self._end_of_run(moves, run, ("routing",), decided)
        self._end_of_run(moves, run, ("tool", "gate", "delegation"), "interrupted")
        self._end(moves, ("agent_run", run.id), run, self._parent(moves, run, runs), status)

    def _parent(self, moves: Moves, run: RunState, runs: Mapping[str, RunState]) -> str | None:
        """Where an agent run hangs: under the call or the gate that asked for it, else under its parent."""
        parent = runs.get(run.parent_id or "")
        if parent is None:
            return self._turn_in(moves)
        names: list[Name] = [
            ("delegation", delegation.tool_use_id)
            for delegation in parent.delegations.values()
            if any(task.id == run.task.id for task in delegation.tasks)
        ]
        if run.role == "verifier":
            gate: Name = ("gate", parent.id)
            names.append(gate)
        own: Name = ("agent_run", parent.id)
        names.append(own)
        step = next((self.newest[name] for name in names if name in self.newest), None)
        return step.span_id if step else self._turn_in(moves)

    def _run_or_turn(self, moves: Moves, run_id: str | None) -> str | None:
        step = self.newest.get(("agent_run", run_id or ""))
        return step.span_id if step else self._turn_in(moves)

    @property
    def turn_is_open(self) -> bool:
        """Whether a turn has begun and not ended."""
        return self._opened(_TURN) is not None

    @property
    def turns(self) -> int:
        """How many turns have begun."""
        return self.times[_TURN]

    @property
    def _turn(self) -> str | None:
        turn = self.newest.get(_TURN)
        return turn.span_id if turn else None

    def _turn_in(self, moves: Moves) -> str | None:
        """The turn, also one that the same event begins."""
        begun = next((step.span_id for step in moves.opened if step.name == _TURN), None)
        return begun or self._turn

    def _opened(self, name: Name) -> Step | None:
        step = self.newest.get(name)
        return step if step is not None and step.span_id in self.open else None

    def _step(self, name: Name, parent: str | None, run: RunState | None) -> Step:
        kind, key = name
        before = self.times[name]
        own = span_id(self.session_id, kind, f"{key}/{before + 1}" if before else key)
        return Step(name, own, parent, run.id if run else None)

    def _start(self, moves: Moves, name: Name, parent: str | None, run: RunState | None) -> Step:
        return moves.start(self._step(name, parent, run))

    def _whole(
        self,
        moves: Moves,
        name: Name,
        parent: str | None,
        run: RunState | None,
        status: SpanStatus = "ok",
    ) -> None:
        step = self._step(name, parent, run)
        moves.start(step)
        moves.end(step, status)

    def _end(
        self,
        moves: Moves,
        name: Name,
        run: RunState,
        parent: str | None = None,
        status: SpanStatus = "ok",
    ) -> None:
        """Close a step; when it is not open, a process has died in it, and its end is a span of its own."""
        step = self._opened(name)
        if step is not None:
            moves.end(step, status)
        else:
            self._whole(moves, name, parent or moves.within, run, status)

    def _end_of_run(self, moves: Moves, run: RunState, kinds: Iterable[SpanKind], status: SpanStatus) -> None:
        for step in self.open.values():
            if step.run_id == run.id and step.kind in kinds:
                moves.end(step, status)

    def _end_all(self, moves: Moves, status: SpanStatus) -> None:
        # The innermost first, as they were opened last. A turn goes on over this.
        moves.closed.extend((step, status) for step in reversed(self.open.values()) if step.name != _TURN)


def _joined(tool_use_id: str, run: RunState) -> bool:
    """Whether a refused call is one whose tasks were added to another: that is no failure."""
    return any(tool_use_id in delegation.joined for delegation in run.delegations.values())
