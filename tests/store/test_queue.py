"""The queue: whose turn it is, who gets it, and what is left behind by the dead."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from harness import events as ev
from harness.store.database import Database, Json
from harness.store.lease import Holder, boot_id
from harness.store.notices import listening
from harness.store.queries import queries
from harness.store.queue import Claimed, Queue, put, tell
from tests.kit.journals import created, finished
from tests.kit.sessions import journal_on, lease_on

JOURNAL = queries("journal")


async def queued(
    database: Database, tenant: str = "t", *, queue: str = "default", priority: int = 0, due_s: float = 0
) -> str:
    """Store a session that waits for a worker, and give its id."""
    session_id = str(uuid.uuid4())
    row = {"id": session_id, "tenant": tenant, "flow": "test", "question": "Why?", "ttl": 60.0}
    await database.run(JOURNAL["create_session"], {**row, "holder": Json(Holder.here().model_dump())})
    lease = lease_on(database, session_id)
    await put(database, lease, queue, priority)
    await journal_on(database, lease).append(created(tenant=tenant), status="queued", due_s=due_s)
    await lease.release()
    return session_id


async def claims(queue: Queue, count: int) -> list[Claimed | None]:
    return [await queue.claim(60) for _ in range(count)]


def ids(claimed: list[Claimed | None]) -> list[str | None]:
    return [None if each is None else each.session_id for each in claimed]


async def row_of(database: Database, session_id: str) -> dict[str, Any]:
    row = await database.one("select * from session where id = %(id)s", {"id": session_id})
    assert row is not None
    return row


async def test_a_submitted_session_is_claimed_once_and_its_lease_writes(database: Database) -> None:
    """The claim is the lease: with it events are appended, and nobody else gets the session."""
    session_id = await queued(database)
    one, two = await claims(Queue(database, ["default"]), 2)
    assert one is not None
    assert (one.session_id, one.tenant, two) == (session_id, "t", None)
    journal = journal_on(database, one.lease)
    await journal.append(ev.SessionSuspended(reason="Enough."), status="suspended")
    await one.lease.release()
    assert await claims(Queue(database, ["default"]), 1) == [None]


async def test_many_workers_never_claim_the_same(database: Database) -> None:
    """Forty claims at once on thirty sessions of three tenants: each is given, and once."""
    stored = {await queued(database, f"t{number % 3}") for number in range(30)}
    queue = Queue(database, ["default"])
    claimed = await asyncio.gather(*(queue.claim(60) for _ in range(40)))
    given = [each.session_id for each in claimed if each is not None]
    assert len(given) == len(set(given))
    assert set(given) == stored


async def test_a_tenant_that_another_worker_claims_from_is_looked_at_again(database: Database) -> None:
    """Others have their turn meanwhile; a claim comes in vain only when it takes too long."""
    queue = Queue(database, ["default"])
    first, second = await queued(database, "first"), await queued(database, "second")
    await database.run("update tenant set max_sessions = 5")
    async with database.transaction() as other:
        await other.one("select from tenant where name = 'first' for no key update")
        assert ids(await claims(queue, 2)) == [second, None]
        waiting = asyncio.create_task(queue.claim(60))
        await asyncio.sleep(0)
    assert ids([await waiting]) == [first]


async def test_sessions_are_submitted_while_one_of_their_tenant_is_claimed(database: Database) -> None:
    """Neither the lock of a claim nor a submission that is being committed holds up the other."""
    session_id = await queued(database)
    await database.run("update tenant set max_sessions = 5")
    turn = {**Queue(database, ["default"]).scope, "passed_over": []}
    submitted = (
        "insert into session (id, tenant, flow, question, status) values (%(id)s, 't', 'f', 'Why?', 'queued')"
    )
    async with asyncio.timeout(20), database.transaction() as submitting:
        async with database.transaction() as claiming:
            found = await claiming.one(queries("queue")["tenant_in_turn"], turn)
            assert found == {"name": "t", "free": True}
            found = await database.one(queries("queue")["tenant_in_turn"], turn)
            assert found == {"name": "t", "free": False}
            await submitting.run(submitted, {"id": str(uuid.uuid4())})
        assert ids(await claims(Queue(database, ["default"]), 1)) == [session_id]


async def test_priorities_order_one_tenants_sessions_and_turns_go_between_tenants(
    database: Database,
) -> None:
    """A neighbour's priority is of no account to the others."""
    low = await queued(database, "a")
    high = await queued(database, "a", priority=5)
    other = await queued(database, "b", priority=-7)
    found = ids(await claims(Queue(database, ["default"]), 3))
    assert found.index(high) < found.index(low)
    assert found.index(other) < 2


async def test_a_tenant_with_many_does_not_hold_up_one_with_a_single_session(database: Database) -> None:
    """Whoever has the fewest at work has the next turn."""
    for _ in range(20):
        await queued(database, "many")
    queue = Queue(database, ["default"])
    await claims(queue, 3)
    single = await queued(database, "single")
    assert ids(await claims(queue, 1)) == [single]


async def test_what_begins_later_or_waits_elsewhere_is_left(database: Database) -> None:
    """A time to begin at and another queue's name keep a session from being claimed, and nothing else."""
    await queued(database, due_s=3600)
    elsewhere = await queued(database, queue="night")
    assert await claims(Queue(database, ["default"]), 1) == [None]
    assert ids(await claims(Queue(database, ["default", "night"]), 2)) == [elsewhere, None]
    assert await Queue(database, ["default"]).empty()


async def test_a_tenants_limit_holds_against_workers_that_claim_at_once(database: Database) -> None:
    """Never more of its sessions at work than it may have; another tenant's go on."""
    for _ in range(10):
        await queued(database, "small")
    mine = [await queued(database, "free") for _ in range(3)]
    await database.run("update tenant set max_sessions = 2 where name = 'small'")
    queue = Queue(database, ["default"])
    claimed = await asyncio.gather(*(queue.claim(60) for _ in range(12)))
    claimed += await claims(queue, 12)
    counted = Counter(each.tenant for each in claimed if each is not None)
    assert counted == {"small": 2, "free": len(mine)}


async def test_a_session_handed_back_keeps_its_turn(database: Database) -> None:
    """It was due before those that have not begun."""
    first = await queued(database)
    queue = Queue(database, ["default"])
    (claimed,) = await claims(queue, 1)
    assert claimed is not None
    await queued(database)
    handed_back = ev.SessionSuspended(reason="Its worker was stopped.", waits_for="worker")
    await journal_on(database, claimed.lease).append(handed_back, status="queued")
    await claimed.lease.release()
    assert ids(await claims(queue, 1)) == [first]


@pytest.mark.parametrize("status", ["done", "failed", "cancelled", "needs_help", "suspended"])
async def test_what_has_ended_or_waits_for_a_person_is_not_due(database: Database, status: Any) -> None:
    """The statement that commits how it ended takes it from the queue."""
    await queued(database)
    queue = Queue(database, ["default"])
    (claimed,) = await claims(queue, 1)
    assert claimed is not None
    assert not await queue.empty()
    await journal_on(database, claimed.lease).append(ev.SessionSuspended(reason="Enough."), status=status)
    await claimed.lease.release()
    assert await claims(queue, 1) == [None]
    assert await queue.empty()


async def test_a_dead_workers_sessions_are_freed_before_their_leases_end(database: Database) -> None:
    """On the host where it died; those of living processes and of other hosts are left to them."""
    queue = Queue(database, ["default"])
    kept = [await queued(database) for _ in range(2)]
    await claims(queue, 2)
    dead = Holder.here().model_copy(update={"pid": 2**22 - 1, "boot_id": boot_id(), "process_started": 1.0})
    foreign = dead.model_copy(update={"host": "elsewhere"})
    for session_id, holder in zip(kept, (dead, foreign), strict=True):
        holds = {"id": session_id, "holder": Json(holder.model_dump())}
        await database.run("update session set holder = %(holder)s where id = %(id)s", holds)
    assert await queue.free_those_of_the_dead() == 1
    (again,) = await claims(queue, 1)
    assert again is not None
    assert again.session_id == kept[0]
    assert again.tries == 2
    assert again.lease.token == 3


async def test_a_step_of_the_clock_frees_no_session_at_work(
    database: Database, stepped_clock: Callable[[], None]
) -> None:
    """The worker's own sessions neither: their holders are who they were."""
    await queued(database)
    queue = Queue(database, ["default"])
    await claims(queue, 1)
    stepped_clock()
    assert await queue.free_those_of_the_dead() == 0


async def test_claims_are_counted_until_the_session_gets_on(database: Database) -> None:
    """What gets on may be taken up as often as it takes. An answer alone may be the same each time."""
    await queued(database)
    queue = Queue(database, ["default"])
    for expected in (1, 2, 3):
        (claimed,) = await claims(queue, 1)
        assert claimed is not None
        assert claimed.tries == expected
        journal = journal_on(database, claimed.lease)
        await journal.append(finished(f"call {expected}"))
        if expected == 3:
            await journal.append(ev.ToolFinished(tool_use_id="toolu_1", tool="search"))
        await claimed.lease.release()
        if expected > 1:
            assert await queue.claim(60) is None, "it is not due again at once"
            await database.run("update session set due_at = due_at - interval '20 s'")
    (claimed,) = await claims(queue, 1)
    assert claimed is not None
    assert claimed.tries == 1


async def test_room_is_asked_for_once_for_a_tenant_that_waits_with_nothing_at_work(
    database: Database,
) -> None:
    """Not for one that has a session at work, and not twice in the time that it should take."""
    queue = Queue(database, ["default"])
    await queued(database, "busy")
    await claims(queue, 1)
    await queued(database, "busy")
    waiting = await queued(database, "waiting")
    assert await queue.ask_for_room(3600) is None
    long_ago = "update session set due_at = due_at - interval '10 min' where id = %(id)s"
    await database.run(long_ago, {"id": waiting})
    assert await queue.ask_for_room(60) == "waiting"
    assert await queue.ask_for_room(60) is None
    assert await queue.at_work() == {"busy": 1}


async def test_a_notice_is_heard(database: Database) -> None:
    """Of a session that is due, and of one that is to stop."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with listening(database.dsn, heard.put_nowait):
        async with asyncio.timeout(20):
            # Again and again: what is told before the listener is there, nobody hears.
            while heard.empty():
                await tell(database)
                await asyncio.sleep(0.05)
            assert await heard.get() == ""
            await tell(database, "abc")
            while (said := await heard.get()) != "abc":
                assert said == ""
    assert "notices" not in {task.get_name() for task in asyncio.all_tasks()}
