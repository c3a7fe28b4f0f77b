"""Transcripts on a real Postgres: the SDK's contract, the fence, and no holes whatever the store does."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Iterator
from functools import cached_property
from typing import Any, cast

import pytest
from claude_agent_sdk import SessionKey, SessionStoreEntry
from claude_agent_sdk.testing import run_session_store_conformance

from harness.errors import LeaseLost, StoreUnavailable
from harness.store import transcripts
from harness.store.database import Database
from harness.store.embedded import EmbeddedServer
from harness.store.transcripts import TranscriptStore, read_transcript
from tests.kit.databases import fresh_database
from tests.kit.script import text, tool_use
from tests.kit.seeds import run_seed
from tests.kit.sessions import FaultyDatabase, first, held_row, lease_on, new_session, take_over
from tests.kit.transcripts import Transcript

CLAUDE = "claude-1"
NOWHERE: SessionKey = {"project_key": "whatever folder the CLI ran in", "session_id": CLAUDE}
HARD = "NUL \x00, half a pair \ud83d, é, \U0001f600"


@pytest.fixture(scope="module")
def dsn(postgres: EmbeddedServer, migrated_template: str) -> Iterator[str]:
    """One database for all tests here: each has a session of its own."""
    with fresh_database(postgres.dsn, migrated_template) as shared:
        yield shared


def some(*ids: str, **more: Any) -> list[SessionStoreEntry]:
    return cast("list[SessionStoreEntry]", [{"type": "user", "uuid": id, **more} for id in ids])


def loose(**fields: Any) -> list[SessionStoreEntry]:
    return cast("list[SessionStoreEntry]", [{"type": "queue-operation", **fields}])


async def fenced(database: Database, *, ttl_s: float = 60.0) -> TranscriptStore:
    """The store of a new session's holder."""
    session_id = await new_session(database, ttl_s=ttl_s)
    lease = lease_on(database, session_id, ttl_s=ttl_s)
    return TranscriptStore(database, scope=session_id, lease=lease)


async def uuids(database: Database, store: TranscriptStore) -> list[str | None]:
    assert store._lease is not None
    entries = await read_transcript(database, store._lease.session_id, CLAUDE)
    return [entry.get("uuid") for entry in entries]


class Apart(TranscriptStore):
    """A store whose project keys are nobody else's, as the suite expects a new one to be."""

    @cached_property
    def own(self) -> str:
        """What no other store of the run has: an object's id is given again, and the database is shared."""
        return str(uuid.uuid4())

    def _key(self, key: Any) -> dict[str, object]:
        return super()._key(key | {"project_key": f"{self.own} {key['project_key']}"})

    async def list_sessions(self, project_key: str) -> Any:
        return await super().list_sessions(f"{self.own} {project_key}")


@pytest.mark.parametrize("behind_the_fence", [True, False])
async def test_the_sdks_contract_is_kept(database: Database, behind_the_fence: bool) -> None:
    """The SDK's own suite, with and without a lease to prove."""
    kept: list[Apart] = []

    async def fresh() -> Apart:
        lease = lease_on(database, await new_session(database)) if behind_the_fence else None
        kept.append(Apart(database, lease=lease))
        return kept[-1]

    await run_session_store_conformance(fresh, skip_optional=frozenset({"list_session_summaries"}))
    assert kept


async def test_what_is_loaded_is_what_was_mirrored(database: Database) -> None:
    """A whole conversation in several batches, entry by entry, with texts UTF-8 cannot carry."""
    told = Transcript()
    told.prompt(HARD)
    told.says(text("I look."), tool_use("mcp__corpus__search", {HARD: HARD}, id="toolu_a"))
    told.result("toolu_a", HARD)
    told.says(text("Done."))
    told.ended()
    entries = cast("list[SessionStoreEntry]", told.entries)
    store = await fenced(database)
    for start in range(0, len(entries), 3):
        await store.append(NOWHERE, entries[start : start + 3])
    assert await store.load(NOWHERE) == entries
    assert store._lease is not None
    assert await read_transcript(database, store._lease.session_id, CLAUDE) == entries
    assert await store.load({**NOWHERE, "session_id": "another"}) is None


async def test_a_scope_stands_for_whatever_folder_the_cli_ran_in(database: Database) -> None:
    """Resumed in another place or on another machine, the transcript is found; another session's is not."""
    store = await fenced(database)
    await store.append(NOWHERE, some("a"))
    assert await store.load({"project_key": "elsewhere", "session_id": CLAUDE}) == some("a")
    other = await fenced(database)
    assert await other.load(NOWHERE) is None


async def test_a_view_is_shown_and_nothing_is_altered(database: Database) -> None:
    """`load` serves it for this Claude session's main transcript alone; the stored rows stay."""
    store = await fenced(database)
    await store.append(NOWHERE, some("a", "b"))
    await store.append({**NOWHERE, "subpath": "sub"}, some("s"))
    store.show_instead(CLAUDE, [{"type": "user", "uuid": "view"}])
    assert await store.load(NOWHERE) == some("view")
    assert await store.load({**NOWHERE, "subpath": "sub"}) == some("s")
    assert await store.load({**NOWHERE, "session_id": "another"}) is None
    assert await uuids(database, store) == ["a", "b"]


async def test_what_was_stored_is_told_after_it_was(database: Database) -> None:
    """In order, once for each batch, and never for one that was refused."""
    told: list[list[str]] = []
    store = await fenced(database)

    async def listen(entries: Any) -> None:
        told.append([entry["uuid"] for entry in entries])
        assert (await uuids(database, store))[-len(entries) :] == told[-1]

    store._on_stored = listen
    await store.append(NOWHERE, some("a", "b"))
    await store.append(NOWHERE, some("c"))
    assert store._lease is not None
    await take_over(database, store._lease.session_id)
    with pytest.raises(LeaseLost):
        await store.append(NOWHERE, some("d"))
    assert told == [["a", "b"], ["c"]]


# -- the fence


async def test_a_stale_token_writes_nothing(database: Database) -> None:
    """Taken over, the old holder's append raises, nothing of the batch is there, and it stops for good."""
    store = await fenced(database)
    assert store._lease is not None
    await store.append(NOWHERE, some("a"))
    await take_over(database, store._lease.session_id)
    with pytest.raises(LeaseLost, match="Another process has taken over session"):
        await store.append(NOWHERE, some("b", "c"))
    assert await uuids(database, store) == ["a"]
    assert store._lease.lost.is_set()
    assert store.broken


@pytest.mark.parametrize("committed", [True, False])
async def test_a_takeover_in_an_open_transaction_is_waited_for(database: Database, committed: bool) -> None:
    """Entries that meet a takeover not yet committed are written only if it is rolled back."""
    store = await fenced(database)
    assert store._lease is not None
    try:
        async with database.transaction() as connection:
            await connection.run(
                "UPDATE session SET token = token + 1 WHERE id = %(id)s", {"id": store._lease.session_id}
            )
            late = asyncio.create_task(store.append(NOWHERE, some("late")))
            await asyncio.sleep(0.1)
            assert not late.done()
            if not committed:
                raise InterruptedError
    except InterruptedError:
        await late
    else:
        with pytest.raises(LeaseLost):
            await late
    assert await uuids(database, store) == ([] if committed else ["late"])


async def test_a_takeover_waits_for_entries_being_written(database: Database) -> None:
    """The other way round: what went in before the new token is there when its holder reads."""
    store = await fenced(database)
    assert store._lease is not None
    session_id = store._lease.session_id
    async with database.transaction() as connection:
        # What the append statement does, in a transaction that is still open.
        await connection.one("SELECT FROM session WHERE id = %(id)s FOR SHARE", {"id": session_id})
        taking = asyncio.create_task(take_over(database, session_id))
        await asyncio.sleep(0.1)
        assert not taking.done()
        await connection.run(
            "INSERT INTO transcript (scope, claude_session_id, uuid, entry) VALUES (%(s)s, %(c)s, 'x', '{}')",
            {"s": session_id, "c": CLAUDE},
        )
    await taking
    assert len(await read_transcript(database, session_id, CLAUDE)) == 1


async def test_takeovers_at_any_moment_leave_whole_batches(database: Database) -> None:
    """A batch is there as a whole if its append returned, and not at all if it raised."""
    seed = run_seed()
    order = random.Random(seed)
    for _ in range(6):
        store = await fenced(database)
        assert store._lease is not None
        written: list[str] = []
        taking = asyncio.create_task(_taken_later(database, store._lease.session_id, order))
        with pytest.raises(LeaseLost):
            await _write_on(store, order, written)
        await taking
        assert await uuids(database, store) == written, f"seed {seed}"


async def _write_on(store: TranscriptStore, order: random.Random, written: list[str]) -> None:
    while True:
        batch = [uuid.uuid4().hex for _ in range(order.randint(1, 4))]
        await store.append(NOWHERE, some(*batch))
        written += batch


async def _taken_later(database: Database, session_id: str, order: random.Random) -> None:
    await asyncio.sleep(order.random() * 0.05)
    await take_over(database, session_id)


# -- no holes


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_append_waits_while_the_store_is_away(database: Database, when: str) -> None:
    """It does not raise on a passing fault, and what was committed without an answer is there once."""
    store = await fenced(database)
    away = FaultyDatabase(database, first(3, when))
    store._database = away
    await store.append(NOWHERE, [*some("a"), *loose(operation="enqueue"), *some("b")])
    assert away.asked == 4
    store._database = database
    await store.append(NOWHERE, some("b", "c"))
    assert await uuids(database, store) == ["a", None, "b", "c"]
    assert store.broken is None


async def test_entries_without_an_id_may_be_alike(database: Database) -> None:
    """Two equal ones are two entries."""
    store = await fenced(database)
    for _ in range(2):
        await store.append(NOWHERE, [*loose(operation="dequeue"), *loose(operation="dequeue")])
    assert await uuids(database, store) == [None] * 4


async def test_an_append_gives_up_with_its_lease(database: Database) -> None:
    """With the store away for longer than the lease lasts, it raises instead of waiting on."""
    store = await fenced(database, ttl_s=0.4)
    store._database = FaultyDatabase(database, lambda sql: "before")
    with pytest.raises(LeaseLost):
        await store.append(NOWHERE, some("a"))
    assert await uuids(database, store) == []


async def test_an_append_gives_up_before_the_sdk_drops_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK waits 60 s and then goes on without the entries; we raise before that, and loudly."""
    from claude_agent_sdk._internal import transcript_mirror_batcher as sdk

    assert transcripts._APPEND_LIMIT_S < sdk.SEND_TIMEOUT_SECONDS
    monkeypatch.setattr(transcripts, "_APPEND_LIMIT_S", 0.2)
    store = await fenced(database)
    assert store._lease is not None
    async with held_row(database, store._lease.session_id):
        with pytest.raises(TimeoutError):
            await store.append(NOWHERE, some("a"))
    assert store.broken
    assert await uuids(database, store) == []


async def test_nothing_follows_a_batch_that_was_not_stored(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK drops it and sends the next one, which would hang in the air: it is refused, and so are all."""
    monkeypatch.setattr(transcripts, "_APPEND_LIMIT_S", 0.2)
    store = await fenced(database)
    assert store._lease is not None
    await store.append(NOWHERE, some("a"))
    async with held_row(database, store._lease.session_id):
        with pytest.raises(TimeoutError):
            await store.append(NOWHERE, some("b"))
    for later in ("b", "c"):
        with pytest.raises(StoreUnavailable, match="An earlier part of this transcript"):
            await store.append(NOWHERE, some(later))
    assert await uuids(database, store) == ["a"]
    again = TranscriptStore(database, scope=store._lease.session_id, lease=store._lease)
    await again.append(NOWHERE, some("d"))
    assert await uuids(database, store) == ["a", "d"]
