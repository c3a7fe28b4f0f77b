"""The lease: one holder at a time, at once when the last one is dead, never while it lives."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest

from harness import events as ev
from harness.errors import LeaseHeld, LeaseLost, NoSuchSession, StoreUnavailable
from harness.process_times import started_at
from harness.store.database import Database
from harness.store.embedded import EmbeddedServer
from harness.store.lease import Holder, Lease, acquire, boot_id, process_alive
from harness.store.queries import queries
from tests.kit.databases import fresh_database
from tests.kit.journals import created
from tests.kit.processes import until
from tests.kit.sessions import (
    FaultyDatabase,
    events_of,
    held_row,
    journal_on,
    lease_on,
    new_session,
    take_over,
)

SQL = queries("journal")
ELSEWHERE = Holder(host="elsewhere", boot_id="another", pid=4711, process_started=1.0)


@pytest.fixture(scope="module")
def dsn(postgres: EmbeddedServer, migrated_template: str) -> Iterator[str]:
    """One database for all tests here: each has a session of its own."""
    with fresh_database(postgres.dsn, migrated_template) as shared:
        yield shared


async def row_of(database: Database, session_id: str) -> dict[str, Any]:
    row = await database.one(SQL["session"], {"id": session_id})
    assert row is not None
    return row


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process of our own that lives until it is killed."""
    process = subprocess.Popen(["/bin/sleep", "600"], env={"PATH": "/usr/bin:/bin"})
    yield process
    process.kill()
    process.wait()


def holder_of(process: subprocess.Popen[bytes], **changed: Any) -> Holder:
    named = {"pid": process.pid, "process_started": started_at(process.pid)}
    return Holder.here().model_copy(update=named | changed)


@asynccontextmanager
async def renewing(lease: Lease) -> AsyncIterator[Lease]:
    """Renew it meanwhile, as its holder does."""
    lease.start()
    try:
        yield lease
    finally:
        await lease.release()


# -- taking it


async def test_a_free_session_is_taken_at_once(database: Database) -> None:
    """The token rises, the row names the holder, and nobody had left the session behind."""
    session_id = await new_session(database)
    await lease_on(database, session_id).release()
    lease, left_behind = await acquire(database, session_id, ttl_s=30)
    assert (lease.token, left_behind, lease.held) == (2, False, True)
    row = await row_of(database, session_id)
    assert Holder(**row["holder"]) == Holder.here()
    assert row["leased"]


@pytest.mark.parametrize("reaped", [False, True])
async def test_a_dead_holders_lease_is_taken_over_at_once(
    database: Database, child: subprocess.Popen[bytes], reaped: bool
) -> None:
    """Its process was killed: nobody waits for the lease to end, whether or not the dead has been reaped."""
    session_id = await new_session(database, ttl_s=3600, holder=holder_of(child))
    child.kill()
    if reaped:
        child.wait()
    else:
        await until(lambda: psutil.Process(child.pid).status() == "zombie", "the child's death")
    waited: list[float] = []
    lease, left_behind = await acquire(
        database, session_id, ttl_s=30, on_wait=lambda holder, left: waited.append(left)
    )
    assert (lease.token, left_behind, waited) == (2, True, [])


async def test_a_process_id_used_again_is_not_the_holder(
    database: Database, child: subprocess.Popen[bytes]
) -> None:
    """A living process of the same id that began at another time does not keep the session."""
    older = holder_of(child, process_started=holder_of(child).process_started - 3600)
    session_id = await new_session(database, ttl_s=3600, holder=older)
    lease, _ = await acquire(database, session_id, ttl_s=30)
    assert lease.token == 2


@pytest.mark.parametrize("elsewhere", [ELSEWHERE, Holder.here().model_copy(update={"boot_id": "another"})])
async def test_a_holder_elsewhere_is_waited_for(database: Database, elsewhere: Holder) -> None:
    """Whether it lives cannot be told, so its lease is waited out; two machines may have one name."""
    session_id = await new_session(database, ttl_s=1.2, holder=elsewhere)
    told: list[tuple[Holder, float]] = []
    lease, left_behind = await acquire(
        database, session_id, ttl_s=30, on_wait=lambda holder, left: told.append((holder, left))
    )
    assert (lease.token, left_behind) == (2, True)
    assert {holder for holder, _ in told} == {elsewhere}
    left = [seconds for _, seconds in told]
    assert len(left) >= 2
    assert left == sorted(left, reverse=True)


async def test_a_living_holder_that_does_not_renew_is_waited_for(
    database: Database, child: subprocess.Popen[bytes]
) -> None:
    """Frozen, it may come back and its token is then stale; until the lease ends it is left alone."""
    session_id = await new_session(database, ttl_s=0.8, holder=holder_of(child))
    waited: list[float] = []
    lease, _ = await acquire(database, session_id, ttl_s=30, on_wait=lambda holder, left: waited.append(left))
    assert lease.token == 2
    assert waited


async def test_a_holder_seen_renewing_is_not_pushed_aside(database: Database) -> None:
    """It lives: the other one is refused with its name, and with what can be done."""
    session_id = await new_session(database, ttl_s=1.0, holder=ELSEWHERE)
    async with renewing(lease_on(database, session_id, ttl_s=1.0)):
        with pytest.raises(LeaseHeld, match="by process 4711 on elsewhere; stop it there, or cancel"):
            await acquire(database, session_id, ttl_s=30)
        assert (await row_of(database, session_id))["token"] == 1


async def test_of_several_takers_one_wins(database: Database) -> None:
    """All find the session free at the same moment; one holds it and the others see a living process."""
    session_id = await new_session(database, ttl_s=0.0)
    leases: list[Lease] = []

    async def take() -> None:
        lease, _ = await acquire(database, session_id, ttl_s=1.0)
        lease.start()
        leases.append(lease)

    ends = await asyncio.gather(*(take() for _ in range(5)), return_exceptions=True)
    assert [type(end) for end in ends if end is not None] == [LeaseHeld] * 4
    assert [lease.token for lease in leases] == [2]
    await leases[0].release()


async def test_of_several_takers_of_a_dead_ones_lease_one_wins(
    database: Database, child: subprocess.Popen[bytes]
) -> None:
    """Having seen the same dead holder does not let two of them in."""
    session_id = await new_session(database, ttl_s=3600, holder=holder_of(child))
    child.kill()
    child.wait()
    leases: list[Lease] = []

    async def take() -> None:
        lease, _ = await acquire(database, session_id, ttl_s=1.0)
        lease.start()
        leases.append(lease)

    ends = await asyncio.gather(*(take() for _ in range(5)), return_exceptions=True)
    assert [type(end) for end in ends if end is not None] == [LeaseHeld] * 4
    assert [lease.token for lease in leases] == [2]
    await leases[0].release()


async def test_an_unknown_session_has_no_lease(database: Database) -> None:
    """It is said in one sentence."""
    with pytest.raises(NoSuchSession, match="harness sessions"):
        await acquire(database, "5a7a9dc0-6a0e-4b59-9a39-3c2f2d1b6d10", ttl_s=30)


# -- keeping it


async def test_a_renewing_holder_keeps_it_beyond_its_length(database: Database) -> None:
    """Far longer than the lease lasts without renewal, it is held, and the row says so."""
    session_id = await new_session(database, ttl_s=1.5)
    async with renewing(lease_on(database, session_id, ttl_s=1.5)) as lease:
        await asyncio.sleep(2.0)
        assert lease.held
        assert (await row_of(database, session_id))["leased"]


async def test_release_lets_the_next_one_in_at_once(database: Database) -> None:
    """And the one that released may write no more."""
    session_id = await new_session(database, ttl_s=3600, holder=ELSEWHERE)
    lease = lease_on(database, session_id, ttl_s=3600)
    lease.start()
    await lease.release()
    assert not lease.held
    row = await row_of(database, session_id)
    assert (row["leased"], row["holder"]) == (False, None)
    with pytest.raises(LeaseLost):
        await journal_on(database, lease).append(created())
    await lease.release()


async def test_a_stale_holder_releases_nothing(database: Database) -> None:
    """The lease of whoever took over stays."""
    session_id = await new_session(database, ttl_s=3600)
    lease = lease_on(database, session_id)
    await take_over(database, session_id)
    await lease.release()
    assert (await row_of(database, session_id))["leased"]


async def test_a_holder_that_was_pushed_aside_learns_it(database: Database) -> None:
    """Its next renewal finds another token: it is told to stop, and does not renew the other's lease."""
    session_id = await new_session(database, ttl_s=0.9)
    async with renewing(lease_on(database, session_id, ttl_s=0.9)) as lease:
        await take_over(database, session_id)
        before = await row_of(database, session_id)
        await asyncio.wait_for(lease.lost.wait(), 10)
        assert not lease.held
        assert (await row_of(database, session_id))["lease_left"] < before["lease_left"]


async def test_a_wish_to_cancel_reaches_the_holder(database: Database) -> None:
    """With the next renewal; it is no loss of the lease."""
    session_id = await new_session(database, ttl_s=0.6)
    async with renewing(lease_on(database, session_id, ttl_s=0.6)) as lease:
        await database.run(SQL["request_stop"], {"id": session_id, "what": "cancel"})
        await asyncio.wait_for(lease.cancel_requested.wait(), 10)
        assert not lease.lost.is_set()


@pytest.mark.parametrize("when", ["before", "hang", "deaf"])
async def test_a_holder_without_a_store_stops_by_its_own_clock(database: Database, when: str) -> None:
    """Refused or unanswered: it holds no lease that somebody else could have by now, and writes nothing."""
    asked = time.monotonic()
    session_id = await new_session(database, ttl_s=0.8)
    away = FaultyDatabase(database, lambda sql: when)
    lease = lease_on(away, session_id, ttl_s=0.8, asked=asked)
    journal = journal_on(away, lease)
    lease.start()
    leased = True
    while lease.held:
        assert leased, "it held on after the lease had ended"
        leased = (await row_of(database, session_id))["leased"]
    assert lease.left_s == 0
    with pytest.raises(LeaseLost):
        await journal.append(created())
    await asyncio.wait_for(lease.lost.wait(), 10)
    await lease.release()
    assert await events_of(database, session_id) == []


async def test_a_short_absence_of_the_store_is_bridged(database: Database) -> None:
    """Renewals that fail are tried again soon, not a third of the lease later."""
    session_id = await new_session(database, ttl_s=3.0)
    away = FaultyDatabase(database, lambda sql: "")
    async with renewing(lease_on(away, session_id, ttl_s=3.0)) as lease:
        away.fault = lambda sql: "before"
        asked = away.asked
        await until(lambda: away.asked >= asked + 3, "failing renewals")
        assert lease.held
        away.fault = lambda sql: ""
        before = lease.left_s
        await until(lambda: lease.left_s > before, "a renewal")
        assert not lease.lost.is_set()


async def test_a_frozen_holder_that_was_not_replaced_goes_on(database: Database) -> None:
    """Its time ran out while it could not run; the next renewal succeeds, and it may write again."""
    session_id = await new_session(database, ttl_s=0.6)
    lease = lease_on(database, session_id, ttl_s=0.6)
    await asyncio.sleep(0.6)
    assert not lease.held
    async with renewing(lease):
        await until(lambda: lease.held, "the renewal")
        await journal_on(database, lease).append(created())


async def test_a_slow_taking_does_not_lengthen_the_lease(database: Database) -> None:
    """The holder counts from when it asked: what the store's answer took is not its own."""
    session_id = await new_session(database, ttl_s=0.0)
    async with held_row(database, session_id):
        taking = asyncio.create_task(acquire(database, session_id, ttl_s=2.0))
        await asyncio.sleep(0.5)
    lease, _ = await taking
    assert lease.left_s < 2.0 * 0.8 - 0.25


async def test_every_holder_has_a_token_of_its_own(database: Database) -> None:
    """Each token is greater than all before it, and each event proves the one it was written with."""
    session_id = await new_session(database)
    lease = lease_on(database, session_id)
    for expected in (1, 2, 3):
        assert lease.token == expected
        await journal_on(database, lease).append(ev.SessionAsked(question="?"))
        await lease.release()
        lease, _ = await acquire(database, session_id, ttl_s=30)
    rows = await database.all(
        "SELECT token FROM event WHERE session_id = %(id)s ORDER BY seq", {"id": session_id}
    )
    assert [row["token"] for row in rows] == [1, 2, 3]


async def test_a_machine_that_is_lost_within_a_transaction_lets_go_of_the_session(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends the transaction; should the machine come back, that is a store that was away."""
    monkeypatch.setattr("harness.store.database.IDLE_S", 1)
    async with await Database.open(dsn) as frozen, await Database.open(dsn) as database:
        session_id = await new_session(database)
        await lease_on(database, session_id).release()
        with pytest.raises(StoreUnavailable):
            async with held_row(frozen, session_id), asyncio.timeout(10):
                lease, _ = await acquire(database, session_id, ttl_s=30)
        assert lease.token == 2
        assert await frozen.one("SELECT 1 AS n") == {"n": 1}


# -- who lives


def test_this_process_lives_and_is_named() -> None:
    """Host, boot, process id and start time tell it from any other."""
    here = Holder.here()
    assert here.on_this_host
    assert not here.known_dead
    assert boot_id()
    assert process_alive(here.pid, here.process_started)
    assert not process_alive(here.pid, here.process_started + 10)


def test_a_step_of_the_clock_kills_nobody(
    child: subprocess.Popen[bytes], stepped_clock: Callable[[], None]
) -> None:
    """This process and another one live after it as before, and who was dead stays so."""
    here, other = Holder.here(), holder_of(child)
    older = holder_of(child, process_started=other.process_started - 3600)
    stepped_clock()
    assert not here.known_dead
    assert not other.known_dead
    assert Holder.here() == here
    assert older.known_dead


def test_nothing_is_known_of_other_hosts() -> None:
    """Neither that they live nor that they are dead."""
    assert not ELSEWHERE.on_this_host
    assert not ELSEWHERE.known_dead
