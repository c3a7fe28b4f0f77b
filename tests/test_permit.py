"""What a tenant's limits say to a session that is to begin or to go on."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import NotAllowed
from harness.permit import Plea, permit
from harness.records import Limits
from harness.store.tenants import TenantLimits

ANY_BUDGET = [
    {"daily_usd": 1},
    {"monthly_usd": 1},
    {"session_usd": 1},
    {"daily_tokens": 1},
    {"monthly_tokens": 1},
    {"session_tokens": 1},
]


def plea(**given: Any) -> Plea:
    fields: dict[str, Any] = {
        "flow": "single",
        "upstream": "live",
        "models": ("claude-opus-5-5",),
        "asked": Limits(),
        "limits": Limits(max_cost_usd=10, max_tokens=1000),
    }
    return Plea(**(fields | given))


def test_without_limits_anything_goes() -> None:
    """Also a model of unknown price, and a Claude login."""
    asked = plea(models=("gpt-9",), upstream="direct")
    assert permit("t", TenantLimits(), asked) == asked.limits


def test_a_session_gets_the_smaller_limits() -> None:
    """Its own or its tenant's, kind by kind."""
    its = TenantLimits(session_usd=3, session_tokens=5000)
    assert permit("t", its, plea()) == Limits(max_cost_usd=3, max_tokens=1000)
    assert permit("t", its, plea(limits=Limits())) == Limits(max_cost_usd=3, max_tokens=5000)


def test_what_is_asked_for_may_be_all_that_a_session_may_use() -> None:
    """Only more is refused, and only if a person has named it."""
    its = TenantLimits(session_usd=3, session_tokens=5000)
    permit("t", its, plea(asked=Limits(max_cost_usd=3, max_tokens=5000)))
    with pytest.raises(NotAllowed, match=r"may cost \$3\.00 at most, not \$3\.01"):
        permit("t", its, plea(asked=Limits(max_cost_usd=3.01)))
    with pytest.raises(NotAllowed, match=r"may use 5,000 tokens at most, not 5,001"):
        permit("t", its, plea(asked=Limits(max_tokens=5001)))


@pytest.mark.parametrize("limits", ANY_BUDGET, ids=str)
def test_no_login_of_its_own_under_any_budget(limits: dict[str, Any]) -> None:
    """Its calls could not be reserved."""
    with pytest.raises(NotAllowed, match=r"has a budget, .* leave --direct out"):
        permit("t", TenantLimits(**limits), plea(upstream="direct"))


@pytest.mark.parametrize("limits", ANY_BUDGET, ids=str)
def test_a_budget_of_dollars_needs_prices(limits: dict[str, Any]) -> None:
    """One of tokens does not, nor does what costs nothing."""
    its, unpriced = TenantLimits(**limits), plea(models=("claude-opus-5-5", "gpt-9"))
    if "usd" in str(limits):
        with pytest.raises(NotAllowed, match="price of the model 'gpt-9' is not known"):
            permit("t", its, unpriced)
    else:
        permit("t", its, unpriced)
    permit("t", its, plea(models=("gpt-9",), upstream="offline"))


def test_each_model_and_the_flow_must_be_allowed() -> None:
    """The first that is not is named, with those that are; who calls no model may name any."""
    its = TenantLimits(models=("claude-opus-5-5", "claude-haiku-5-5"), flows=("single", "mine"))
    permit("t", its, plea())
    with pytest.raises(NotAllowed, match="model 'claude-opus-5', only claude-opus-5-5, claude-haiku-5-5; "):
        permit("t", its, plea(models=("claude-opus-5-5", "claude-opus-5")))
    with pytest.raises(NotAllowed, match="flow 'research', only single, mine; "):
        permit("t", its, plea(flow="research", upstream="offline"))
    permit("t", its, plea(models=("other",), upstream="offline"))
    with pytest.raises(NotAllowed, match="may not use the model 'other'"):
        permit("t", its, plea(models=("other",), upstream="direct"))
