"""What a person is told before a session begins and after it has ended."""

from __future__ import annotations

from typing import Any

from harness.cli import words
from harness.cli.options import Common
from harness.progress import Result
from harness.state import SessionState

_MODES = {
    "offline": ", offline: no language model is used",
    "direct": ", direct: without the gateway",
    "replay": ", replay: recorded answers, no model is called and nothing is paid",
}


def heading(state: SessionState, common: Common) -> str:
    """Name the session, and how to go on should it be stopped."""
    lines = [f"Session {state.id}"]
    if state.created is not None:
        lines.append(f"Flow {state.created.flow_name}{_MODES.get(state.created.upstream, '')}.")
    if state.forked is not None:
        lines.append(f"A {words.fork_of(state.forked.origin, state.forked.at)}.")
    if not state.finished:
        lines.append(f"Should it stop, go on with: {common.command('resume', state.id)}")
    return "\n".join(lines) + "\n"


def summary(
    ended: Result, state: SessionState, common: Common, took_s: float, trace: str | None = None
) -> str:
    """Say how a session ended, what it used, whether its citations hold, and what can be done next.

    `trace` is the address at which its trace can be seen.
    """
    usage = ended.usage
    used = [
        words.number(len(ended.agent_runs), "agent run"),
        words.number(usage.model_calls, "model call"),
        f"{words.tokens(usage.total_tokens)} tokens",
    ]
    if ended.cost_usd is not None and usage.model_calls:
        used.append(words.dollars(ended.cost_usd))
    lines = [
        "",
        f"{ended.status.replace('_', ' ').capitalize()} after {words.clock(took_s)}: {', '.join(used)}.",
    ]
    if usage.unattributed_calls:
        calls = words.number(usage.unattributed_calls, "call")
        lines.append(
            f"Unattributed: {calls} whose end is not known, so what they used is not in these numbers."
        )
    lines += inherited(ended)
    if state.created is not None and state.created.upstream == "offline":
        lines.append("Offline: no language model was used; the report is made of extracts.")
    lines += citations(ended.citations)
    if ended.problem:
        lines.append(ended.problem)
    if trace:
        lines.append(f"Trace: {trace}")
    lines += _next(ended, common)
    return "\n".join(lines)


def inherited(ended: Result) -> list[str]:
    """Say what a fork did not have to pay."""
    known = ended.inherited
    if known is None or not known.usage.model_calls:
        return []
    used = [
        words.number(known.usage.model_calls, "model call"),
        f"{words.tokens(known.usage.total_tokens)} tokens",
        *([words.dollars(known.cost_usd)] if known.cost_usd is not None else []),
    ]
    return [f"Inherited, and paid in {words.short(known.session_id)}: {', '.join(used)}."]


def citations(found: dict[str, Any] | None) -> list[str]:
    """Say how many citations were checked, and each one that failed."""
    if found is None:
        return []
    checked, failed = found["checked"], found["failed"]
    if not failed:
        return [
            f"Citations: {checked} checked, all of them hold." if checked else "Citations: there are none."
        ]
    lines = [f"Citations: {checked} checked, {len(failed)} do not hold:"]
    return lines + [f"  {each['citation']}: {each['reason']}" for each in failed]


def _next(ended: Result, common: Common) -> list[str]:
    match ended.status:
        case "done":
            return [f'Ask on with: {common.command("ask", ended.session_id)} "..."']
        case "cancelled":
            return []
        case _:
            return [f"Go on with: {common.command('resume', ended.session_id)}"]
