"""What a tenant's limits say to a session that is to begin or to go on."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.bundles.bundle import Bundle
from harness.errors import NotAllowed
from harness.flow import AnyNode, bundles_of, routed
from harness.pricing import PRICES, Price, price_of
from harness.records import NO_LIMITS, Limits
from harness.settings import Settings
from harness.state import SessionState
from harness.store.database import Database
from harness.store.tenants import TenantLimits, by_plain_role, limits_of


@dataclass(frozen=True)
class Plea:
    """What a session wants to use: its flow, the models of its agents, and how its calls are made.

    `asked` are the limits that a person has named for it, `limits` those that it would have.
    """

    flow: str
    upstream: str
    models: tuple[str, ...]
    asked: Limits
    limits: Limits
    prices: Mapping[str, Price] = field(default_factory=lambda: PRICES)


def models_of(
    flow: AnyNode, bundles: Mapping[str, Bundle], settings: Settings, model: str | None
) -> tuple[str, ...]:
    """The models that the agents of a flow call: all of them `model`, if it is given, or the fallback."""
    fallback = {settings.models.fallback} if settings.models.fallback else set[str]()
    if model is not None:
        return tuple(sorted({model} | fallback))
    used = {settings.models.named(bundles[name].model) for name in bundles_of(flow) if name in bundles}
    return tuple(sorted(used | ({settings.models.routing} if routed(flow) else set()) | fallback))


async def check_role(database: Database, upstream: str) -> None:
    """See that the role of the DSN may call models: who could write the ledger could set its own budget.

    Raises:
        NotAllowed: it is a tenant's plain role, and the calls are paid for.
    """
    if upstream == "live" and await by_plain_role(database):
        raise NotAllowed(
            "The role of the DSN works for a tenant, and calls no model that is paid for; "
            "leave the session to the service's workers, with harness submit or harness resume --submit."
        )


async def permitted(database: Database, tenant: str, plea: Plea) -> Limits:
    """Give the limits that a session of a tenant has.

    Raises:
        NotAllowed: naming what the tenant may not, and what to do about it.
    """
    return permit(tenant, await limits_of(database, tenant), plea)


async def permitted_to_go_on(
    database: Database,
    state: SessionState,
    bundles: Mapping[str, Bundle],
    settings: Settings,
    asked: Limits = NO_LIMITS,
) -> Limits:
    """Give the limits that a session has from here on; `asked` are those that a person names now.

    Raises:
        NotAllowed: as for one that is to begin.
    """
    created = state.created
    if created is None:
        return state.limits
    models = models_of(created.flow, bundles, settings, created.model)
    plea = Plea(
        created.flow_name, created.upstream, models, asked, asked.over(state.limits), settings.price_table
    )
    return await permitted(database, state.tenant, plea)


def permit(tenant: str, its: TenantLimits, plea: Plea) -> Limits:
    """Give the limits that a session has under those of its tenant. Raises NotAllowed as `permitted` does."""
    change = f"harness tenants set {shlex.quote(tenant)}"
    if its.flows is not None and plea.flow not in its.flows:
        raise NotAllowed(
            f"The tenant '{tenant}' may not use the flow '{plea.flow}', only {_listed(its.flows)}; "
            f"choose one with --flow, or allow it with: {change} --flows"
        )
    if plea.upstream == "direct" and its.budgeted:
        raise NotAllowed(
            f"The tenant '{tenant}' has a budget, against which what is called with a Claude login cannot be "
            "held; leave --direct out."
        )
    if plea.upstream in ("live", "direct"):
        _check_models(tenant, its, plea)
    _check_asked(tenant, its, plea.asked)
    return plea.limits.tightened(Limits(max_cost_usd=its.session_usd, max_tokens=its.session_tokens))


def _check_models(tenant: str, its: TenantLimits, plea: Plea) -> None:
    change = f"harness tenants set {shlex.quote(tenant)}"
    for model in plea.models:
        if its.models is not None and model not in its.models:
            raise NotAllowed(
                f"The tenant '{tenant}' may not use the model '{model}', only {_listed(its.models)}; "
                f"choose one with --model, or allow it with: {change} --models"
            )
        if its.in_usd and price_of(model, plea.prices) is None:
            raise NotAllowed(
                f"The price of the model '{model}' is not known, so the budget of the tenant '{tenant}' "
                f"cannot be kept; choose another model, or give it a budget of tokens with: {change}"
            )


def _check_asked(tenant: str, its: TenantLimits, asked: Limits) -> None:
    change = f"harness tenants set {shlex.quote(tenant)}"
    usd, tokens = asked.max_cost_usd, asked.max_tokens
    if usd is not None and its.session_usd is not None and usd > its.session_usd:
        raise NotAllowed(
            f"A session of the tenant '{tenant}' may cost ${its.session_usd:,.2f} at most, not ${usd:,.2f}; "
            f"give less with --budget-usd, or raise it with: {change} --session-usd AMOUNT"
        )
    if tokens is not None and its.session_tokens is not None and tokens > its.session_tokens:
        raise NotAllowed(
            f"A session of the tenant '{tenant}' may use {its.session_tokens:,} tokens at most, not "
            f"{tokens:,}; give less with --budget-tokens, or raise it with: {change} --session-tokens NUMBER"
        )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"
