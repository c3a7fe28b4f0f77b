"""What a session tells the outside while it runs: one typed line for each thing a person may wait for."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field

from harness import events as ev
from harness.records import AgentRunStatus, Record, SessionStatus, Usage
from harness.state import RunState, SessionState


class SessionStarted(Record):
    """The session is committed; from here on it can be resumed."""

    event: Literal["session.started", "session.resumed"]
    session_id: str


class AgentRunChanged(Record):
    """An agent run has changed its state."""

    event: Literal["agent_run"] = "agent_run"
    session_id: str
    id: str
    parent_id: str | None
    agent: str
    status: AgentRunStatus


class AgentRunSummary(Record):
    """An agent run in the result. `attempts` is 1, and one more for each time it was taken up again."""

    id: str
    parent_id: str | None
    agent: str
    status: AgentRunStatus
    attempts: int
    usage: Usage


class Inherited(Record):
    """What a fork took over with its origin's first events, up to `seq`: it was paid over there."""

    session_id: str
    seq: int
    usage: Usage
    cost_usd: float | None


class Result(Record):
    """How a session stands when it has ended, or cannot go on now.

    Of a fork, `usage` and `cost_usd` are its own, without what is `inherited`; those of its agent runs are
    whole.
    """

    event: Literal["session.finished"] = "session.finished"
    session_id: str
    status: SessionStatus
    report: str | None
    problem: str | None
    citations: dict[str, Any] | None
    usage: Usage
    cost_usd: float | None = Field(description="US dollars at list prices; None when a price is not known")
    inherited: Inherited | None = None
    agent_runs: tuple[AgentRunSummary, ...]


Progress = SessionStarted | AgentRunChanged | Result

_CHANGES = frozenset(
    f"agent_run.{what}" for what in ("created", "started", "suspended", "interrupted", "finished", "reopened")
)


def change(event: ev.Event, state: SessionState) -> AgentRunChanged | None:
    """Give the line an event is worth, if any."""
    run = state.runs.get(event.agent_run_id or "")
    if run is None or event.payload.kind not in _CHANGES:
        return None
    return AgentRunChanged(
        session_id=state.id, id=run.id, parent_id=run.parent_id, agent=run.agent, status=run.status
    )


def result(state: SessionState) -> Result:
    """Sum up a session."""
    return Result(
        session_id=state.id,
        status=state.status,
        report=state.report,
        problem=state.problem,
        citations=state.citations,
        usage=state.usage,
        cost_usd=_rounded(state.cost_usd),
        inherited=inherited(state),
        agent_runs=tuple(summary(run) for run in state.runs.values()),
    )


def inherited(state: SessionState) -> Inherited | None:
    """What a fork has from its origin; None for a session that is no fork."""
    if state.forked is None:
        return None
    spent = state.inherited
    return Inherited(
        session_id=state.forked.origin,
        seq=state.forked.at,
        usage=spent.usage,
        cost_usd=_rounded(spent.cost_usd),
    )


def _rounded(cost_usd: float | None) -> float | None:
    return None if cost_usd is None else round(cost_usd, 6)


def summary(run: RunState) -> AgentRunSummary:
    """Sum up an agent run."""
    return AgentRunSummary(
        id=run.id,
        parent_id=run.parent_id,
        agent=run.agent,
        status=run.status,
        attempts=run.attempts,
        usage=run.usage,
    )


def to_json(value: Progress) -> str:
    """One line of JSON."""
    return json.dumps(value.model_dump(mode="json"), ensure_ascii=False)
