"""The journal's events in the log: one record each, with its numbers and names and none of its content."""

from __future__ import annotations

import logging
from typing import Any

from harness import events as ev
from harness.records import Usage
from harness.state import SessionState

log = logging.getLogger(__name__)

_LONGEST = 300
"""Characters of a problem."""


def log_event(event: ev.Event, state: SessionState) -> None:
    """Log a committed event, at level INFO; a listener of the journal."""
    if not log.isEnabledFor(logging.INFO):
        return
    run = state.runs.get(event.agent_run_id or "")
    said = {"agent": run.agent if run else None, **_said(event.payload)}
    said = {name: value for name, value in said.items() if value is not None}
    place = {
        "session_id": event.session_id,
        "agent_run_id": event.agent_run_id,
        "span_id": event.span_id,
        "seq": event.seq,
    }
    kind = event.payload.kind
    sentence = " ".join([kind, *(f"{name}={value}" for name, value in said.items())])
    log.info("%s", sentence, extra={"event": kind, "fields": {**place, **said}})


def _said(payload: ev.AnyPayload) -> dict[str, Any]:
    match payload:
        case ev.SessionCreated():
            return {"flow": payload.flow_name, "upstream": payload.upstream, "sources": payload.sources}
        case ev.SessionResumed():
            return {"host": payload.host, "pid": payload.pid}
        case ev.SessionSuspended(reason=problem) | ev.DelegationVoided(reason=problem):
            return {"problem": _short(problem)}
        case ev.SessionFinished():
            return {"status": payload.status, "problem": _short(payload.problem)}
        case ev.AgentRunStarted():
            return {"attempt": payload.attempt, "entry": payload.entry}
        case ev.AgentRunInterrupted():
            return {"problem": _short(payload.reason), "work_s": round(payload.work_s, 3)}
        case ev.AgentRunFinished(outcome=outcome):
            why = _short(outcome.problem)
            return {"status": outcome.status, "problem": why, "work_s": round(payload.work_s, 3)}
        case ev.HelpAsked():
            return {"problem": payload.help.reason}
        case ev.ModelRequested():
            return {"model": payload.model, "auxiliary": payload.auxiliary}
        case ev.ModelFinished():
            cost = {"stop_reason": payload.stop_reason, "cost_usd": payload.cost_usd}
            return {"model": payload.model, **_tokens(payload.usage), **cost}
        case ev.ModelRetried(model=instead):
            return {"status": payload.status, "problem": _short(payload.problem), "model": instead}
        case ev.ModelFailed():
            return {"status": payload.status, "problem": _short(payload.problem)}
        case ev.ToolRequested():
            return {"tool": payload.tool}
        case ev.ToolFinished():
            return {"tool": payload.tool, "problem": _short(payload.error), "cached": payload.cached or None}
        case ev.ToolDenied():
            return {"tool": payload.tool, "hook": payload.hook, "problem": _short(payload.reason)}
        case ev.DelegationRequested(tasks=tasks) | ev.DelegationJoined(tasks=tasks):
            return {"tasks": len(tasks)}
        case ev.MergeDecided():
            return {"policy": payload.policy, "problem": _short(payload.problem)}
        case ev.SessionForked():
            return {"origin": payload.origin, "at": payload.at}
        case ev.RoutingDecided():
            return {"to": payload.to}
        case ev.GateDecided():
            return {"by": payload.by, "verdict": payload.verdict, "problem": _short(payload.problem)}
        case _:
            return {}


def _tokens(usage: Usage) -> dict[str, int]:
    return {name: count for name, count in usage.model_dump().items() if name.endswith("_tokens") and count}


def _short(problem: str | None) -> str | None:
    if problem is None:
        return None
    line = " ".join(problem.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
