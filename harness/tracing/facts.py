"""What an event tells about a step that it opens or closes: the step's attributes."""

from __future__ import annotations

from typing import Any

from harness import events as ev
from harness.records import OFFLINE_MODEL, Outcome
from harness.state import RunState, SessionState, Step


def beginning(
    step: Step, payload: ev.AnyPayload, run: RunState | None, state: SessionState
) -> dict[str, Any]:
    """What is known of a step as it begins, before the event is folded into `state`."""
    if step.kind == "turn":
        return _turn(payload, state)
    if step.kind == "delegation" and run is not None:
        return _delegation(step.key, payload, run)
    if step.kind == "agent_run" and run is not None:
        return _run(run) | {"provider": _provider(state)} | _start(payload)
    own = {"agent": run.agent, "bundle_version": run.bundle_version or None} if run else {}
    return own | _beginning_of_call(step, payload, run, state)


def _beginning_of_call(
    step: Step, payload: ev.AnyPayload, run: RunState | None, state: SessionState
) -> dict[str, Any]:
    match payload:
        case ev.SessionResumed():
            return {"reason": state.problem or "The process that was at work had died."}
        case ev.AgentRunReopened(answer=answer):
            return {"reason": run.outcome.problem if run and run.outcome else None, "answer": answer}
        case ev.AgentRunStarted() if step.kind == "routing" and run is not None:
            return {"input": run.task.payload}
        case ev.ModelRequested() as call:
            asked = {"request_model": model_of(call.model, state), "provider": _provider(state)}
            return asked | call.model_dump(exclude={"kind", "model"})
        case ev.ModelFinished() | ev.ModelFailed() | ev.ModelReplayed():
            known = {"call_id": payload.call_id, "auxiliary": payload.auxiliary}
            return known | {"provider": _provider(state)}
        case ev.ToolRequested() as call:
            return call.model_dump(exclude={"kind"}) | {"tool": tool_of(call.tool)}
        case ev.ToolFinished() | ev.ToolDenied():
            return {"tool": tool_of(payload.tool), "tool_use_id": payload.tool_use_id}
        case ev.HelpAsked(tool_use_id=tool_use_id, help=help_):
            return {"tool": "need_help", "tool_use_id": tool_use_id, "input": help_.model_dump()}
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


def _turn(payload: ev.AnyPayload, state: SessionState) -> dict[str, Any]:
    """What a turn is about: the question, the newest one where nothing is asked anew."""
    created = payload if isinstance(payload, ev.SessionCreated) else state.created
    asked = payload.question if isinstance(payload, ev.SessionCreated | ev.SessionAsked) else None
    questions = [*state.questions, *([asked] if asked is not None else [])]
    told: dict[str, Any] = {
        "input": questions[-1] if questions else None,
        "turn": state.trace.turns + (not state.trace.turn_is_open),
        "flow": flow_of(payload, state),
    }
    if created is not None:
        told |= {
            "tenant": created.tenant,
            "upstream": created.upstream,
            "model": None if created.upstream == "offline" else created.model,
            "bundles": created.bundles,
            "sources": created.sources,
        }
    if isinstance(payload, ev.SessionForked):
        told |= {"edited": sorted(payload.edits)}
        told |= {"forked_from": {"session_id": payload.origin, "seq": payload.at}}
    return told


def flow_of(payload: ev.AnyPayload, state: SessionState) -> str:
    """Name the session's flow, also in the event that begins the session."""
    created = payload if isinstance(payload, ev.SessionCreated) else state.created
    return created.flow_name if created else ""


def _delegation(tool_use_id: str, payload: ev.AnyPayload, run: RunState) -> dict[str, Any]:
    """The same of a delegation in every span that it has, whoever opens it."""
    asked = run.delegations.get(tool_use_id)
    tasks = (
        payload.tasks if isinstance(payload, ev.DelegationRequested) else tuple(asked.tasks if asked else ())
    )
    return {"tool": "delegate", "tool_use_id": tool_use_id, "agent": run.agent} | _tasks(tasks)


def model_of(model: str, state: SessionState) -> str:
    """Name the model that answers: offline it is none of those that the agents ask for."""
    return OFFLINE_MODEL if _provider(state) == "offline" else model


_OWN = "mcp__harness__"
"""What the CLI puts before the names of the harness's own tools."""


def tool_of(tool: str) -> str:
    """Name a tool as its steps are named: those of the harness by their own names, whoever tells of them."""
    return tool.removeprefix(_OWN)


_NOBODYS = ("offline", "replay")
"""Upstreams at which no model is called, and nobody paid."""


def _provider(state: SessionState) -> str:
    """Who answers, by the conventions' names: https://opentelemetry.io/docs/specs/semconv/gen-ai/.

    Offline and in a replay nobody's model does.
    """
    upstream = state.created.upstream if state.created is not None else ""
    return upstream if upstream in _NOBODYS else "anthropic"


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


def _start(payload: ev.AnyPayload) -> dict[str, Any]:
    if not isinstance(payload, ev.AgentRunStarted):
        return {}
    return {"attempt": payload.attempt, "entry": payload.entry}


def _tasks(tasks: tuple[Any, ...]) -> dict[str, Any]:
    return {
        "tasks": [{"id": task.id, "to": task.destination} for task in tasks],
        "input": [{"to": task.destination, "input": task.payload} for task in tasks],
    }


def ending(step: Step, payload: ev.AnyPayload, run: RunState | None, state: SessionState) -> dict[str, Any]:
    """What the end of a step adds, before the event is folded into `state`."""
    match payload:
        case ev.SessionFinished() as done if step.kind == "turn":
            return {"output": done.report, "problem": done.problem, "citations": done.citations} | _paid(
                state
            )
        case ev.SessionSuspended(reason=reason):
            return {"problem": reason}
        case ev.SessionResumed() if step.kind != "wait":
            waited = state.trace.standing != "working"
            return {"problem": state.problem if waited else "The process at work died."}
        case ev.AgentRunFinished(outcome=outcome, work_s=work_s) if run and step.kind == "agent_run":
            return _outcome(outcome) | _spent(run, work_s, replayed=state.replays is not None)
        case ev.AgentRunFinished(outcome=outcome) if step.kind == "routing":
            ended = {"action": "finish"} if outcome.status == "done" else None
            return {"problem": outcome.problem, "output": ended}
        case ev.MergeDecided(problem=problem):
            return {"problem": problem}
        case ev.AgentRunInterrupted(reason=reason):
            return {"problem": reason}
        case ev.ModelFinished() as call:
            known = _call(run, call.call_id)
            said = call.model_dump(exclude={"kind", "call_id", "auxiliary"}) | {"retries": known or None}
            said["model"] = model_of(call.model, state)
            return said | ({"cost_usd": 0.0, "costs": None} if _unpaid(state) else {})
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
            decided = {"to": to, "reason": reason, "input": task.payload}
            return {"number": number, "to": to, "reason": reason, "output": decided}
        case _:
            return {}


def _unpaid(state: SessionState) -> bool:
    """Whether nobody is paid: a receiver would set a price of its own for what tells none."""
    return _provider(state) in _NOBODYS


def _paid(state: SessionState) -> dict[str, Any]:
    """What the turn has used, and the session with all its turns."""
    turn = state.spent - (state.before_turn if state.trace.turn_is_open else state.spent)
    return {
        "usage": turn.usage.model_dump(),
        "cost_usd": 0.0 if _unpaid(state) else turn.cost_usd,
        "session_usage": state.usage.model_dump(),
        "session_cost_usd": 0.0 if _unpaid(state) else state.cost_usd,
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    help_ = outcome.help.model_dump() if outcome.help else None
    return {"output": outcome.output, "problem": outcome.problem, "help": help_}


def _spent(run: RunState, work_s: float, *, replayed: bool) -> dict[str, Any]:
    return {
        "usage": run.usage.model_dump(),
        "cost_usd": 0.0 if replayed else None if run.unpriced else run.cost_usd,
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
