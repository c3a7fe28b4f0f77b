"""Which model calls an agent run may make, whatever its CLI or a shell with its token asks for."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from harness.limits import Refused
from harness.pricing import Price, price_of
from harness.state import RunState, SessionState

AUXILIARY_BESIDE = 20
"""Calls that a CLI may make beside its agent's work, apart from one for each step and each tool call.

A search of the CLI's `WebSearch` is one call, and a compaction another. These are for attempts of them that
failed, of which nothing else is known.
"""

_FAMILIES = ("opus", "sonnet", "haiku", "fable")
"""Names that a bundle may give instead of a model's id; the CLI asks for the newest of the family."""

_VARIANT = re.compile(r"\[\w+\]$")
"""How a CLI is told to use a larger context window; it does not send it."""


@dataclass(frozen=True)
class Forbidden:
    """A call that the run may not make, whatever is left to spend."""

    problem: str


def forbidden(model: str, allowed: Collection[str]) -> Forbidden | None:
    """Hold the model of a request against those that its run may ask."""
    if any(_means(name, model) for name in allowed):
        return None
    return Forbidden(
        f"This agent run may not ask the model '{model}', only {' or '.join(sorted(allowed))}; the model is "
        "set by the agent's bundle, by --model, and by models.fallback."
    )


def unpriced(model: str, state: SessionState, run: RunState, prices: Mapping[str, Price]) -> Forbidden | None:
    """Refuse a model of unknown price to who pays and has a budget of dollars.

    The budget of a tenant's day and month is kept by its ledger, which refuses such a call, too.
    """
    paid = state.created is not None and state.created.upstream == "live"
    if not paid or price_of(model, prices) is not None:
        return None
    if state.limits.max_cost_usd is None and run.limits.max_cost_usd is None:
        return None
    return Forbidden(
        f"The price of the model '{model}' is not known, so the budget in dollars cannot be kept; "
        f'give it in harness.toml, under [prices."{model}"].'
    )


def too_many_beside(run: RunState) -> Refused | None:
    """Bound the calls that are no steps, so that they cannot stand in for them."""
    most = run.steps + len(run.tools) + AUXILIARY_BESIDE
    if run.auxiliary_calls < most:
        return None
    return Refused(
        "steps", f"{most} calls have been made beside the steps of this agent run, and no more may be."
    )


def _means(name: str, model: str) -> bool:
    """Whether a CLI that was told to use `name` asks for this model."""
    plain = _VARIANT.sub("", name)
    if plain in _FAMILIES:
        return model.startswith(f"claude-{plain}-")
    return plain.lower() == model.lower()
