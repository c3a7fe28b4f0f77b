"""What an agent run may still spend."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.limits import (
    WRITE_UP_SHARE,
    Allowed,
    Refused,
    more,
    nearly_spent,
    next_call,
    spent,
    time_left_s,
)
from harness.records import Limits, Usage
from harness.state import RunState, SessionState
from harness.state.spent import Spent
from tests.kit.journals import BEGAN, printing_seeds, task


def run(id: str = "run", **given: Any) -> RunState:
    fields: dict[str, Any] = {
        "id": id,
        "agent": "researcher",
        "bundle_version": "v",
        "parent_id": None,
        "path": "q0",
        "task": task("researcher", {}),
        "members": (),
        "limits": Limits(),
        "continues": None,
        "created_at": BEGAN,
    }
    return RunState(**(fields | given))


def session(*runs: RunState, budget: float | None = None) -> SessionState:
    return SessionState("s", limits=Limits(max_cost_usd=budget), runs={run.id: run for run in runs})


def verdict(known: RunState, *, budget: float | None = None, auxiliary: bool = False) -> Allowed | Refused:
    return next_call(session(known, budget=budget), known, auxiliary=auxiliary)


def test_without_limits_every_call_may_be_made() -> None:
    """None is no limit, whatever was spent."""
    assert verdict(run(steps=10**6, cost_usd=1e6)) == Allowed()


@pytest.mark.parametrize(
    ("steps", "limit", "expected"),
    [
        (0, 3, Allowed()),
        (1, 3, Allowed()),
        (2, 3, Allowed("steps")),
        (0, 1, Allowed()),
        (1, 2, Allowed("steps")),
    ],
)
def test_the_last_step_is_for_writing_up(steps: int, limit: int, expected: Allowed) -> None:
    """The last of several steps is the last turn; where there is only one, it is an ordinary one."""
    assert verdict(run(steps=steps, limits=Limits(max_steps=limit))) == expected


@pytest.mark.parametrize("steps", [3, 4])
def test_spent_steps_refuse_the_next_call(steps: int) -> None:
    """At the limit and beyond it nothing more is sent, and the sentence says which limit it was."""
    known = run(steps=steps, limits=Limits(max_steps=3))
    refused = verdict(known)
    assert refused == Refused("steps", "The limit of 3 steps of this agent run is spent.")
    assert spent(session(known), known) == "steps"


@pytest.mark.parametrize(
    ("steps", "of", "left"),
    [(5, 8, None), (6, 8, "2 of 8 steps"), (2, 3, None), (14, 20, None), (15, 20, "5 of 20 steps")],
)
def test_near_its_end_a_run_is_told_how_much_is_left(steps: int, of: int, left: str | None) -> None:
    """From three quarters of its steps on, if there are enough of them to plan with."""
    allowed = verdict(run(steps=steps, limits=Limits(max_steps=of)))
    assert isinstance(allowed, Allowed)
    assert allowed.left == left or allowed.last_turn == "steps"


def test_an_auxiliary_call_needs_no_step() -> None:
    """A title is not refused for want of steps, and never the last turn; for want of money it is."""
    known = run(steps=3, cost_usd=0.95, limits=Limits(max_steps=3, max_cost_usd=1))
    assert verdict(known, auxiliary=True) == Allowed()
    known.cost_usd = 1.0
    assert isinstance(verdict(known, auxiliary=True), Refused)


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        (0.0, Allowed()),
        (1.49, Allowed()),
        (1.5, Allowed(left="25% of the money")),
        (1.79, Allowed(left="10% of the money")),
        (2 * WRITE_UP_SHARE, Allowed("cost")),
        (1.99, Allowed("cost")),
    ],
)
@pytest.mark.parametrize("of", ["run", "session"])
def test_near_its_end_money_is_for_writing_up(of: str, cost: float, expected: Allowed) -> None:
    """From a share of the run's own limit, or of the session's, the next turn is the last."""
    own = run(cost_usd=cost, limits=Limits(max_cost_usd=2 if of == "run" else None))
    assert verdict(own, budget=2 if of == "session" else None) == expected


def using(tokens: int, **given: Any) -> RunState:
    known = run(**given)
    known.settled = Usage(input_tokens=tokens - 1, cache_read_input_tokens=1)
    return known


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (1490, Allowed()),
        (1500, Allowed(left="25% of the tokens")),
        (1800, Allowed("tokens")),
        (2000, Refused("tokens", "The budget of 2,000 tokens of this agent run is spent.")),
    ],
)
def test_tokens_are_limited_as_money_is(tokens: int, expected: Allowed | Refused) -> None:
    """A word when little is left, a last turn, and then no more; cached tokens count."""
    assert verdict(using(tokens, limits=Limits(max_tokens=2000))) == expected


def test_the_tokens_of_a_session_are_those_of_all_its_runs() -> None:
    """What a fork has inherited was paid in its origin; the sentence says how to raise the budget."""
    idle, ended = run("idle"), using(3000, id="ended", status="done")
    known = session(idle, ended)
    known.limits = Limits(max_tokens=3000)
    refused = next_call(known, idle, auxiliary=True)
    assert refused == Refused(
        "tokens",
        "The session's budget of 3,000 tokens is spent; "
        "raise it with: harness resume s --budget-tokens NUMBER",
    )
    known.inherited = Spent(Usage(input_tokens=2500))
    assert next_call(known, idle, auxiliary=False) == Allowed()


def test_the_fuller_limit_makes_the_last_turn() -> None:
    """Of money and tokens."""
    known = using(950, cost_usd=0.8, limits=Limits(max_tokens=1000, max_cost_usd=1))
    assert verdict(known) == Allowed("tokens")


def test_a_spent_run_says_so() -> None:
    """Its own limit is named with its amount."""
    known = run(cost_usd=2.0, limits=Limits(max_cost_usd=2))
    assert verdict(known) == Refused("cost", "The budget of $2.00 of this agent run is spent.")
    assert spent(session(known), known) == "cost"


def test_a_spent_session_stops_each_of_its_runs() -> None:
    """What all runs cost together counts, ended ones included; the sentence says how to raise the budget."""
    idle, ended = run("idle"), run("ended", cost_usd=3.0, status="done")
    refused = next_call(session(idle, ended, budget=3), idle, auxiliary=False)
    assert isinstance(refused, Refused)
    assert refused.problem == (
        "The session's budget of $3.00 is spent; raise it with: harness resume s --budget-usd AMOUNT"
    )


@printing_seeds
@given(
    st.floats(0, 20), st.integers(0, 20),
    st.one_of(st.none(), st.floats(0.1, 10)), st.one_of(st.none(), st.integers(1, 10)),
)  # fmt: skip
def test_whoever_was_refused_goes_on_when_granted_more(
    cost: float, steps: int, budget: float | None, max_steps: int | None
) -> None:
    """Granting a bundle's limits again allows the next call, whatever was spent before."""
    bundle = Limits(max_cost_usd=budget, max_steps=max_steps)
    known = run(cost_usd=cost, steps=steps, limits=bundle)
    known.limits = more(known, bundle)
    assert isinstance(verdict(known), Allowed)


def test_more_is_as_much_again() -> None:
    """Steps, money and time are granted on top of what was used; what is unlimited stays so."""
    known = using(400, cost_usd=0.5, steps=7, work_s=30.0)
    assert more(known, Limits(max_steps=10, max_cost_usd=1, max_tokens=1000, timeout_s=60)) == Limits(
        max_steps=17, max_cost_usd=1.5, max_tokens=1400, timeout_s=90
    )
    assert more(known, Limits()) == Limits()


@pytest.mark.parametrize(("worked", "left"), [(0.0, 60.0), (45.0, 15.0), (60.0, 0.0), (90.0, 0.0)])
def test_time_left_is_never_negative(worked: float, left: float) -> None:
    """Only a run's own work counts."""
    assert time_left_s(run(work_s=worked, limits=Limits(timeout_s=60))) == left
    assert time_left_s(run(work_s=worked)) is None


def test_the_stricter_limit_wins() -> None:
    """Kind by kind, where either may be missing."""
    wide = Limits(max_steps=9, max_cost_usd=1)
    assert wide.tightened(Limits(max_steps=3, timeout_s=5)) == Limits(
        max_steps=3, max_cost_usd=1, timeout_s=5
    )


def test_a_run_has_two_last_turns() -> None:
    """The second is for one that called a tool in the first; a third is refused, though money is left."""
    known = run(cost_usd=1.9, limits=Limits(max_cost_usd=2), last_turns=1)
    assert verdict(known) == Allowed("cost")
    known.last_turns = 2
    refused = verdict(known)
    assert isinstance(refused, Refused)
    assert (refused.reason, nearly_spent(session(known), known)) == ("cost", "cost")
