"""The journal on a real Postgres: fenced, append-only, and exact when the store comes and goes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest

from harness import events as ev
from harness.errors import LeaseLost, NoSuchSession, StoreError
from harness.store.database import Database
from harness.store.embedded import EmbeddedServer
from harness.store.journal import Journal, load_state, read_events, tenant_of
from harness.store.queries import queries
from tests.core.test_events import SAMPLES
from tests.kit.databases import fresh_database
from tests.kit.journals import created
from tests.kit.processes import until
from tests.kit.seeds import run_seed
from tests.kit.sessions import (
    FaultyDatabase,
    events_of,
    first,
    held_row,
    journal_on,
    lease_on,
    new_journal,
    new_session,
    run_at_work,
    take_over,
)

SQL = queries("journal")


@pytest.fixture(scope="module")
def dsn(postgres: EmbeddedServer, migrated_template: str) -> Iterator[str]:
    """One database for all tests here: each has a session of its own."""
    with fresh_database(postgres.dsn, migrated_template) as shared:
        yield shared


async def row_of(database: Database, session_id: str) -> dict[str, Any]:
    """The session's row, without what changes by itself."""
    row = await database.one(SQL["session"], {"id": session_id})
    assert row is not None
    return {name: value for name, value in row.items() if name != "lease_left"}


async def test_events_come_back_in_order_and_fold_to_the_same_state(database: Database) -> None:
    """What another process reads is what the writer knows: numbered from 1, with times, spans and runs."""
    journal = await new_journal(database)
    run = await run_at_work(journal)
    event = await journal.append(ev.AgentRunSuspended(tool_use_id="t", work_s=1), run_id=run.id)
    read = await read_events(database, journal.session_id)
    assert [each.seq for each in read] == [1, 2, 3, 4]
    assert read[-1] == event
    assert await load_state(database, journal.session_id) == journal.state
    assert (await row_of(database, journal.session_id))["head"] == 4
    assert await read_events(database, journal.session_id, after=3) == read[3:]


async def test_every_kind_of_event_is_stored_as_it_is(database: Database) -> None:
    """Also NUL and halves of surrogate pairs, in values and keys."""
    journal = await new_journal(database)
    for payload in SAMPLES:
        await journal.append(payload)
    assert [event.payload for event in await read_events(database, journal.session_id)] == SAMPLES


async def test_an_append_sets_the_sessions_status(database: Database) -> None:
    """In the same statement; without one the status stays."""
    journal = await new_journal(database)
    await journal.append(created())
    for given, expected in (("suspended", "suspended"), (None, "suspended"), ("running", "running")):
        await journal.append(ev.SessionAsked(question="?"), status=given)  # type: ignore[arg-type]
        assert (await row_of(database, journal.session_id))["status"] == expected


async def test_appends_at_the_same_time_are_all_there(database: Database) -> None:
    """Many runs of a session write at once: each event is committed, numbered and folded in once."""
    journal = await new_journal(database)
    heard: list[int] = []
    journal.listen(lambda event, state: heard.append(event.seq))
    await asyncio.gather(*(journal.append(ev.SessionAsked(question=str(n))) for n in range(40)))
    assert heard == list(range(1, 41))
    assert [seq for seq, _ in await events_of(database, journal.session_id)] == heard
    assert len(journal.state.questions) == 40


async def test_listeners_hear_of_committed_events_only(database: Database) -> None:
    """When a listener is told, another connection can read the event, and the state has it."""
    journal = await new_journal(database)
    heard: list[tuple[str, int]] = []
    journal.listen(lambda event, state: heard.append((event.payload.kind, state.head)))
    await journal.append(created())
    assert heard == [("session.created", 1)]
    await take_over(database, journal.session_id)
    with pytest.raises(LeaseLost):
        await journal.append(ev.SessionAsked(question="?"))
    assert len(heard) == 1


async def test_a_stale_token_writes_nothing(database: Database) -> None:
    """Taken over, the old holder's append raises, changes neither journal nor session, and it stops."""
    journal = await new_journal(database)
    await journal.append(created())
    await take_over(database, journal.session_id)
    before = await row_of(database, journal.session_id)
    with pytest.raises(LeaseLost, match="Another process has taken over session"):
        await journal.append(ev.SessionAsked(question="?"), status="done")
    assert await row_of(database, journal.session_id) == before
    assert len(await events_of(database, journal.session_id)) == 1
    assert journal.state.head == 1
    assert journal.lease.lost.is_set()
    with pytest.raises(LeaseLost, match="Another process has taken over session"):
        await journal.append(ev.SessionAsked(question="?"))


async def test_a_takeover_in_an_open_transaction_is_waited_for(database: Database) -> None:
    """The old holder's append that meets a takeover not yet committed writes nothing once it is."""
    journal = await new_journal(database)
    await journal.append(created())
    async with database.transaction() as connection:
        await connection.run(
            "UPDATE session SET token = token + 1 WHERE id = %(id)s", {"id": journal.session_id}
        )
        late = asyncio.create_task(journal.append(ev.SessionAsked(question="?")))
        await asyncio.sleep(0.1)
        assert not late.done()
    with pytest.raises(LeaseLost):
        await late
    assert len(await events_of(database, journal.session_id)) == 1


async def test_takeovers_at_any_moment_leave_one_history(database: Database) -> None:
    """Many appends in flight, one holder after another: what returned is there, what raised is not."""
    seed = run_seed()
    order = random.Random(seed)
    journal = await new_journal(database)
    session_id = journal.session_id
    await journal.append(created())
    done: list[str] = []
    refused: list[str] = []

    async def write(by: Journal, name: str) -> None:
        await asyncio.sleep(order.random() * 0.05)
        try:
            await by.append(ev.SessionAsked(question=name))
            done.append(name)
        except LeaseLost:
            refused.append(name)

    for round_ in range(4):
        await asyncio.gather(
            *(write(journal, f"{round_}.{n}") for n in range(10)), _taken(database, session_id, order)
        )
        token = await take_over(database, session_id)
        state = await load_state(database, session_id)
        journal = Journal(database, lease_on(database, session_id, token=token), state)
    asked = [event.payload.question for event in await read_events(database, session_id, 1)]  # type: ignore[union-attr]
    assert sorted(asked) == sorted(done), f"seed {seed}"
    assert len(done) + len(refused) == 40
    assert [seq for seq, _ in await events_of(database, session_id)] == list(range(1, len(done) + 2))


async def _taken(database: Database, session_id: str, order: random.Random) -> None:
    await asyncio.sleep(order.random() * 0.05)
    await take_over(database, session_id)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_append_is_tried_again_and_stored_once(database: Database, when: str) -> None:
    """Whether the store went away before the commit or before its answer arrived."""
    session_id = await new_session(database)
    faulty = FaultyDatabase(database, first(2, when))
    journal = journal_on(faulty, lease_on(faulty, session_id))
    event = await journal.append(created())
    assert faulty.asked > 2
    assert event.seq == 1
    await journal.append(ev.SessionAsked(question="?"))
    assert await events_of(database, session_id) == [(1, "session.created"), (2, "session.asked")]
    assert await load_state(database, session_id) == journal.state


async def test_an_append_still_being_committed_is_not_stored_twice(database: Database) -> None:
    """A try whose connection was lost may still commit while the next one runs: there is one event."""
    journal = await new_journal(database)
    await journal.append(created())
    kept: list[dict[str, Any]] = []

    class Watching(Database):
        async def one(self, sql: Any, params: Any = None) -> Any:
            kept.append(params)
            return await super().one(sql, params)

    async with database.transaction() as connection:
        watching = Watching(database.dsn, database._pool)
        again = Journal(watching, journal.lease, journal.state)
        # The row's lock keeps the append waiting, until the same row has been committed by "the first try".
        await connection.one("SELECT FROM session WHERE id = %(id)s FOR UPDATE", {"id": journal.session_id})
        appending = asyncio.create_task(again.append(ev.SessionAsked(question="?")))
        await until(lambda: kept, "the append")
        await asyncio.sleep(0.1)
        assert await connection.one(SQL["append_event"], kept[0]) is not None
    event = await appending
    assert event.seq == 2
    kinds = [kind for _, kind in await events_of(database, journal.session_id)]
    assert kinds == ["session.created", "session.asked"]
    assert (await again.append(ev.SessionAsked(question="!"))).payload == ev.SessionAsked(question="!")
    assert await load_state(database, journal.session_id) == again.state


async def test_an_append_gives_up_with_its_lease(database: Database) -> None:
    """While the store is away it waits, but no longer than this process may write at all."""
    session_id = await new_session(database)
    away = FaultyDatabase(database, lambda sql: "before")
    journal = journal_on(away, lease_on(away, session_id, ttl_s=0.5))
    with pytest.raises(LeaseLost, match="harness resume"):
        await journal.append(created())
    assert away.asked > 1
    assert await events_of(database, session_id) == []


async def test_a_store_that_hangs_does_not_hold_up_for_ever(database: Database) -> None:
    """A statement that never returns ends with the lease, and the next append finds it gone."""
    journal = await new_journal(database, ttl_s=0.5)
    async with held_row(database, journal.session_id):
        results = await asyncio.gather(
            *(journal.append(ev.SessionAsked(question="?")) for _ in range(3)), return_exceptions=True
        )
    assert [type(result) for result in results] == [LeaseLost] * 3
    assert await events_of(database, journal.session_id) == []


async def test_a_cancelled_append_is_folded_in_if_it_was_committed(database: Database) -> None:
    """A hook's deadline may hit an append at any moment: the state never lags behind the journal."""
    journal = await new_journal(database)
    await journal.append(created())
    async with held_row(database, journal.session_id):
        appending = asyncio.create_task(journal.append(ev.SessionAsked(question="?")))
        await asyncio.sleep(0.1)
        appending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await appending
    await journal.append(ev.SessionAsked(question="!"))
    assert journal.state.questions == ["Why?", "?", "!"]
    assert await load_state(database, journal.session_id) == journal.state


async def test_a_session_nobody_has_is_told_as_such(database: Database) -> None:
    """One sentence, and how to list those there are."""
    with pytest.raises(NoSuchSession, match="harness sessions"):
        await load_state(database, "5a7a9dc0-6a0e-4b59-9a39-3c2f2d1b6d10")


async def test_whose_a_session_is_stands_in_its_row(database: Database) -> None:
    """No event is read for that: not of a long journal, and not of one that cannot be read."""
    journal = await new_journal(database)
    with pytest.raises(NoSuchSession):
        await tenant_of(database, journal.session_id)
    await journal.append(created())
    await database.run("UPDATE event SET version = 9 WHERE session_id = %(id)s", {"id": journal.session_id})
    assert await tenant_of(database, journal.session_id, "t") == "t"
    with pytest.raises(NoSuchSession):
        await tenant_of(database, journal.session_id, "another")


async def test_an_event_of_a_newer_harness_is_not_passed_over(database: Database) -> None:
    """The session is refused with the event's place, kind and version, and the remedy."""
    journal = await new_journal(database)
    await journal.append(created())
    await journal.append(ev.SessionAsked(question="?"))
    its = {"id": journal.session_id}
    for change in ("version = 9", "kind = 'session.teleported'", 'payload = \'{"kind": "session.asked"}\''):
        await database.run(f"UPDATE event SET {change} WHERE session_id = %(id)s AND seq = 2", its)
        with pytest.raises(StoreError, match=r"Event 2 \(session\.\w+, version \d\).*or a newer one"):
            await load_state(database, journal.session_id)


async def test_an_older_event_is_lifted_when_it_is_read(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stored row is never rewritten."""
    journal = await new_journal(database)
    await journal.append(created())
    await journal.append(ev.SessionAsked(question="old"))
    monkeypatch.setattr(ev.SessionAsked, "VERSION", 2)
    monkeypatch.setitem(
        ev.UPCASTERS, ("session.asked", 1), lambda old: old | {"question": old["question"].upper()}
    )
    assert (await load_state(database, journal.session_id)).questions == ["Why?", "OLD"]
    row = await database.one(
        "SELECT version, payload->>'question' AS q FROM event WHERE session_id = %(id)s AND seq = 2",
        {"id": journal.session_id},
    )
    assert row == {"version": 1, "q": "old"}


async def test_sessions_do_not_mix(database: Database) -> None:
    """Two journals in one database are numbered and read apart."""
    one, two = await new_journal(database), await new_journal(database)
    for journal in (one, two, one):
        await journal.append(ev.SessionAsked(question=journal.session_id))
    assert [len(await events_of(database, each.session_id)) for each in (one, two)] == [2, 1]
