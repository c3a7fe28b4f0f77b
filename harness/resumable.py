"""Whether a session can go on, and whom it waits for."""

from __future__ import annotations

from collections.abc import Mapping

from harness.bundles.bundle import Bundle
from harness.errors import BadInput, NotResumable
from harness.plan import plan
from harness.records import Limits
from harness.settings import Settings
from harness.state import RunState, SessionState


def ended_for_good(state: SessionState) -> bool:
    """Whether nothing is left to do."""
    return state.finished and state.status in ("done", "cancelled")


def wanting_help(state: SessionState) -> list[RunState]:
    """The agent runs that the session ended for, though they could go on if they were given more."""
    if not state.halted or state.created is None:
        return []
    found = plan(state.created.flow, state)
    if found.outcome is None:
        return []
    stuck = [state.runs[run_id] for run_id in found.stuck]
    failed = [run for run in state.runs.values() if run.essential and run.status == "failed"]
    return stuck or failed[-1:]


def check_answer(state: SessionState, answer: str | None) -> None:
    """Refuse an answer that nobody has asked for.

    Raises:
        NotResumable: no agent run asks for help.
    """
    if answer and not wanting_help(state):
        raise NotResumable(
            f"Nobody in session {state.id} asks for help; leave --answer out: harness resume {state.id}"
        )


def check_resumable(
    state: SessionState, asked: Limits, settings: Settings, bundles: Mapping[str, Bundle]
) -> None:
    """Refuse to go on without what a session needs: its key, its bundles, and money left.

    `asked` are the limits that a person names now; the others stay as they are.

    Raises:
        BadInput: naming what is missing and what to do about it.
    """
    created = state.created
    if created is None:
        raise NotResumable(f"Session {state.id} was never begun; ask the question again with: harness run")
    if created.upstream == "live" and settings.upstream.api_key is None:
        raise BadInput("There is no key for the model service; set ANTHROPIC_API_KEY to resume this session.")
    missing = sorted(created.bundles.keys() - bundles.keys())
    if missing:
        raise NotResumable(
            f"Session {state.id} uses the bundle {missing[0]}, which is not here; "
            "resume it from the project folder that has it."
        )
    limits = asked.over(state.limits)
    usd, tokens = limits.max_cost_usd, limits.max_tokens
    if usd is not None and state.known_usd >= usd:
        raise NotResumable(
            f"The budget of ${usd:.2f} is spent (${state.known_usd:.2f}); "
            f"raise it with: harness resume {state.id} --budget-usd AMOUNT"
        )
    if tokens is not None and state.known_tokens >= tokens:
        raise NotResumable(
            f"The budget of {tokens:,} tokens is spent ({state.known_tokens:,}); "
            f"raise it with: harness resume {state.id} --budget-tokens NUMBER"
        )
