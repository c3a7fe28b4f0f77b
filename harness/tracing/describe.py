"""The rows that an event writes into the table of spans, with what its payload tells about each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from harness import events as ev
from harness.state import Moves, RunState, SessionState, Step
from harness.tracing.content import Keeper
from harness.tracing.facts import beginning, ending, flow_of, model_of, tool_of

Row = dict[str, Any]

DELEGATE_NAME = "execute_tool delegate"

_WORDS = ("problem", "reason", "answer", "help", "retries", "citations")
"""Attributes that quote what agents, tools and services have said: content too."""


_LASTING = ("turn", "agent_run", "delegation")
"""Steps that others hang below, whoever goes on."""


@dataclass(frozen=True)
class Shown:
    """What only the caller has in hand: what went into a step, or came out of it.

    `facts` are further attributes of the step: numbers and names, no content.
    """

    input: Any = None
    output: Any = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SpanRows:
    """Rows to insert, some of them ended already, and the ends of rows that are there."""

    opened: list[Row]
    closed: list[Row]


def span_rows(
    moves: Moves,
    payload: ev.AnyPayload,
    state: SessionState,
    *,
    shown: Shown,
    at: datetime,
    seen_at: datetime | None,
    keeper: Keeper,
) -> SpanRows:
    """Describe what an event opens and closes, before it is folded into `state`.

    `at` is now; `seen_at` is the last sign of life of the process that held the session before.
    """
    ends = {step.span_id: (step, status) for step, status in moves.closed}
    cut_at = seen_at if isinstance(payload, ev.SessionResumed) and seen_at else at
    opened: list[Row] = []
    # What was at work before its spans were kept, or comes from a file of an older version, has no rows yet;
    # those that are there stay as they are.
    missing = state.trace.open.values() if isinstance(payload, ev.SessionResumed) else ()
    for step in (*(step for step in missing if step.kind in _LASTING), *moves.opened):
        run = state.runs.get(step.run_id or "")
        known = {**shown.facts, **beginning(step, payload, run, state)}
        began = _began(step, run, at, cut_at)
        if step.kind == "wait" and any(other.kind == "turn" for other in moves.opened):
            # Nobody's turn was it while an answer was waited for: this one begins with the answer.
            known["waited_s"], began = (at - began).total_seconds(), at
        row: Row = {
            "span_id": step.span_id,
            "parent_span_id": step.parent_id,
            "agent_run_id": step.run_id,
            "kind": step.kind,
            "name": _name(step, payload, run, state),
            "started_at": began,
            "opened": _kept(known, shown.input, keeper),
        }
        opened.append(row)
        if step.span_id in ends:
            row |= _end(step, ends[step.span_id][1], payload, run, state, shown, at, keeper)
    closed = [
        {"span_id": step.span_id}
        | _end(step, status, payload, state.runs.get(step.run_id or ""), state, shown, cut_at, keeper)
        for step, status in ends.values()
        if step not in moves.opened
    ]
    return SpanRows(opened, closed)


def _end(
    step: Step,
    status: str,
    payload: ev.AnyPayload,
    run: RunState | None,
    state: SessionState,
    shown: Shown,
    at: datetime,
    keeper: Keeper,
) -> Row:
    said = {**shown.facts, **ending(step, payload, run, state)}
    return {
        "ended_at": at,
        "status": status,
        "closed": _kept(said, shown.output, keeper, output=True),
    }


def _kept(said: Mapping[str, Any], shown: Any, keeper: Keeper, *, output: bool = False) -> Row:
    """Keep what may be kept of the content; a step's own words come before what the caller shows."""
    which = "output" if output else "input"
    left_out = {which} if keeper.capture == "full" else {which, *_WORDS}
    row = {name: value for name, value in said.items() if value is not None and name not in left_out}
    content = keeper.keep(said.get(which) if said.get(which) is not None else shown)
    return row | ({which: content} if content else {})


def _name(step: Step, payload: ev.AnyPayload, run: RunState | None, state: SessionState) -> str:
    agent = run.agent if run else ""
    match step.kind, payload:
        case "turn", _:
            return _plain(f"invoke_workflow {flow_of(payload, state)}")
        case "agent_run", _:
            return f"invoke_agent {agent}"
        case "model", ev.ModelReplayed():
            return "chat (kept answer)"
        case "model", ev.ModelRequested(model=model) | ev.ModelFinished(model=model):
            return _plain(f"chat {model_of(model, state)}")
        case "model", _:
            return "chat"
        case "delegation", _:
            return DELEGATE_NAME
        case "tool", ev.ToolRequested(tool=tool) | ev.ToolFinished(tool=tool) | ev.ToolDenied(tool=tool):
            return _plain(f"execute_tool {tool_of(tool)}")
        case "tool", ev.HelpAsked():
            return "execute_tool need_help"
        case "tool", _:
            return DELEGATE_NAME
        case "gate", ev.GateDecided(by=by):
            return _plain(f"gate {by}")
        case "gate", _:
            return _plain(f"gate {run.gate.verifier if run and run.gate else agent}")
        case "routing", _:
            return f"route {agent}"
        case "merge", ev.MergeDecided(policy=policy):
            return f"merge {policy}"
        case kind, _:
            return kind


def _plain(name: str) -> str:
    """A name in which nothing stands that Postgres cannot keep: a model may call a tool by any name."""
    return name.encode("ascii", "backslashreplace").decode().replace("\x00", "\\x00")[:200]


def _began(step: Step, run: RunState | None, at: datetime, cut_at: datetime) -> datetime:
    if step.kind == "wait":
        return (run.ended_at if run else cut_at) or at
    return at
