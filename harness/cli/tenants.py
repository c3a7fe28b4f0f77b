"""`harness tenants`: what each tenant may use, and what it has used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from rich.table import Table

from harness.cli import words
from harness.cli.options import TEXT, Common, common
from harness.cli.output import answer, answer_json, draw
from harness.cli.signals import run_whole
from harness.cli.tenant_roles import grant, revoke
from harness.errors import BadInput
from harness.store.ledger import sweep
from harness.store.open import open_store
from harness.store.tenants import Spent, Tenant, TenantLimits, read_tenant, set_limits, tenant_names

NONE = "none"
"""Takes a limit away."""


class _Limit(click.ParamType[Any]):
    """A value of a limit, or `none`; "" stands for the latter, because None means that nothing was said."""

    def __init__(self, name: str, read: Callable[[str], Any], like: str) -> None:
        self.name = name
        self._read = read
        self._like = like

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        said = str(value).strip()
        if said == NONE:
            return ""
        try:
            return self._read(said)
        except ValueError:
            self.fail(
                f"'{value}' is neither {self._like}, nor '{NONE}', which takes the limit away", param, ctx
            )


def _amount(said: str) -> float:
    amount = float(said)
    if not 0 < amount < 1e12:
        raise ValueError
    return amount


def _count(said: str) -> int:
    if not said.isdecimal() or not 0 < int(said) < 10**15:
        raise ValueError
    return int(said)


def _places(said: str) -> int:
    if not said.isdecimal() or int(said) > 1_000_000:
        raise ValueError
    return int(said)


def _names(said: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in said.split(",") if name.strip()))
    if not names:
        raise ValueError
    return names


AMOUNT = _Limit("amount", _amount, "an amount of US dollars above zero, like 2.50")
TOKENS = _Limit("number", _count, "a number of tokens above zero, like 2000000")
PLACES = _Limit("number", _places, "a number of sessions, like 4")
NAMES = _Limit("names", _names, "a list of names, like a,b")


@click.group("tenants")
def tenants() -> None:
    """Say what each tenant may use, and see what it has used.

    A session belongs to the tenant of the settings, or of `--tenant`; without limits it may use anything.
    """


@tenants.command("list")
@common
def tenants_list(common: Common) -> int:
    """List the tenants with what they have taken of their budgets."""

    async def work() -> int:
        async with open_store(common.settings) as database:
            await sweep(database)
            found = [await read_tenant(database, name) for name in await tenant_names(database)]
        if common.as_json:
            answer_json({"tenants": found})
        elif found:
            draw(_listed(found))
        else:
            answer("There are no tenants yet; a first session or `harness tenants set` makes one.")
        return 0

    return run_whole(work())


@tenants.command("show")
@click.argument("name", type=TEXT)
@common
def tenants_show(common: Common, name: str) -> int:
    """Show the limits of the tenant NAME, what it has used today and this month (UTC), and its sessions."""

    async def work() -> int:
        async with open_store(common.settings) as database:
            await sweep(database)
            tenant = await read_tenant(database, name)
        answer_json(tenant) if common.as_json else _tell(tenant)
        return 0

    return run_whole(work())


@tenants.command("set")
@click.argument("name", type=TEXT)
@click.option("--daily-usd", type=AMOUNT, help="US dollars at list prices for each day, in UTC.")
@click.option("--monthly-usd", type=AMOUNT, help="The same for each month.")
@click.option("--session-usd", type=AMOUNT, help="The most that a session may cost.")
@click.option("--daily-tokens", type=TOKENS, help="Tokens for each day, cached ones included.")
@click.option("--monthly-tokens", type=TOKENS, help="The same for each month.")
@click.option("--session-tokens", type=TOKENS, help="The most tokens that a session may use.")
@click.option("--max-sessions", type=PLACES, help="Its sessions that workers advance at the same time.")
@click.option("--models", type=NAMES, metavar="A,B", help="The models that it may use.")
@click.option("--flows", type=NAMES, metavar="A,B", help="The flows that it may use.")
@common
def tenants_set(common: Common, name: str, **limits: Any) -> int:
    """Set limits of the tenant NAME; `none` takes one away, and what is not named stays as it is.

    Its sessions that wait for a budget go on at once, as far as there is room now.
    """
    changes = {key: None if value == "" else value for key, value in limits.items() if value is not None}
    if not name.strip():
        raise BadInput("The tenant's name is empty; give the one that its sessions have in their settings.")
    if not changes:
        raise BadInput(
            "No limit is named; name one, like --daily-usd 5, or see them with: harness tenants show."
        )

    async def work() -> int:
        async with open_store(common.settings) as database:
            await set_limits(database, name.strip(), changes)
            tenant = await read_tenant(database, name.strip())
        answer_json(tenant) if common.as_json else _tell(tenant)
        return 0

    return run_whole(work())


def _listed(found: list[Tenant]) -> Table:
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for column in ("tenant", "today", "of", "this month", "of", "unattributed", "sessions"):
        made.add_column(column, no_wrap=True)
    for tenant in found:
        limits, lost = tenant.limits, tenant.month.unattributed_calls
        made.add_row(
            tenant.name,
            _used(tenant.today),
            _budget(limits.daily_usd, limits.daily_tokens),
            _used(tenant.month),
            _budget(limits.monthly_usd, limits.monthly_tokens),
            words.dollars(tenant.month.unattributed_usd) if lost else "",
            ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in tenant.sessions.items()),
        )
    return made


def _used(spent: Spent) -> str:
    return _amounts(spent.usd, spent.tokens)


def _amounts(usd: float, tokens: int) -> str:
    return f"{words.dollars(usd)}, {words.tokens(tokens)} tokens"


def _budget(usd: float | None, tokens: int | None) -> str:
    said = [words.dollars(usd) if usd is not None else "", f"{words.tokens(tokens)} tokens" if tokens else ""]
    return ", ".join(filter(None, said)) or "no limit"


def _tell(tenant: Tenant) -> None:
    limits = tenant.limits
    answer(f"Tenant {tenant.name}")
    _tell_spent("Today (UTC)", tenant.today, _budget(limits.daily_usd, limits.daily_tokens))
    _tell_spent("This month", tenant.month, _budget(limits.monthly_usd, limits.monthly_tokens))
    answer(f"For each session: {_budget(limits.session_usd, limits.session_tokens)}.")
    answer(_others(limits))
    sessions = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in tenant.sessions.items())
    answer(f"Sessions: {sessions or 'none'}.")
    for day in tenant.days:
        lost = f", {words.dollars(day.unattributed_usd)} unattributed" if day.unattributed_calls else ""
        answer(f"  {day.day}  {words.number(day.calls, 'model call')}, {_used(day)}{lost}")


def _tell_spent(period: str, spent: Spent, budget: str) -> None:
    answer(f"{period}: {words.number(spent.calls, 'model call')}, {_used(spent)}; limit: {budget}.")
    if spent.reserved_calls:
        most = _amounts(spent.reserved_usd, spent.reserved_tokens)
        answer(f"  reserved: {words.number(spent.reserved_calls, 'model call')} on the wire, at most {most}")
    if spent.unattributed_calls or spent.unattributed_usd:
        most = _amounts(spent.unattributed_usd, spent.unattributed_tokens)
        attempts = words.number(spent.unattributed_calls, "attempt")
        answer(f"  unattributed: {attempts} whose use is not known, at most {most}")
    if spent.unpriced_calls:
        answer(f"  of unknown price: {words.number(spent.unpriced_calls, 'model call')}, not in the dollars")


def _others(limits: TenantLimits) -> str:
    at_once = "any number" if limits.max_sessions is None else str(limits.max_sessions)
    models = ", ".join(limits.models) if limits.models is not None else "any"
    flows = ", ".join(limits.flows) if limits.flows is not None else "any"
    return f"At work at the same time: {at_once}. Models: {models}. Flows: {flows}."


tenants.add_command(grant)
tenants.add_command(revoke)
