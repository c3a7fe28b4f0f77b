"""From what an agent answers to its run's outcome: schema, checks, verifier, and the message that goes back.

A gate says "fix" a bounded number of times, each in the same Claude session; then the run needs help. A check
or a verifier that cannot judge lets the answer through, and the journal says so.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import Any, Literal

from harness import events as ev
from harness.bundles.validate import validate_output
from harness.context import RunView
from harness.ending import result_of_run, writes_of_run
from harness.errors import StoreUnavailable
from harness.limits import nearly_spent, spent
from harness.log_fields import about
from harness.plan import verifier_run_id
from harness.records import NeedsHelp, Outcome
from harness.store.journal import forget_responses

log = logging.getLogger(__name__)

Verdict = Literal["pass", "fix", "abstain", "error"]

_VERDICTS: frozenset[str] = frozenset({"pass", "fix", "abstain"})


async def answered(view: RunView, text: Any, structured: Any, work_s: float) -> None:
    """Put what the agent answered through its gates, and commit what follows from it."""
    bundle, run = view.bundle, view.run
    value, problem = validate_output(bundle, structured if bundle.output else text)
    if problem is not None and bundle.output is not None and structured is None:
        problem = f"{bundle.name} answered in prose instead of its typed output: {str(text)[:200]}"
    output = value if isinstance(value, str | None) else value.model_dump(mode="json")
    if run.took_last_turn:
        await needs_help(view, nearly_spent(view.state, run) or "cost", output, work_s)
        return
    if problem is not None:
        await _send_back(view, "schema", problem, None, work_s)
        return
    for check in bundle.checks:
        # Somebody else's code: whatever it raises is this check's error, and no judgement of the answer.
        (said,) = await asyncio.gather(asyncio.to_thread(check, value), return_exceptions=True)
        name = getattr(check, "__name__", "check")
        if isinstance(said, BaseException):
            await view.record(ev.GateDecided(by=name, verdict="error", problem=repr(said)))
        elif said:
            await _send_back(view, name, str(said), output, work_s)
            return
    if run.gate is not None:
        await view.record(ev.AgentRunAnswered(output=output, work_s=work_s))
        return
    await finish(view, Outcome(status="done", output=output), work_s)


async def judge(view: RunView) -> None:
    """Take the verifier's word on the answer that waits for it."""
    run = view.run
    assert run.gate is not None, "only a gate's agent waits for a verdict"
    if not run.judged:
        verifier = view.state.runs[verifier_run_id(run)]
        verdict, problem = _verdict(verifier.outcome)
        if verdict == "fix":
            await _send_back(view, run.gate.verifier, problem or "It gave no reason.", run.proposal, 0)
            return
        await view.record(ev.GateDecided(by=run.gate.verifier, verdict=verdict, problem=problem))
    await finish(view, Outcome(status="done", output=run.proposal), 0)


def _verdict(outcome: Outcome | None) -> tuple[Verdict, str | None]:
    """Read a verifier's outcome. One that did not come to a verdict is never a "no"."""
    if outcome is None or outcome.status != "done" or not isinstance(outcome.output, dict):
        return "error", outcome.problem if outcome else None
    said = outcome.output.get("verdict")
    problem = outcome.output.get("problem")
    return (said if said in _VERDICTS else "error"), str(problem) if problem else None


async def _send_back(view: RunView, by: str, problem: str, output: Any, work_s: float) -> None:
    """Send an answer back with what is wrong; once that has been done often enough, the run needs help."""
    run = view.run
    most = run.gate.fixes if run.gate else view.settings.limits.max_fixes
    if run.fixes < most and spent(view.state, run) is None:
        decided = ev.GateDecided(by=by, verdict="fix", problem=problem, work_s=work_s)
        await view.record(decided)
        return
    if by == "schema" and most == 0:
        await finish(view, Outcome(status="failed", problem=problem), work_s)
        return
    outcome = Outcome(
        status="needs_help",
        output=output,
        problem=f"{run.agent}'s answer was sent back {run.fixes} times and still does not pass: {problem}",
        help=NeedsHelp(reason="gate", findings=_as_text(output), missing=problem, **_cost(view)),
    )
    await finish(view, outcome, work_s)


async def needs_help(view: RunView, reason: Any, output: Any, work_s: float) -> None:
    """End a run whose limit is spent, with what it has."""
    run = view.run
    outcome = Outcome(
        status="needs_help",
        output=output,
        problem=f"{run.agent} has spent its limit of {reason}.",
        help=NeedsHelp(
            reason=reason,
            findings=_as_text(output),
            missing="It was stopped by the limit before it said that it had finished.",
            **_cost(view),
        ),
    )
    await finish(view, outcome, work_s)


async def asked_for_help(view: RunView, tool_use_id: str, work_s: float) -> None:
    """End a run that asked for help by its own choice."""
    run = view.run
    help_ = run.help_asked[tool_use_id].model_copy(update=_cost(view))
    problem = f"{run.agent} asks for help: {help_.missing}"
    await finish(view, Outcome(status="needs_help", output=None, problem=problem, help=help_), work_s)


async def finish(view: RunView, outcome: Outcome, work_s: float) -> None:
    """Commit an agent run's outcome, the message it is, and what it writes into the shared state."""
    run, session = view.run, view.state.id
    writes, problem = writes_of_run(view.state, run, outcome)
    if problem is not None:
        outcome = Outcome(status="failed", output=outcome.output, problem=problem)
    result = result_of_run(run, outcome)
    await view.record(ev.AgentRunFinished(outcome=outcome, work_s=work_s, result=result, writes=writes))
    named = about("agent_run_ended", agent_run_id=run.id, status=outcome.status)
    log.debug("agent run %s of session %s: %s", run.id, session, outcome.status, extra=named)
    with suppress(StoreUnavailable):
        await forget_responses(view.session.database, session, run.id)


def _as_text(output: Any) -> str:
    if output is None:
        return ""
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)


def _cost(view: RunView) -> dict[str, float | None]:
    """A guess at what finishing costs: as much again as it has cost so far."""
    cost = view.run.cost_usd
    return {"estimated_cost_usd": round(cost, 4) if cost else None}
