"""The ledger: what a model call can use at most is reserved before it is sent; then what it used is booked.

Both happen in the transaction of the journal's event, under its fence. So after any kill a call is either
booked with what it used, or its reservation is left behind and becomes an unattributed line: never both, and
never neither.
"""

from __future__ import annotations

import shlex
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from harness.errors import BudgetSpent
from harness.store.database import Connection, Database
from harness.store.lease import Lease
from harness.store.queries import queries

_SQL = queries("ledger")


@dataclass(frozen=True)
class Reservation:
    """What an attempt of a model call can use at most; `usd` is None when the model's price is not known."""

    tenant: str
    model: str
    tokens: int
    usd: float | None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True)
class Used:
    """The attempt of a reservation has ended, and this is what it used; refused ones cost nothing.

    `usd` is None when the price of the `model` that answered is not known.
    """

    reservation_id: str
    model: str
    tokens: int = 0
    usd: float | None = 0.0
    answered: bool = True


@dataclass(frozen=True)
class Lost:
    """The attempt of a reservation was sent, and what it used will never be known."""

    reservation_id: str


@dataclass(frozen=True)
class Entry:
    """What is booked with an event: how an attempt has ended, and the reservation of the next one."""

    ended: Used | Lost | None = None
    begins: Reservation | None = None


async def book(connection: Connection, lease: Lease, entry: Entry) -> None:
    """Book an entry in the transaction that has proved the lease's token.

    Raises:
        BudgetSpent: the tenant's budget has no room for the reservation.
    """
    match entry.ended:
        case Used() as used:
            row: dict[str, Any] = {
                "id": used.reservation_id,
                "model": used.model,
                "tokens": used.tokens,
                "usd": _exact(used.usd),
                "answered": used.answered,
            }
            await connection.run(_SQL["settle"], row)
        case Lost(reservation_id=reservation_id):
            await connection.run(_SQL["lose"], {"ids": [reservation_id]})
        case None:
            pass
    if entry.begins is not None:
        await _reserve(connection, lease, entry.begins)


async def _reserve(connection: Connection, lease: Lease, asked: Reservation) -> None:
    row: dict[str, Any] = {
        "id": asked.id,
        "session_id": lease.session_id,
        "token": lease.token,
        "tenant": asked.tenant,
        "model": asked.model,
        "tokens": asked.tokens,
        "usd": _exact(asked.usd),
    }
    while await connection.one(_SQL["reserve"], row) is None:
        if await connection.run(_SQL["open_day"], row):
            continue
        # Nothing in the way any more: the limits were raised, or a call was settled, in between.
        if (limit := await connection.one(_SQL["refusal"], row)) is not None:
            raise _spent(lease.session_id, asked, limit)


def _spent(session_id: str, asked: Reservation, limit: dict[str, Any]) -> BudgetSpent:
    """Say which limit is in the way, until when, and what to do."""
    setting, revision = str(limit["setting"]), int(limit["revision"])
    in_usd, daily = setting.endswith("usd"), setting.startswith("daily")
    tenant, change = asked.tenant, f"harness tenants set {shlex.quote(asked.tenant)} --{setting}"
    if limit["asked"] is None:
        problem = (
            f"The price of the model '{asked.model}' is not known, so the budget of the tenant '{tenant}' "
            f"cannot be kept; take it away with: {change} none, then: harness resume {session_id}"
        )
        return BudgetSpent(problem, revision=revision)

    def amount(name: str) -> str:
        return f"${limit[name]:,.2f}" if in_usd else f"{limit[name]:,.0f} tokens"

    again_s = None
    if limit["submitted"] and limit["asked"] <= limit["most"]:
        again_s = float(limit["again_s"])
        then = f", or it goes on when the {'day' if daily else 'month'} ends (UTC)"
    else:
        then = f", then: harness resume {session_id}"
    problem = (
        f"The tenant '{tenant}' has {amount('taken')} of {amount('most')} taken "
        f"{'today' if daily else 'this month'}, and the next model call can use up to {amount('asked')}; "
        f"raise the limit with: {change} {'AMOUNT' if in_usd else 'NUMBER'}{then}"
    )
    return BudgetSpent(problem, revision=revision, again_s=again_s, passing=limit["passing"])


def _exact(usd: float | None) -> Decimal | None:
    """The decimal number that an amount is written as, for sums of many to stay exact."""
    return None if usd is None else Decimal(repr(usd))


async def hold(database: Database, lease: Lease, spent: BudgetSpent) -> None:
    """Note which limits a session waits for, so that it goes on as soon as they are raised."""
    row = {"id": lease.session_id, "token": lease.token, "revision": spent.revision}
    await database.run(_SQL["hold"], row)


async def sweep(database: Database) -> int:
    """Book as unattributed what dead or past holders of leases have left behind, and give how many attempts.

    A lease that has ended with a call on the wire is fenced off first: its holder settles nothing any more.
    """
    await database.run(_SQL["fence_off"])
    left = await database.all(_SQL["left_behind"])
    if left:
        await database.run(_SQL["lose"], {"ids": [row["id"] for row in left]})
    return len(left)
