"""Tenants: what each of them may use, and what it has used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from pydantic import Field

from harness.errors import BadInput
from harness.records import Record
from harness.store.database import Database
from harness.store.queries import queries
from harness.store.queue import tell

_SQL = queries("tenants")


class TenantLimits(Record):
    """What a tenant may use; None is no limit.

    Budgets are in US dollars at list prices and in tokens, cached ones included; days and months are those of
    UTC. `max_sessions` of its sessions are advanced by workers at the same time.
    """

    daily_usd: float | None = Field(default=None, gt=0)
    monthly_usd: float | None = Field(default=None, gt=0)
    session_usd: float | None = Field(default=None, gt=0)
    daily_tokens: int | None = Field(default=None, gt=0)
    monthly_tokens: int | None = Field(default=None, gt=0)
    session_tokens: int | None = Field(default=None, gt=0)
    max_sessions: int | None = Field(default=None, ge=0)
    models: tuple[str, ...] | None = None
    flows: tuple[str, ...] | None = None

    @property
    def in_usd(self) -> bool:
        """Whether there is a budget of money."""
        return any(limit is not None for limit in (self.daily_usd, self.monthly_usd, self.session_usd))

    @property
    def budgeted(self) -> bool:
        """Whether there is any budget."""
        tokens = (self.daily_tokens, self.monthly_tokens, self.session_tokens)
        return self.in_usd or any(limit is not None for limit in tokens)


async def by_plain_role(database: Database) -> bool:
    """Whether the database is opened with a tenant's plain role, which keeps no ledger."""
    row = await database.one(_SQL["plain_role"])
    return row is not None and bool(row["plain"])


class Spent(Record):
    """What model calls have used, in calls, tokens and US dollars.

    The cost of `unpriced_calls` is not known. Unattributed attempts were sent, and their use is not known;
    reserved ones are on the wire: of both the most they can use is told.
    """

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    unpriced_calls: int = 0
    unattributed_calls: int = 0
    unattributed_tokens: int = 0
    unattributed_usd: float = 0.0
    reserved_calls: int = 0
    reserved_tokens: int = 0
    reserved_usd: float = 0.0


class Day(Spent):
    """What was used on a day (UTC)."""

    day: date


class Tenant(Record):
    """A tenant: its limits, what it has used today and this month, by day, and its sessions by status."""

    name: str
    limits: TenantLimits
    today: Spent
    month: Spent
    days: tuple[Day, ...]
    sessions: dict[str, int]


async def limits_of(database: Database, name: str) -> TenantLimits:
    """Give a tenant's limits; one that nobody has set any for has none."""
    row = await database.one(_SQL["limits"], {"name": name})
    return TenantLimits() if row is None else TenantLimits(**row)


async def set_limits(database: Database, name: str, changes: Mapping[str, Any]) -> TenantLimits:
    """Set some of a tenant's limits, by the names of their fields, and give them all.

    Sessions that waited for room go on.
    """
    async with database.transaction() as connection:
        await connection.run(_SQL["begin"], {"name": name})
        row = await connection.one(_SQL["limits_to_change"], {"name": name})
        limits = TenantLimits(**{**(row or {}), **changes})
        plain = {field: getattr(limits, field) for field in TenantLimits.model_fields}
        lists = {field: list(value) for field, value in plain.items() if isinstance(value, tuple)}
        await connection.run(_SQL["set"], {"name": name, **plain, **lists})
    await release(database)
    return limits


async def release(database: Database) -> int:
    """Make sessions due whose tenant's limits were set anew since they left no room, and give how many."""
    released = await database.run(_SQL["release"])
    if released:
        await tell(database)
    return released


async def tenant_names(database: Database) -> list[str]:
    """Give the names of all tenants, in order."""
    return [str(row["name"]) for row in await database.all(_SQL["names"])]


async def read_tenant(database: Database, name: str) -> Tenant:
    """Read a tenant's limits and what it has used.

    Raises:
        BadInput: there is none of this name.
    """
    if name not in await tenant_names(database):
        raise BadInput(f"There is no tenant '{name}'; list them with: harness tenants list")
    row = await database.one(_SQL["today"])
    assert row is not None, "it has one row"
    today: date = row["day"]
    since = min(today.replace(day=1), today - timedelta(days=6))
    days = [Day(**row) for row in await database.all(_SQL["spent"], {"name": name, "since": since})]
    sessions = await database.all(_SQL["sessions"], {"name": name})
    return Tenant(
        name=name,
        limits=await limits_of(database, name),
        today=_sum(each for each in days if each.day == today),
        month=_sum(each for each in days if each.day >= today.replace(day=1)),
        days=tuple(days),
        sessions={row["status"]: row["sessions"] for row in sessions},
    )


def _sum(days: Iterable[Spent]) -> Spent:
    total: dict[str, Any] = Spent().model_dump()
    for day in days:
        total = {name: value + getattr(day, name) for name, value in total.items()}
    return Spent(**total)
