"""Pruning: all of a session goes, nothing of another one, and what is kept can still go on."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any, LiteralString

import pytest

import harness.housekeeping
from harness.errors import NoSuchSession, PruneRefused
from harness.forking import prepare
from harness.housekeeping import Tidied, housekeeping, keep_house
from harness.records import ENDED, SessionStatus
from harness.settings import from_environment
from harness.store import pruning
from harness.store.database import Database
from harness.store.forks import store_fork
from harness.store.journal import load_state
from harness.store.prunable import Choice, ago, prunable
from harness.store.pruning import drop_unused_documents, prune
from harness.store.soundness import faults
from tests.kit.sessions import new_session
from tests.kit.whole_sessions import age, counts, rows_by_table, whole_session

CUT: LiteralString = "DELETE FROM transcript WHERE scope = '{kept}' AND type = 'assistant'"
BLANK: LiteralString = (
    "UPDATE passage SET text = 'x' FROM session_document "
    "WHERE session_id = '{kept}' AND passage.document = session_document.document"
)
CHANGE: LiteralString = "UPDATE event SET token = token + 1 WHERE session_id = '{kept}'"


def choice(*statuses: SessionStatus, days: float = 30, tenant: str | None = "t") -> Choice:
    return Choice(tenant=tenant, before=ago(timedelta(days=days)), statuses=statuses or ENDED)


async def pruned(
    database: Database, chosen: Choice | None = None, gone: list[str] | None = None
) -> list[str]:
    """Prune, and give who has gone; they are put into `gone`, too."""
    chosen, gone = chosen or choice(), [] if gone is None else gone
    async for batch in prune(database, await prunable(database, chosen), chosen.before):
        gone += batch
    return gone


async def meanwhile(database: Database, session_id: str, statement: str) -> None:
    """Let this happen within the transaction that deletes the session: a slip of the pruner, played."""
    await database.run(
        f"CREATE FUNCTION slip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {statement}; RETURN OLD; END $$"
    )
    await database.run(
        f"CREATE TRIGGER slip BEFORE DELETE ON session FOR EACH ROW "
        f"WHEN (OLD.id = '{session_id}') EXECUTE FUNCTION slip()"
    )


async def test_all_of_a_session_goes_and_nothing_of_another(
    database: Database, dsn: str, tmp_path: Path
) -> None:
    """No table has a row of it any more; the other one, with the same document, is as it was, row for row."""
    old = await whole_session(database, tmp_path, status="done")
    alone = await whole_session(database, tmp_path, status="failed", notes="Winds.")
    kept = await whole_session(database, tmp_path)
    before = rows_by_table(dsn, kept)
    assert sorted(await pruned(database)) == sorted([old, alone])
    assert await drop_unused_documents(database) == 1
    for session_id in (old, alone):
        assert not any(rows_by_table(dsn, session_id).values())
    assert rows_by_table(dsn, kept) == before
    assert counts(dsn) == {table: len(rows) for table, rows in before.items()}
    assert await faults(database, kept) == []


@pytest.mark.parametrize("status", ["suspended", "needs_help", "running"])
async def test_what_has_not_ended_goes_only_when_its_status_is_named(
    database: Database, tmp_path: Path, status: SessionStatus
) -> None:
    """However old it is."""
    session_id = await whole_session(database, tmp_path, status=status, days=4000)
    assert await pruned(database) == []
    assert await pruned(database, choice(status)) == [session_id]


async def test_young_foreign_held_and_queued_sessions_stay(database: Database, tmp_path: Path) -> None:
    """One that somebody holds or that waits for a worker stays, even when its status is named."""
    young, foreign, held, queued = [await whole_session(database, tmp_path, status="done") for _ in range(4)]
    await age(database, young, 29)
    await database.run("INSERT INTO tenant (name) VALUES ('u')")
    await database.run("UPDATE session SET tenant = 'u' WHERE id = %(id)s", {"id": foreign})
    lease = "UPDATE session SET lease_until = clock_timestamp() + '1 min' WHERE id = %(id)s"
    await database.run(lease, {"id": held})
    due = "UPDATE session SET status = 'queued', due_at = now() WHERE id = %(id)s"
    await database.run(due, {"id": queued})
    every = choice("done", "running", "suspended", "needs_help")
    assert await pruned(database, every) == []
    assert await pruned(database, every.model_copy(update={"tenant": None})) == [foreign]


async def test_what_was_taken_up_after_it_was_chosen_stays(database: Database, tmp_path: Path) -> None:
    """Be it held, forked at this moment, or used and left again since a person was shown the list."""
    taken, used, forked = [await whole_session(database, tmp_path, status="done") for _ in range(3)]
    chosen = choice()
    shown = await prunable(database, chosen)
    assert len(shown) == 3
    lease = "UPDATE session SET lease_until = clock_timestamp() + '1 min' WHERE id = %(id)s"
    await database.run(lease, {"id": taken})
    await age(database, used, 0)
    async with database.transaction() as connection:
        await connection.one("SELECT FROM session WHERE id = %(id)s FOR KEY SHARE", {"id": forked})
        assert [batch async for batch in prune(database, shown, chosen.before)] == [[]]
    assert [batch async for batch in prune(database, shown, chosen.before)] == [[forked]]


async def test_a_session_is_not_pruned_while_it_is_forked(
    database: Database, dsn: str, tmp_path: Path
) -> None:
    """The fork gets all of it; one that comes too late gets nothing, and says so."""
    origin = await whole_session(database, tmp_path, status="done")
    head = (await load_state(database, origin)).head
    first, late = [
        await prepare(database, await load_state(database, origin), head, {}, {}) for _ in range(2)
    ]
    await database.run(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$"
    )
    await database.run("CREATE TRIGGER wait AFTER INSERT ON event EXECUTE FUNCTION wait()")
    waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted"
    async with await Database.open(dsn) as other, asyncio.TaskGroup() as tasks:
        async with database.transaction() as connection:
            await connection.one("SELECT pg_advisory_xact_lock(7)")
            forking = tasks.create_task(store_fork(other, first))
            while await connection.one(waiting) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            assert await pruned(database) == []
        await forking
    assert await faults(database, first.state.id) == []
    assert await pruned(database) == [origin]
    with pytest.raises(NoSuchSession, match="has just been pruned"):
        await store_fork(database, late)
    assert len(await database.all("SELECT FROM session")) == 1


async def test_a_session_that_was_never_begun_goes(database: Database) -> None:
    """A process that died between its row and its first event has left it to nobody."""
    unborn = await new_session(database)
    await database.run("UPDATE session SET lease_until = '-infinity' WHERE id = %(id)s", {"id": unborn})
    assert await pruned(database) == []
    await age(database, unborn, 31)
    assert await pruned(database) == [unborn]


@pytest.mark.parametrize(
    ("slip", "said"), [(CUT, "lacks rows of transcript"), (BLANK, "source S1 is not whole")]
)
async def test_a_batch_that_would_harm_a_kept_session_is_undone(
    database: Database, dsn: str, tmp_path: Path, slip: str, said: str
) -> None:
    """One sentence says which session, and why; every row is as it was."""
    old = await whole_session(database, tmp_path, status="done")
    kept = await whole_session(database, tmp_path, notes="Winds.")
    await meanwhile(database, old, slip.format(kept=kept))
    before = {each: rows_by_table(dsn, each) for each in (old, kept)}
    with pytest.raises(PruneRefused, match=rf"session {kept}, which is kept \(.*{said}.*put back"):
        await pruned(database)
    assert {each: rows_by_table(dsn, each) for each in (old, kept)} == before


async def test_a_kept_session_whose_rows_have_changed_is_read(database: Database, tmp_path: Path) -> None:
    """It is found able to go on, so it hinders nothing."""
    old = await whole_session(database, tmp_path, status="done")
    kept = await whole_session(database, tmp_path)
    await meanwhile(database, old, CHANGE.format(kept=kept))
    assert await pruned(database) == [old]


async def test_what_was_broken_before_is_not_blamed_on_pruning(database: Database, tmp_path: Path) -> None:
    """A kept session with a gap in its transcript stays as broken as it was."""
    old = await whole_session(database, tmp_path, status="done")
    kept = await whole_session(database, tmp_path)
    await database.run("DELETE FROM transcript WHERE scope = %(id)s AND type = 'assistant'", {"id": kept})
    broken = await faults(database, kept)
    assert broken
    await meanwhile(database, old, CHANGE.format(kept=kept))
    assert await pruned(database) == [old]
    assert await faults(database, kept) == broken


async def test_batches_are_committed_one_by_one(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that is undone does not bring back the one before it."""
    monkeypatch.setattr(pruning, "AT_ONCE", 2)
    old = [await whole_session(database, tmp_path, status="done", days=90 - n) for n in range(5)]
    kept = await whole_session(database, tmp_path)
    await meanwhile(database, old[3], CUT.format(kept=kept))
    gone: list[str] = []
    with pytest.raises(PruneRefused):
        await pruned(database, gone=gone)
    assert sorted(gone) == sorted(old[:2])
    left = [row["id"] for row in await database.all("SELECT id::text FROM session")]
    assert sorted(left) == sorted([*old[2:], kept])


async def test_a_recording_stays_as_long_as_a_replay_needs_it(database: Database, tmp_path: Path) -> None:
    """Until the replay has ended; chosen all the same, it is put back; with its replay it may go."""
    origin = await whole_session(database, tmp_path, status="done", days=90)
    replay = await whole_session(database, tmp_path, upstream="replay", replays=origin)
    assert await pruned(database) == []
    chosen = choice()
    (row,) = await prunable(database, choice("suspended"))
    forced = row.model_copy(update={"session_id": origin})
    with pytest.raises(PruneRefused, match=f"session {replay}.*replays session {origin}"):
        [batch async for batch in prune(database, [forced], chosen.before)]
    assert sorted(await pruned(database, choice("done", "suspended"))) == sorted([origin, replay])


async def test_an_ended_replay_needs_no_recording_any_more(database: Database, tmp_path: Path) -> None:
    """What it found is its own."""
    origin = await whole_session(database, tmp_path, status="done")
    replay = await whole_session(database, tmp_path, status="done", days=0, replays=origin)
    assert await pruned(database) == [origin]
    assert (await load_state(database, replay)).finished


async def test_two_who_prune_at_once_share_the_work(database: Database, dsn: str, tmp_path: Path) -> None:
    """Each session goes once, and neither of them fails."""
    old = [await whole_session(database, tmp_path, status="done") for _ in range(6)]
    async with await Database.open(dsn) as other:
        found = await asyncio.gather(pruned(database), pruned(other))
    assert sorted([*found[0], *found[1]]) == sorted(old)


async def test_house_is_kept_as_the_settings_say(database: Database, dsn: str, tmp_path: Path) -> None:
    """Old sessions with their folders go, sent spans of ended ones, answers past their time."""
    old = await whole_session(database, tmp_path, status="done", notes="Winds.")
    ended = await whole_session(database, tmp_path, status="done", days=8)
    going = await whole_session(database, tmp_path, days=90)
    await database.run("UPDATE span SET sent_at = clock_timestamp() - interval '6 days'")
    answers = (
        "INSERT INTO tool_answer SELECT 't', 'f', 'v', n::text, '1', clock_timestamp() + "
        "CASE n WHEN 1 THEN interval '1 day' ELSE interval '-1 day' END FROM generate_series(1, 3) AS n"
    )
    await database.run(answers)
    for session_id in (old, ended):
        (tmp_path / "home" / "sessions" / session_id / "workspace").mkdir(parents=True)
    spans = len(rows_by_table(dsn, ended)["span"])

    async def kept(**given: Any) -> Tidied:
        options: dict[str, object] = {"home": tmp_path / "home", "tenant": "t"}
        options |= {f"housekeeping.{key}": value for key, value in given.items()}
        return await keep_house(database, from_environment(None, options, {}))

    assert await kept() == Tidied(tool_answers=2)
    assert await kept(keep_days=30) == Tidied(sessions=1, folders=1, documents=1)
    assert await kept(keep_days=30, span_days=7) == Tidied()
    assert await kept(keep_days=30, span_days=5) == Tidied(spans=spans)
    assert [path.name for path in (tmp_path / "home" / "sessions").iterdir()] == [ended]
    assert rows_by_table(dsn, going)["span"]
    elsewhere = from_environment(None, {"housekeeping.keep_days": 1, "tenant": "u"}, {})
    assert await keep_house(database, elsewhere) == Tidied()
    assert (await keep_house(database, elsewhere, every_tenant=True)).sessions == 1


async def test_a_session_at_work_may_forget_its_kept_responses(database: Database, tmp_path: Path) -> None:
    """That an agent run has ended in the meantime is no harm."""
    old = await whole_session(database, tmp_path, status="done")
    kept = await whole_session(database, tmp_path)
    forgets = f"DELETE FROM kept_response WHERE session_id = '{kept}'"
    await meanwhile(database, old, forgets)
    with pytest.raises(PruneRefused, match="kept_response"):
        await pruned(database)
    lease = "UPDATE session SET lease_until = clock_timestamp() + '1 min' WHERE id = %(id)s"
    await database.run(lease, {"id": kept})
    assert await pruned(database) == [old]


async def test_workers_keep_house_for_every_tenant_now_and_then(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the settings say; a session that is young stays."""
    monkeypatch.setattr(harness.housekeeping, "EVERY_S", 0.01)
    old, young = [await whole_session(database, tmp_path, status="done") for _ in range(2)]
    await age(database, young, 1)
    settings = from_environment(None, {"housekeeping.keep_days": 30, "tenant": "another"}, {})

    async def left() -> set[str]:
        return {str(row["id"]) for row in await database.all("SELECT id FROM session")}

    assert await left() == {old, young}
    async with housekeeping(database, settings), asyncio.timeout(60):
        while old in await left():  # noqa: ASYNC110 - it happens in the background
            await asyncio.sleep(0.05)
    assert await left() == {young}
