"""How the store stands: every session that has not ended is counted once, and series stay countable."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from harness.store import gauges
from harness.store.database import Database
from harness.store.gauges import read_gauges
from harness.store.queue import Queue

ADD = """
with known as (insert into tenant (name) values (%(tenant)s) on conflict do nothing)
insert into session (id, tenant, flow, question, status, queue, head, due_at, lease_until, claims)
values (%(id)s, %(tenant)s, 'f', 'Why?', %(status)s, %(queue)s, 1,
        clock_timestamp() + make_interval(secs => %(due_s)s),
        coalesce(clock_timestamp() + make_interval(secs => %(lease_s)s), '-infinity'), %(claims)s)
"""


async def add(database: Database, tenant: str = "t", **given: Any) -> str:
    fields = {"status": "queued", "queue": "default", "due_s": None, "lease_s": None, "claims": 0}
    row = {"id": str(uuid.uuid4()), "tenant": tenant} | fields | given
    await database.run(ADD, row)
    return str(row["id"])


async def test_every_session_that_has_not_ended_stands_in_one_place(database: Database) -> None:
    """Due, later, at work or with a person; what has ended is not counted."""
    await add(database, due_s=-90)
    await add(database, due_s=-30, claims=3)
    await add(database, due_s=-500, lease_s=-1, status="running")  # its worker was killed
    await add(database, due_s=60)
    await add(database, due_s=-700, lease_s=20, status="running", claims=5)
    await add(database, lease_s=20, status="running")  # harness run
    await add(database, lease_s=-20, status="running")  # harness run, killed
    for status in ("suspended", "needs_help", "done", "failed", "cancelled"):
        await add(database, status=status)
    await add(database, queue="other", due_s=-1)
    first, second = (await read_gauges(database, spans=False)).sessions
    assert (first.due, first.later, first.at_work, first.person) == (3, 1, 2, 3)
    assert 500 <= first.oldest_s < 560
    assert first.claims == 5
    assert (second.queue, second.due, second.person) == ("other", 1, 0)


async def test_tenants_beyond_the_most_stand_together(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost of them but their names."""
    monkeypatch.setattr(gauges, "TENANTS", 2)
    for number, count in enumerate((1, 3, 2, 1)):
        for _ in range(count):
            await add(database, f"t{number}", due_s=-1)
    found = {each.tenant: each.due for each in (await read_gauges(database, spans=False)).sessions}
    assert found == {"t1": 3, "t2": 2, "": 2}


async def test_an_empty_store_has_a_size(database: Database) -> None:
    """And no spans are counted unless somebody takes them."""
    found = await read_gauges(database, spans=False)
    assert (found.sessions, found.spans_waiting) == ((), None)
    assert found.size_bytes > 1_000_000
    assert (await read_gauges(database, spans=True)).spans_waiting == 0


async def test_waiting_spans_are_counted_up_to_a_bound(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that have ended, and were neither sent nor refused."""
    session_id = await add(database)
    insert = """
    insert into span (session_id, span_id, kind, name, seq, started_at, ended_at, sent_at, opened)
    select %(id)s, n::text, 'tool', 'search', n, now(), case when n > 1 then now() end,
           case when n = 2 then now() end, '{}' from generate_series(1, 7) as n
    """
    await database.run(insert, {"id": session_id})
    assert (await read_gauges(database, spans=True)).spans_waiting == 5
    monkeypatch.setattr(gauges, "MOST_SPANS", 4)
    assert (await read_gauges(database, spans=True)).spans_waiting == 4


@pytest.mark.parametrize(
    ("due_s", "queued_s", "lease_s", "waited_s"),
    [(-40, -100, None, 40), (-100, -40, None, 40), (-100, -90, -30, 30)],
)
async def test_a_claim_tells_for_how_long_it_could_have_been_made(
    database: Database, due_s: float, queued_s: float, lease_s: float | None, waited_s: float
) -> None:
    """Since it was due, was queued, or the lease of its killed worker ended: whatever came last."""
    session_id = await add(database, due_s=due_s, lease_s=lease_s)
    moved = "update session set updated_at = clock_timestamp() + make_interval(secs => %(s)s)"
    await database.run(moved, {"s": queued_s})
    claimed = await Queue(database, ["default"]).claim(30)
    assert claimed is not None
    assert claimed.session_id == session_id
    assert waited_s <= claimed.waited_s < waited_s + 9


async def test_a_session_that_others_have_to_read_is_claimed_no_more(database: Database) -> None:
    """It stays due for them, with no try spent; nobody makes room or stays for it."""
    await add(database, due_s=-90)
    ours, theirs = Queue(database, ["default"]), Queue(database, ["default"])
    claimed = await ours.claim(30)
    assert claimed is not None
    assert not await ours.empty()
    await ours.leave_to_others(claimed)
    await claimed.lease.release()
    assert await ours.claim(30) is None
    assert await ours.empty()
    assert await ours.ask_for_room(1) is None
    again = await theirs.claim(30)
    assert again is not None
    assert (again.session_id, again.tries) == (claimed.session_id, 1)
