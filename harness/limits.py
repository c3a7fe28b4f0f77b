"""What an agent run may still spend: pure functions of the journal's fold.

The gateway asks before every model call, so a spent budget stops the next call and is not merely reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.records import Limits
from harness.settings import Settings
from harness.state import RunState, SessionState

WRITE_UP_SHARE = 0.9
"""Of a cost limit: beyond this share the next turn is the last, to write up what there is."""

WARN_SHARE = 0.75
"""Of a limit: beyond this share the agent is told behind each turn's results how much is left."""

LAST_TURNS = 2
"""Answers a run may give as its last: a second where the first called a tool, which is refused."""

WARNED_FROM = 4
"""Steps: with fewer there is nothing to plan."""

Reason = Literal["steps", "cost", "tokens"]


@dataclass(frozen=True)
class Allowed:
    """The call may be made; `last_turn` names the limit that makes it the run's last.

    `left` says how little is left, when the agent should begin to think of its end.
    """

    last_turn: Reason | None = None
    left: str | None = None


@dataclass(frozen=True)
class Refused:
    """The call may not be made."""

    reason: Reason
    problem: str


def next_call(state: SessionState, run: RunState, *, auxiliary: bool) -> Allowed | Refused:
    """Decide about a model call that is about to be made."""
    purses = _purses(state, run)
    for purse in purses:
        if purse.used >= purse.limit:
            return Refused(purse.reason, purse.problem)
    if auxiliary:
        return Allowed()
    steps = run.limits.max_steps
    if steps is not None and run.steps >= steps:
        return Refused("steps", f"The limit of {steps} steps of this agent run is spent.")
    fullest = max(purses, key=lambda purse: purse.share, default=None)
    ending = _ending(run, fullest)
    if ending is None:
        return Allowed(left=_little_left(run, fullest))
    if run.last_turns >= LAST_TURNS:
        return Refused(ending, "This agent run has had its last turn and gave no answer in it.")
    return Allowed(last_turn=ending)


def _ending(run: RunState, fullest: _Purse | None) -> Reason | None:
    """Name the limit that makes the next turn the last."""
    steps = run.limits.max_steps
    if steps is not None and steps > 1 and run.steps == steps - 1:
        return "steps"
    return fullest.reason if fullest is not None and fullest.share >= WRITE_UP_SHARE else None


def _little_left(run: RunState, fullest: _Purse | None) -> str | None:
    """Say what is left of a limit that is nearly used up, this call included."""
    steps = run.limits.max_steps
    if steps is not None and steps >= WARNED_FROM and run.steps >= WARN_SHARE * steps:
        return f"{steps - run.steps} of {steps} steps"
    if fullest is None or fullest.share < WARN_SHARE:
        return None
    return f"{1 - fullest.share:.0%} of the {'money' if fullest.reason == 'cost' else 'tokens'}"


def spent(state: SessionState, run: RunState) -> Reason | None:
    """Name the limit that lets this run make no further step, if there is one."""
    verdict = next_call(state, run, auxiliary=False)
    return verdict.reason if isinstance(verdict, Refused) else None


def nearly_spent(state: SessionState, run: RunState) -> Reason | None:
    """Name the limit that is spent, or that makes this run's next turn its last."""
    match next_call(state, run, auxiliary=False):
        case Refused(reason=reason):
            return reason
        case Allowed(last_turn=reason):
            return reason


def time_left_s(run: RunState) -> float | None:
    """Seconds of work the run may still do; zero when they are spent, None without a limit."""
    if run.limits.timeout_s is None:
        return None
    return max(0.0, run.limits.timeout_s - run.work_s)


def cost_left(state: SessionState, run: RunState) -> float | None:
    """US dollars the run may still spend; None without a limit. Never zero: that is refused earlier."""
    pairs = ((state.known_usd, state.limits.max_cost_usd), (run.cost_usd, run.limits.max_cost_usd))
    left = [limit - used for used, limit in pairs if limit is not None]
    return max(0.0001, min(left)) if left else None


def granted(own: Limits, settings: Settings) -> Limits:
    """The limits an agent run begins with: its bundle's, and the settings' where the bundle names none."""
    return Limits(
        max_steps=own.max_steps or settings.limits.max_steps,
        max_cost_usd=own.max_cost_usd,
        max_tokens=own.max_tokens,
        timeout_s=own.timeout_s or settings.limits.agent_timeout_s,
    )


def more(run: RunState, granted: Limits) -> Limits:
    """The limits of a run that asked for help and is given as much again as its bundle grants."""
    steps = None if granted.max_steps is None else run.steps + granted.max_steps
    cost = None if granted.max_cost_usd is None else run.cost_usd + granted.max_cost_usd
    tokens = None if granted.max_tokens is None else run.tokens + granted.max_tokens
    time = None if granted.timeout_s is None else run.work_s + granted.timeout_s
    return Limits(max_steps=steps, max_cost_usd=cost, max_tokens=tokens, timeout_s=time)


@dataclass(frozen=True)
class _Purse:
    """A limit of money or tokens: how much of it is used, and what is said when that is all."""

    reason: Literal["cost", "tokens"]
    used: float
    limit: float
    problem: str

    @property
    def share(self) -> float:
        return self.used / self.limit


def _purses(state: SessionState, run: RunState) -> list[_Purse]:
    """The limits of money and tokens that stand, the session's before the run's own."""
    whole, own, found = state.limits, run.limits, list[_Purse]()
    resume = f"harness resume {state.id}"
    if (usd := whole.max_cost_usd) is not None:
        said = f"The session's budget of ${usd:.2f} is spent; raise it with: {resume} --budget-usd AMOUNT"
        found.append(_Purse("cost", state.known_usd, usd, said))
    if (most := whole.max_tokens) is not None:
        raised = f"{resume} --budget-tokens NUMBER"
        said = f"The session's budget of {most:,} tokens is spent; raise it with: {raised}"
        found.append(_Purse("tokens", state.known_tokens, most, said))
    if (usd := own.max_cost_usd) is not None:
        said = f"The budget of ${usd:.2f} of this agent run is spent."
        found.append(_Purse("cost", run.cost_usd, usd, said))
    if (most := own.max_tokens) is not None:
        said = f"The budget of {most:,} tokens of this agent run is spent."
        found.append(_Purse("tokens", run.tokens, most, said))
    return found
