"""The rows that an event writes into the table of spans, with what its payload tells about each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from harness import events as ev
from harness.records import Outcome
from harness.state import Moves, RunState, SessionState, Step
from harness.tracing.content import Keeper
from harness.tracing.span import SpanKind

Row = dict[str, Any]

DELEGATE_NAME = "execute_tool delegate"

_WORDS = ("problem", "reason", "answer", "help", "retries", "citations")
"""Attributes that quote what agents, tools and services have said: content too."""


@dataclass(frozen=True)
class Shown:
    """What only the caller has in hand: what went into a step, or came out of it."""

    input: Any = None
    output: Any = None


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
    for step in moves.opened:
        run = state.runs.get(step.run_id or "")
        row: Row = {
            "span_id": step.span_id,
            "parent_span_id": step.parent_id,
            "agent_run_id": step.run_id,
            "kind": step.kind,
            "name": _name(step, payload, run),
            "started_at": _began(step, run, at, cut_at),
            "opened": _kept(_beginning(step.kind, payload, run, state), shown.input, keeper),
        }
        opened.append(row)
        if step.span_id in ends:
            row |= _end(step, ends.pop(step.span_id)[1], payload, run, state, shown, at, keeper)
    closed = [
        {"span_id": step.span_id}
        | _end(step, status, payload, state.runs.get(step.run_id or ""), state, shown, cut_at, keeper)
        for step, status in ends.values()
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
    said = _ending(step, payload, run, state)
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


def _name(step: Step, payload: ev.AnyPayload, run: RunState | None) -> str:
    agent = run.agent if run else ""
    match step.kind, payload:
        case "agent_run", _:
            return f"invoke_agent {agent}"
        case "model", ev.ModelReplayed():
            return "chat (kept answer)"
        case "model", ev.ModelRequested(model=model) | ev.ModelFinished(model=model):
            return _plain(f"chat {model}")
        case "model", _:
            return "chat"
        case "delegation", _:
            return DELEGATE_NAME
        case "tool", ev.ToolRequested(tool=tool) | ev.ToolFinished(tool=tool) | ev.ToolDenied(tool=tool):
            return _plain(f"execute_tool {tool}")
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
        case "result", _:
            return "session result"
        case kind, _:
            return kind


def _plain(name: str) -> str:
    """A name in which nothing stands that Postgres cannot keep: a model may call a tool by any name."""
    return name.encode("ascii", "backslashreplace").decode().replace("\x00", "\\x00")[:200]


def _began(step: Step, run: RunState | None, at: datetime, cut_at: datetime) -> datetime:
    if step.kind == "wait":
        return (run.ended_at if run else cut_at) or at
    return at


def _beginning(
    kind: SpanKind, payload: ev.AnyPayload, run: RunState | None, state: SessionState
) -> dict[str, Any]:
    match payload:
        case ev.SessionCreated() as created:
            return {
                "input": created.question,
                "tenant": created.tenant,
                "flow": created.flow_name,
                "upstream": created.upstream,
                "model": created.model,
                "bundles": created.bundles,
                "sources": created.sources,
            }
        case ev.SessionForked(origin=origin, at=at, edits=edits):
            begun = state.created
            return {
                "input": state.question,
                "tenant": state.tenant,
                "flow": begun.flow_name if begun else None,
                "upstream": begun.upstream if begun else None,
                "forked_from": {"session_id": origin, "seq": at},
                "edited": sorted(edits),
            }
        case ev.SessionAsked(question=question):
            return {"input": question}
        case ev.SessionResumed():
            return {"reason": state.problem or "The process that was at work had died."}
        case ev.AgentRunReopened(answer=answer):
            return {"reason": run.outcome.problem if run and run.outcome else None, "answer": answer}
        case ev.AgentRunStarted() | ev.AgentRunFinished() if run is not None and kind != "routing":
            return _run(run) | _start(payload)
        case ev.ModelRequested() as call:
            return {"request_model": call.model} | call.model_dump(exclude={"kind", "model"})
        case ev.ModelFinished() | ev.ModelFailed() | ev.ModelReplayed():
            return {"call_id": payload.call_id, "auxiliary": payload.auxiliary}
        case ev.ToolRequested() as call:
            return call.model_dump(exclude={"kind"})
        case ev.ToolFinished() | ev.ToolDenied():
            return {"tool": payload.tool, "tool_use_id": payload.tool_use_id}
        case ev.HelpAsked(tool_use_id=tool_use_id, help=help_):
            return {"tool": "need_help", "tool_use_id": tool_use_id, "input": help_.model_dump()}
        case ev.DelegationRequested(tool_use_id=tool_use_id, tasks=tasks):
            return {"tool": "delegate", "tool_use_id": tool_use_id} | _tasks(tasks)
        case ev.DelegationJoined(tool_use_id=tool_use_id, into=into, tasks=tasks):
            return {"tool": "delegate", "tool_use_id": tool_use_id, "joined": into} | _tasks(tasks)
        case ev.AgentRunAnswered(output=output):
            return {"input": output, "by": run.gate.verifier if run and run.gate else None}
        case ev.GateDecided(by=by):
            return {"by": by}
        case ev.MergeDecided(policy=policy, path=path, branches=branches):
            return {"policy": policy, "path": path, "branches": [each.model_dump() for each in branches]}
        case _:
            return {}


def _run(run: RunState) -> dict[str, Any]:
    return {
        "input": run.task.payload,
        "agent": run.agent,
        "role": run.role,
        "path": run.path,
        "task_id": run.task.id,
        "bundle": run.agent,
        "bundle_version": run.bundle_version or None,
        "limits": run.limits.model_dump(exclude_none=True),
        "continues": run.continues,
    }


def _start(payload: ev.AgentRunStarted | ev.AgentRunFinished) -> dict[str, Any]:
    if isinstance(payload, ev.AgentRunFinished):
        return {}
    return {"attempt": payload.attempt, "entry": payload.entry}


def _tasks(tasks: tuple[Any, ...]) -> dict[str, Any]:
    return {
        "tasks": [{"id": task.id, "to": task.destination} for task in tasks],
        "input": [{"to": task.destination, "input": task.payload} for task in tasks],
    }


def _ending(step: Step, payload: ev.AnyPayload, run: RunState | None, state: SessionState) -> dict[str, Any]:
    match payload:
        case ev.SessionFinished() as done if step.kind == "result":
            return {
                "output": done.report,
                "problem": done.problem,
                "citations": done.citations,
                "usage": state.usage.model_dump(),
                "cost_usd": state.cost_usd,
            }
        case ev.SessionSuspended(reason=reason):
            return {"problem": reason}
        case ev.SessionResumed() if step.kind != "wait":
            return {"problem": "The process at work died."}
        case ev.AgentRunFinished(outcome=outcome, work_s=work_s) if run and step.kind == "agent_run":
            return _outcome(outcome) | _spent(run, work_s)
        case ev.MergeDecided(problem=problem):
            return {"problem": problem}
        case ev.AgentRunInterrupted(reason=reason):
            return {"problem": reason}
        case ev.ModelFinished() as call:
            known = _call(run, call.call_id)
            said = call.model_dump(exclude={"kind", "call_id", "auxiliary"}) | {"retries": known or None}
            return said | ({"cost_usd": 0.0} if _unpaid(state) else {})
        case ev.ModelFailed() as call:
            said = call.model_dump(exclude={"kind", "call_id", "auxiliary"})
            return said | {"retries": _call(run, call.call_id) or None}
        case ev.ModelReplayed():
            return {"replayed": True}
        case ev.ToolFinished() as call:
            said = call.model_dump(exclude={"kind", "tool", "tool_use_id", "error"})
            return said | {"problem": call.error, "joined": _joined(run, call.tool_use_id)}
        case ev.ToolDenied(hook=hook, reason=reason):
            return {"hook": hook, "problem": reason}
        case ev.DelegationVoided(reason=reason):
            return {"problem": reason}
        case ev.GateDecided(verdict=verdict, problem=problem):
            return {"verdict": verdict, "problem": problem, "output": verdict}
        case ev.RoutingDecided(number=number, to=to, task=task, reason=reason):
            return {"number": number, "to": to, "reason": reason, "output": task.payload}
        case _:
            return {}


def _unpaid(state: SessionState) -> bool:
    """Whether nobody is paid: a receiver would set a price of its own for what tells none."""
    return state.created is not None and state.created.upstream in ("offline", "replay")


def _outcome(outcome: Outcome) -> dict[str, Any]:
    help_ = outcome.help.model_dump() if outcome.help else None
    return {"output": outcome.output, "problem": outcome.problem, "help": help_}


def _spent(run: RunState, work_s: float) -> dict[str, Any]:
    return {
        "usage": run.usage.model_dump(),
        "cost_usd": None if run.unpriced else run.cost_usd,
        "steps": run.steps,
        "attempts": run.attempts,
        "work_s": run.work_s + work_s,
    }


def _call(run: RunState | None, call_id: str) -> list[dict[str, Any]]:
    call = run.open_calls.get(call_id) if run else None
    return list(call.retries) if call else []


def _joined(run: RunState | None, tool_use_id: str) -> list[str] | None:
    delegation = run.delegations.get(tool_use_id) if run else None
    return list(delegation.joined) or None if delegation else None
