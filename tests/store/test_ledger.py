"""The ledger on a real Postgres: what is reserved, settled or lost adds up, whoever dies or races."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import pytest

from harness import events as ev
from harness.errors import BudgetSpent, LeaseLost, StoreUnavailable
from harness.pricing import cost_usd, most
from harness.records import Usage
from harness.store.database import Connection, Database
from harness.store.embedded import EmbeddedServer
from harness.store.journal import Journal
from harness.store.ledger import Entry, Lost, Reservation, Used, sweep
from harness.store.tenants import Spent, limits_of, read_tenant, set_limits
from tests.kit.databases import fresh_database
from tests.kit.journals import requested
from tests.kit.seeds import run_seed
from tests.kit.sessions import new_journal, take_over

MODEL = "claude-sonnet-4-5"


@pytest.fixture(scope="module")
def dsn(postgres: EmbeddedServer, migrated_template: str) -> Iterator[str]:
    """One database for all tests here: each has tenants of its own."""
    with fresh_database(postgres.dsn, migrated_template) as shared:
        yield shared


@pytest.fixture
def tenant(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


async def journal_of(database: Database, tenant: str) -> Journal:
    """The journal of a new session of a tenant."""
    journal = await new_journal(database)
    await set_limits(database, tenant, {})
    await database.run(
        "UPDATE session SET tenant = %(tenant)s WHERE id = %(id)s",
        {"tenant": tenant, "id": journal.session_id},
    )
    return journal


def asked(tenant: str, usd: float | None = 0.25, tokens: int = 1000) -> Reservation:
    return Reservation(tenant, MODEL, tokens, usd)


async def reserve(journal: Journal, wanted: Reservation) -> Reservation:
    """Commit the checkpoint of a call with its reservation."""
    await journal.append(requested(wanted.id), entry=Entry(begins=wanted))
    return wanted


async def end(journal: Journal, how: Used | Lost) -> None:
    """Commit how a call ended."""
    failed = ev.ModelFailed(call_id="c", auxiliary=False, status=None, problem="x", usage=Usage())
    await journal.append(failed, entry=Entry(ended=how))


def used(held: Reservation, usd: float | None = 0.1, tokens: int = 400) -> Used:
    return Used(held.id, MODEL, tokens, usd)


async def today(database: Database, tenant: str) -> Spent:
    return (await read_tenant(database, tenant)).today


async def taken(database: Database, tenant: str) -> tuple[float, int, float, int]:
    """What the account says is taken: of the day and of the month, in US dollars and tokens."""
    row = await database.one("SELECT * FROM account WHERE tenant = %(tenant)s", {"tenant": tenant})
    assert row is not None
    return (float(row["day_usd"]), row["day_tokens"], float(row["month_usd"]), row["month_tokens"])


async def check(database: Database, tenant: str) -> Spent:
    """The account is the sum of what is settled, reserved and unattributed, to the last digit."""
    spent = (await read_tenant(database, tenant)).month
    usd = spent.usd + spent.reserved_usd + spent.unattributed_usd
    tokens = spent.tokens + spent.reserved_tokens + spent.unattributed_tokens
    found = await taken(database, tenant)
    assert found[2] == pytest.approx(usd, abs=1e-9)
    assert found[3] == tokens
    return spent


async def test_what_was_reserved_beyond_the_use_is_given_back(database: Database, tenant: str) -> None:
    """On the wire a call takes its reservation, afterwards what it used."""
    journal = await journal_of(database, tenant)
    held = await reserve(journal, asked(tenant))
    assert await today(database, tenant) == Spent(reserved_calls=1, reserved_tokens=1000, reserved_usd=0.25)
    assert await taken(database, tenant) == (0.25, 1000, 0.25, 1000)
    await end(journal, used(held))
    assert await today(database, tenant) == Spent(calls=1, tokens=400, usd=0.1)
    assert await taken(database, tenant) == (0.1, 400, 0.1, 400)


async def test_a_refused_attempt_costs_nothing(database: Database, tenant: str) -> None:
    """All of its reservation is given back, and it is in no line."""
    journal = await journal_of(database, tenant)
    held = await reserve(journal, asked(tenant))
    await end(journal, Used(held.id, MODEL, answered=False))
    assert await today(database, tenant) == Spent()
    assert await taken(database, tenant) == (0, 0, 0, 0)


async def test_a_lost_attempt_stays_taken_and_is_a_line_of_its_own(database: Database, tenant: str) -> None:
    """At its reservation, the most it can have used; the next attempt has a reservation of its own."""
    journal = await journal_of(database, tenant)
    held = await reserve(journal, asked(tenant))
    again = asked(tenant)
    retried = ev.ModelRetried(call_id="c", auxiliary=False, status=None, problem="x", lost=True, pause_s=0)
    await journal.append(retried, entry=Entry(ended=Lost(held.id), begins=again))
    spent = await check(database, tenant)
    assert (spent.unattributed_calls, spent.unattributed_usd, spent.reserved_calls) == (1, 0.25, 1)
    await end(journal, used(again))
    spent = await check(database, tenant)
    assert (spent.calls, spent.unattributed_calls, spent.reserved_calls) == (1, 1, 0)


async def test_use_of_unknown_price_is_counted_in_tokens(database: Database, tenant: str) -> None:
    """It says so; where dollars had been reserved they stay taken as unattributed."""
    journal = await journal_of(database, tenant)
    await end(journal, used(await reserve(journal, asked(tenant, None)), None))
    assert await today(database, tenant) == Spent(calls=1, tokens=400, unpriced_calls=1)
    await end(journal, used(await reserve(journal, asked(tenant, 0.25)), None))
    assert (await check(database, tenant)).unattributed_usd == 0.25


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"daily_usd": 0.45}, "$0.25 of $0.45 taken today"),
        ({"monthly_usd": 0.45}, "$0.25 of $0.45 taken this month"),
        ({"daily_tokens": 1999}, "1,000 tokens of 1,999 tokens taken today"),
        ({"monthly_tokens": 1999}, "1,000 tokens of 1,999 tokens taken this month"),
    ],
)
async def test_without_room_nothing_is_committed(
    database: Database, tenant: str, limits: dict[str, Any], says: str
) -> None:
    """Neither the event nor the reservation; the sentence names the limit and the command that raises it."""
    journal = await journal_of(database, tenant)
    await set_limits(database, tenant, limits)
    await reserve(journal, asked(tenant))
    before, head = await taken(database, tenant), journal.state.head
    with pytest.raises(BudgetSpent) as refused:
        await reserve(journal, asked(tenant))
    (name,) = limits
    assert says in str(refused.value)
    assert f"harness tenants set '{tenant}' --{name.replace('_', '-')} " in str(refused.value)
    assert f"then: harness resume {journal.session_id}" in str(refused.value)
    assert refused.value.again_s is None
    assert await taken(database, tenant) == before
    row = await database.one("SELECT head FROM session WHERE id = %(id)s", {"id": journal.session_id})
    assert row == {"head": head}
    await set_limits(database, tenant, dict.fromkeys(limits, None))
    await reserve(journal, asked(tenant))
    await check(database, tenant)


async def test_a_submitted_session_waits_for_the_day_or_the_month_to_end(
    database: Database, tenant: str
) -> None:
    """For the longer of two; but for a person, if the call would never have room."""
    journal = await journal_of(database, tenant)
    await database.run("UPDATE session SET due_at = now() WHERE id = %(id)s", {"id": journal.session_id})
    await set_limits(database, tenant, {"daily_usd": 0.3})
    await reserve(journal, asked(tenant))
    with pytest.raises(BudgetSpent, match=r"goes on when the day ends") as refused:
        await reserve(journal, asked(tenant))
    assert 0 < (refused.value.again_s or 0) <= 86_400
    await set_limits(database, tenant, {"monthly_usd": 0.4})
    with pytest.raises(BudgetSpent, match=r"goes on when the month ends") as refused:
        await reserve(journal, asked(tenant))
    assert 0 < (refused.value.again_s or 0) <= 31 * 86_400
    with pytest.raises(BudgetSpent, match=r"can use up to \$0\.31; .* then: harness resume") as refused:
        await reserve(journal, asked(tenant, 0.31))
    assert refused.value.again_s is None


async def test_a_budget_of_money_takes_no_call_of_unknown_price(database: Database, tenant: str) -> None:
    """A budget of tokens does."""
    journal = await journal_of(database, tenant)
    await set_limits(database, tenant, {"daily_tokens": 5000})
    await reserve(journal, asked(tenant, None))
    await set_limits(database, tenant, {"monthly_usd": 1})
    with pytest.raises(BudgetSpent, match=r"price of the model .* not known.*--monthly-usd none"):
        await reserve(journal, asked(tenant, None))


async def test_a_new_day_and_a_new_month_begin_with_nothing(database: Database, tenant: str) -> None:
    """A call is booked on the day on which it was reserved, and burdens no later one."""
    journal = await journal_of(database, tenant)
    await set_limits(database, tenant, {"daily_usd": 0.3, "monthly_usd": 0.6})
    held = await reserve(journal, asked(tenant))
    for table in ("account", "reservation"):
        await database.run(
            f"UPDATE {table} SET day = day - 1 WHERE tenant = %(tenant)s",
            {"tenant": tenant},
        )
    row = await database.one("SELECT day FROM account WHERE tenant = %(tenant)s", {"tenant": tenant})
    assert row is not None
    yesterday: date = row["day"]
    other = await reserve(journal, asked(tenant))
    same_month = (await tomorrow_of(database, yesterday)).month == yesterday.month
    month = 0.5 if same_month else 0.25
    assert await taken(database, tenant) == (0.25, 1000, month, 2000 if same_month else 1000)
    await end(journal, used(held))
    month -= 0.15 if same_month else 0
    found = await taken(database, tenant)
    assert found[0] == 0.25
    assert found[2] == pytest.approx(month)
    await end(journal, used(other))
    days = (await read_tenant(database, tenant)).days
    assert [day.usd for day in days] == [0.1, 0.1]


async def tomorrow_of(database: Database, day: date) -> date:
    row = await database.one("SELECT %(day)s::date + 1 AS day", {"day": day})
    assert row is not None
    found: date = row["day"]
    return found


async def test_who_has_lost_the_lease_neither_reserves_nor_settles(database: Database, tenant: str) -> None:
    """What it had on the wire is unattributed once somebody sweeps, and only once."""
    journal = await journal_of(database, tenant)
    held = await reserve(journal, asked(tenant))
    await take_over(database, journal.session_id)
    assert await sweep(database) == 1
    with pytest.raises(LeaseLost):
        await end(journal, used(held))
    with pytest.raises(LeaseLost):
        await reserve(journal, asked(tenant))
    assert await sweep(database) == 0
    spent = await check(database, tenant)
    assert spent == Spent(unattributed_calls=1, unattributed_tokens=1000, unattributed_usd=0.25)


async def test_a_call_under_a_lease_that_stands_is_left_alone(database: Database, tenant: str) -> None:
    """It is on the wire; its holder settles it."""
    journal = await journal_of(database, tenant)
    held = await reserve(journal, asked(tenant))
    assert await sweep(database) == 0
    await end(journal, used(held))
    assert (await check(database, tenant)).calls == 1


async def test_a_frozen_holder_settles_before_it_is_swept_or_never(database: Database, tenant: str) -> None:
    """Its lease has ended, but nobody has taken it over: the sweep fences it off first."""
    journal = await journal_of(database, tenant)
    held = await reserve(journal, asked(tenant))
    await database.run(
        "UPDATE session SET lease_until = '-infinity' WHERE id = %(id)s", {"id": journal.session_id}
    )
    assert await sweep(database) == 1
    with pytest.raises(LeaseLost):
        await end(journal, used(held))
    assert await check(database, tenant) == Spent(
        unattributed_calls=1, unattributed_tokens=1000, unattributed_usd=0.25
    )


async def test_a_settlement_that_races_with_sweeps_is_settled_or_unattributed(
    database: Database, tenant: str
) -> None:
    """Never both and never neither, whoever is first."""
    dice = random.Random(run_seed())
    print(f"repeat with HARNESS_TEST_SEED={run_seed()}")
    settled = 0
    for _ in range(30):
        journal = await journal_of(database, tenant)
        held = await reserve(journal, asked(tenant))

        async def settle(journal: Journal = journal, held: Reservation = held) -> int:
            await asyncio.sleep(dice.uniform(0, 0.004))
            try:
                await end(journal, used(held))
            except LeaseLost:
                return 0
            return 1

        async def lose(journal: Journal = journal) -> int:
            await asyncio.sleep(dice.uniform(0, 0.004))
            ended = "UPDATE session SET lease_until = '-infinity' WHERE id = %(id)s"
            await database.run(ended, {"id": journal.session_id})
            return await sweep(database)

        answers = await asyncio.gather(settle(), lose(), lose())
        await sweep(database)
        settled += answers[0]
    spent = await check(database, tenant)
    assert (spent.calls, spent.unattributed_calls, spent.reserved_calls) == (settled, 30 - settled, 0)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_store_that_goes_away_books_once(database: Database, tenant: str, when: str) -> None:
    """The transaction is tried again with the same event, and its entry is booked with it."""
    journal = await journal_of(database, tenant)
    whole, broken = journal.database.transaction, list[str]()

    @asynccontextmanager
    async def breaking() -> AsyncIterator[Connection]:
        breaks = len(broken) % 2 == 0
        broken.append(when)
        async with whole() as connection:
            yield connection
            if breaks and when == "before":
                raise StoreUnavailable("The store is away.")
        if breaks:
            raise StoreUnavailable("The store went away before it answered.")

    journal.database.transaction = breaking  # type: ignore[method-assign]
    held = await reserve(journal, asked(tenant))
    await end(journal, used(held))
    assert len(broken) == 4
    assert await check(database, tenant) == Spent(calls=1, tokens=400, usd=0.1)


async def test_calls_at_the_same_time_never_take_more_than_there_is(database: Database, tenant: str) -> None:
    """Eight workers with pools of their own and a dollar: as many calls as fit into it, and not one more."""
    await set_limits(database, tenant, {"daily_usd": 1})
    pools = [await Database.open(database.dsn, max_size=2) for _ in range(8)]
    journals = [await journal_of(pool, tenant) for pool in pools]
    dice = random.Random(run_seed())
    print(f"repeat with HARNESS_TEST_SEED={run_seed()}")

    async def work(journal: Journal) -> int:
        for made in range(100):
            try:
                held = await reserve(journal, asked(tenant, 0.04))
            except BudgetSpent:
                return made
            await asyncio.sleep(dice.uniform(0, 0.005))
            await end(journal, dice.choice((Lost(held.id), used(held, 0.04), used(held, 0.01))))
        return 100

    try:
        made = sum(await asyncio.gather(*map(work, journals)))
    finally:
        for pool in pools:
            await pool.close()
    spent = await check(database, tenant)
    assert spent.calls + spent.unattributed_calls == made
    assert 0.96 < spent.usd + spent.unattributed_usd <= 1.0


async def test_limits_are_set_one_by_one(database: Database, tenant: str) -> None:
    """What is not named stays; None takes a limit away; each time counts."""
    await set_limits(database, tenant, {"daily_usd": 5, "models": ("a", "b")})
    await set_limits(database, tenant, {"session_tokens": 100})
    await set_limits(database, tenant, {"daily_usd": None})
    limits = await limits_of(database, tenant)
    assert limits.model_dump(exclude_none=True) == {"models": ("a", "b"), "session_tokens": 100}
    row = await database.one("SELECT revision FROM tenant WHERE name = %(name)s", {"name": tenant})
    assert row == {"revision": 3}


def test_the_bound_is_above_what_a_call_can_cost() -> None:
    """All of its body written to the cache, and all the output that it may have."""
    bound = most({"model": MODEL, "max_tokens": 1000}, 3000)
    assert bound.tokens == 2000
    dearest = Usage(cache_creation_input_tokens=1000, output_tokens=1000)
    assert bound.usd == cost_usd(MODEL, dearest)
    assert most({"model": "gpt-9", "max_tokens": 1000}, 10).usd is None
    searching = {"model": MODEL, "tools": [{"type": "web_search_20250305", "max_uses": 2}]}
    assert most(searching, 0).tokens == 40_000
