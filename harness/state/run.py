"""One agent run, as the journal knows it, and what each event does to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from harness import events as ev
from harness.flow import Gate
from harness.messages import Message
from harness.records import FINAL, AgentRunStatus, Limits, NeedsHelp, Outcome, Replay, Usage
from harness.state.spent import Spent


@dataclass
class ToolCall:
    """A tool call as the journal knows it."""

    tool_use_id: str
    tool: str
    input: dict[str, Any]
    replay: Replay
    requested_at: datetime
    seq: int
    finished: bool = False
    denied: bool = False
    error: str | None = None
    cached: bool = False


@dataclass
class Delegation:
    """A lead's request for tasks, with the tasks of further calls of the same turn joined to it."""

    tool_use_id: str
    call_id: str | None
    tasks: list[Message]
    joined: list[str] = field(default_factory=list)
    suspended: bool = False
    voided: bool = False
    delivered: bool = False


@dataclass
class ModelCall:
    """A model call that has been checkpointed and has not ended."""

    call_id: str
    request_hash: str
    auxiliary: bool
    model: str
    requested_at: datetime
    last_turn: bool = False
    attempts: int = 1
    lost: int = 0
    retries: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Decision:
    """A supervisor's decision: who works next, on what."""

    number: int
    to: str
    task: Message
    reason: str


@dataclass
class RunState:
    """One agent run."""

    id: str
    agent: str
    bundle_version: str
    parent_id: str | None
    path: str
    task: Message
    members: tuple[str, ...]
    limits: Limits
    continues: str | None
    created_at: datetime
    last_at: datetime = field(init=False)
    created_seq: int = 0
    ended_seq: int = 0
    address: str = ""
    role: Literal["agent", "router", "verifier"] = "agent"
    essential: bool = False
    gate: Gate | None = None
    write: dict[str, str] = field(default_factory=dict)
    claude_session_id: str | None = None
    transcript_from: int = 0
    status: AgentRunStatus = "ready"
    attempt: int = 0
    recoveries: int = 0
    steps: int = 0
    calls: int = 0
    auxiliary_calls: int = 0
    given_again: dict[str, list[int]] = field(default_factory=dict)
    """The attempts in which a kept answer was given again, by the call that it answered first."""
    settled: Usage = field(default_factory=Usage)
    cost_usd: float = 0.0
    unpriced: int = 0
    work_s: float = 0.0
    running_since: datetime | None = None
    ended_at: datetime | None = None
    open_calls: dict[str, ModelCall] = field(default_factory=dict)
    lost_calls: list[ModelCall] = field(default_factory=list)
    answered: dict[str, int] = field(default_factory=dict)
    last_call: str | None = None
    took_last_turn: bool = False
    last_stop: str | None = None
    """Why the model stopped in the newest answer of a step."""
    last_blank: bool = False
    """That answer had neither a text nor a call."""
    last_turns: int = 0
    """Answers in a row that it was given as its last."""
    reopened: bool = False
    tools: dict[str, ToolCall] = field(default_factory=dict)
    delegations: dict[str, Delegation] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    cli: ev.CliStarted | None = None
    outcome: Outcome | None = None
    decisions: list[Decision] = field(default_factory=list)
    proposal: Any = None
    judged: bool = False
    verdicts: list[ev.GateDecided] = field(default_factory=list)
    granted_by: list[str] = field(default_factory=list)
    tellings: list[str] = field(default_factory=list)
    told: str | None = None
    """What it is to be told when it goes on: an answer to its call for help, or what is wrong."""
    help_asked: dict[str, NeedsHelp] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.last_at = self.created_at

    @property
    def usage(self) -> Usage:
        """What the run used. A call that never ended was sent, and what it used is not known."""
        attempts = sum(call.attempts for call in self.lost_calls)
        lost = sum(1 + call.lost for call in self.lost_calls)
        return self.settled + Usage(attempts=attempts, unattributed_calls=lost)

    @property
    def tokens(self) -> int:
        """The tokens that the run is known to have used."""
        return self.settled.total_tokens

    @property
    def spent(self) -> Spent:
        """What the run used, with its cost; of a fork's run also what it used in the origin."""
        return Spent(self.usage, self.cost_usd, self.unpriced)

    @property
    def attempts(self) -> int:
        """How often work began: once, and once more for each interruption it was taken up after."""
        return min(self.attempt, 1) + self.recoveries

    @property
    def fixes(self) -> int:
        """How often its answer was sent back."""
        return sum(verdict.verdict == "fix" for verdict in self.verdicts)

    @property
    def final(self) -> bool:
        """Whether the agent run has ended for good."""
        return self.status in FINAL

    @property
    def last_tool(self) -> str | None:
        """The newest tool call's name."""
        return next(reversed(self.tools.values())).tool if self.tools else None

    @property
    def waiting_on(self) -> Delegation | None:
        """The delegation whose results this run sleeps for."""
        if self.status != "suspended":
            return None
        return next((d for d in reversed(self.delegations.values()) if d.suspended and not d.delivered), None)


def apply_to_run(run: RunState, event: ev.Event) -> None:
    """Fold one event of this agent run in."""
    at = run.last_at = event.recorded_at
    match event.payload:
        case ev.AgentRunStarted() as started:
            run.status, run.attempt, run.running_since = "running", started.attempt, at
            run.recoveries += started.recovered
            run.folders += [started.folder] if started.folder else []
            run.claude_session_id = started.claude_session_id
            run.transcript_from = started.transcript_from
            run.outcome, run.ended_at = None, None
            _lose_open_calls(run)
        case ev.CliStarted() as cli:
            run.cli = cli
        case ev.AgentRunSuspended(tool_use_id=tool_use_id, work_s=work_s):
            _stop(run, "suspended", work_s)
            if tool_use_id in run.delegations:
                run.delegations[tool_use_id].suspended = True
        case ev.AgentRunInterrupted(work_s=work_s):
            _stop(run, "ready", work_s)
        case ev.AgentRunFinished(outcome=outcome, work_s=work_s):
            _stop(run, outcome.status, work_s)
            run.outcome, run.ended_at = outcome, at
            run.ended_seq, run.proposal = event.seq, None
        case ev.AgentRunReopened(limits=limits, answer=answer, by=by):
            run.granted_by += [by] if by else []
            run.status, run.outcome, run.ended_at = "ready", None, None
            run.limits, run.took_last_turn, run.last_turns = limits, False, 0
            run.last_stop = None
            _tell(run, answer)
        case ev.AgentRunAnswered(output=output, work_s=work_s):
            _stop(run, "checking", work_s)
            run.proposal, run.judged = output, False
        case ev.GateDecided() as verdict:
            run.verdicts.append(verdict)
            run.judged = True
            if verdict.verdict == "fix":
                _stop(run, "ready", verdict.work_s)
                _tell(run, verdict.problem)
        case ev.RoutingDecided(number=number, to=to, task=task, reason=reason):
            run.status = "suspended"
            run.decisions.append(Decision(number, to, task, reason))
        case ev.HelpAsked(tool_use_id=tool_use_id, help=help_):
            run.help_asked[tool_use_id], run.told = help_, None
        case ev.ModelRequested() as call:
            run.open_calls[call.call_id] = ModelCall(
                call.call_id, call.request_hash, call.auxiliary, call.model, at, call.last_turn
            )
            run.calls += 1
            run.auxiliary_calls += call.auxiliary
            if not call.auxiliary:
                run.last_call = call.call_id
                run.took_last_turn = call.last_turn
        case ev.ModelRetried() as call if call.call_id in run.open_calls:
            known = run.open_calls[call.call_id]
            known.attempts += 1
            known.lost += call.lost
            known.model = call.model or known.model
            told = {"status", "problem", "lost", "pause_s"} | ({"model"} if call.model else set())
            known.retries.append(call.model_dump(include=told))
        case ev.ModelFinished() as call:
            _answer(run, _end_call(run, call.call_id), no_step=call.auxiliary or call.replaced)
            if not (call.auxiliary or call.replaced):
                run.last_stop, run.last_blank = call.stop_reason, call.blank
            run.settled += call.usage
            if call.cost_usd is None:
                run.unpriced += 1
            else:
                run.cost_usd += call.cost_usd
        case ev.ModelReplayed() as call:
            run.given_again.setdefault(call.call_id, []).append(run.attempt)
            if not call.auxiliary:
                run.last_call = call.call_id
        case ev.ModelFailed() as call:
            _end_call(run, call.call_id)
            run.settled += call.usage
        case _:
            _apply_call(run, event)


def _apply_call(run: RunState, event: ev.Event) -> None:
    match event.payload:
        case ev.ToolRequested() as call:
            run.tools[call.tool_use_id] = ToolCall(
                call.tool_use_id, call.tool, call.input, call.replay, event.recorded_at, event.seq
            )
        case ev.ToolFinished() as call:
            if call.tool_use_id in run.tools:
                run.tools[call.tool_use_id].finished = True
                run.tools[call.tool_use_id].error = call.error
                run.tools[call.tool_use_id].cached = call.cached
            if call.tool_use_id in run.delegations:
                run.delegations[call.tool_use_id].delivered = True
        case ev.ToolDenied() as call:
            if call.tool_use_id in run.tools:
                run.tools[call.tool_use_id].denied = True
        case ev.DelegationRequested() as asked:
            run.delegations[asked.tool_use_id] = Delegation(
                asked.tool_use_id, asked.call_id, list(asked.tasks)
            )
        case ev.DelegationJoined(tool_use_id=tool_use_id, into=into, tasks=tasks):
            if into in run.delegations and tool_use_id not in run.delegations[into].joined:
                run.delegations[into].joined.append(tool_use_id)
                run.delegations[into].tasks.extend(tasks)
        case ev.DelegationVoided(tool_use_id=tool_use_id):
            if tool_use_id in run.delegations:
                run.delegations[tool_use_id].voided = True
        case _:
            pass


def part_from_origin(run: RunState, forked: ev.SessionForked) -> None:
    """Leave to the session that was forked what is its own: process, folders, and calls on the wire."""
    for call in run.open_calls.values():
        if call.call_id in forked.answered:
            _answer(run, call, no_step=call.auxiliary)
    # Not lost: how they end is known, and paid, over there.
    run.open_calls.clear()
    run.cli, run.folders, run.running_since = None, [], None
    # What was asked in vain there may be asked otherwise here.
    run.last_stop = None
    if run.status == "running":
        run.status = "ready"
    if run.claude_session_id is not None:
        known = run.claude_session_id
        run.claude_session_id = forked.conversations.get(known, known)


def _tell(run: RunState, text: str | None) -> None:
    run.told, run.reopened = text, True
    run.tellings += [text] if text else []


def _stop(run: RunState, status: AgentRunStatus, work_s: float) -> None:
    run.status = status
    run.work_s += work_s
    run.running_since = None
    run.cli = None
    _lose_open_calls(run)


def _lose_open_calls(run: RunState) -> None:
    run.lost_calls.extend(run.open_calls.values())
    run.open_calls.clear()


def _answer(run: RunState, call: ModelCall | None, *, no_step: bool) -> None:
    """Note that a call has brought its answer."""
    if call is not None:
        run.answered[call.request_hash] = run.answered.get(call.request_hash, 0) + 1
    run.steps += not no_step
    if call is not None and not no_step:
        run.last_turns = run.last_turns + 1 if call.last_turn else 0
    run.reopened = run.reopened and no_step


def _end_call(run: RunState, call_id: str) -> ModelCall | None:
    """Take an ended call from the open ones, else from the lost: the gateway reads on without its CLI."""
    if call_id in run.open_calls:
        return run.open_calls.pop(call_id)
    found = next((call for call in run.lost_calls if call.call_id == call_id), None)
    if found is not None:
        run.lost_calls.remove(found)
    return found
