"""A session as a file: what arrives is what was there, and a bad file leaves nothing behind."""

from __future__ import annotations

import gzip
import io
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from harness import events as ev
from harness.corpus.corpus import Corpus
from harness.errors import BadSessionFile, NoSuchSession
from harness.forking import prepare
from harness.store.database import Database
from harness.store.embedded import EmbeddedServer
from harness.store.forks import store_fork
from harness.store.journal import load_state, read_events
from harness.store.session_file import SessionReader
from harness.store.soundness import faults
from harness.store.spans import read_spans
from harness.store.tables import SESSION_TABLES
from harness.store.transfer import export_session, import_session
from tests.kit.databases import fresh_database
from tests.kit.seeds import run_seed
from tests.kit.whole_sessions import HARD, counts, rows_by_table, whole_session


@pytest.fixture
def elsewhere(postgres: EmbeddedServer, migrated_template: str) -> Iterator[str]:
    """The DSN of a second database."""
    with fresh_database(postgres.dsn, migrated_template) as dsn:
        yield dsn


async def exported(database: Database, session_id: str, folder: Path) -> Path:
    """Export a session into a file."""
    path = folder / f"{uuid.uuid4()}.gz"
    with path.open("wb") as file:
        await export_session(database, session_id, file)
    return path


async def imported(dsn: str, path: Path, tenant: str = "t") -> None:
    """Import a file."""
    async with await Database.open(dsn) as database:
        await import_session(database, tenant, SessionReader(path))


def lines(path: Path) -> list[Any]:
    """What a file holds, line by line."""
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def rewrite(path: Path, change: Callable[[list[Any]], object]) -> None:
    """Let somebody change the lines of a file."""
    found = lines(path)
    change(found)
    path.write_bytes(gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in found)))


async def test_what_arrives_is_what_was_there(
    database: Database, dsn: str, elsewhere: str, tmp_path: Path
) -> None:
    """Every value of every table, json and bytea to the byte, transcripts in their order."""
    await whole_session(database, tmp_path, notes="Another one, so that numbers differ.")
    session_id = await whole_session(database, tmp_path)
    path = await exported(database, session_id, tmp_path)
    await imported(elsewhere, path)
    own = ("seq", "document", "lease_until", "holder")
    there = rows_by_table(dsn, session_id, without=own)
    here = rows_by_table(elsewhere, session_id, without=own)
    there["document"] = rows_by_table(dsn, session_id, without=("id",))["document"]
    here["document"] = rows_by_table(elsewhere, session_id, without=("id",))["document"]
    for table in SESSION_TABLES:
        assert here[table.name] == (there[table.name] if table.exported else []), table.name
    order = "SELECT entry::text, type FROM transcript WHERE scope = %s ORDER BY seq"
    asked = "SELECT payload::text FROM event WHERE session_id = %s ORDER BY seq"
    for query in (order, asked):
        with psycopg.connect(dsn) as first, psycopg.connect(elsewhere) as second:
            told = [each.execute(query, (session_id,)).fetchall() for each in (first, second)]
        assert told[0] == told[1]
        assert any("\\u0000" in row[0] and "\\ud83d" in row[0] for row in told[0])


async def test_what_was_imported_can_be_read_searched_forked_and_resumed(
    database: Database, elsewhere: str, tmp_path: Path
) -> None:
    """Nothing that a resume needs is missing, and nobody holds it."""
    session_id = await whole_session(database, tmp_path)
    await imported(elsewhere, await exported(database, session_id, tmp_path))
    async with await Database.open(elsewhere) as other:
        assert await faults(other, session_id) == []
        here, there = await load_state(other, session_id), await load_state(database, session_id)
        assert here.runs == there.runs
        assert await read_spans(other, session_id) == await read_spans(database, session_id)
        assert (await Corpus(other).search(session_id, "tides", 3)).total == 1
        fork = await prepare(other, here, here.head - 1, {}, {})
        await store_fork(other, fork)
        assert await faults(other, fork.state.id) == []


async def test_it_becomes_the_importing_tenants(database: Database, elsewhere: str, tmp_path: Path) -> None:
    """Its first event says so, too; a document that this tenant has already is not made again."""
    first = await whole_session(database, tmp_path)
    second = await whole_session(database, tmp_path)
    for session_id in (first, second):
        await imported(elsewhere, await exported(database, session_id, tmp_path), "somebody")
    async with await Database.open(elsewhere) as other:
        state = await load_state(other, second)
        assert state.tenant == "somebody"
        before, now = [(await read_events(each, second))[1:] for each in (database, other)]
        assert now == before
        asked = [event.payload.input for event in now if isinstance(event.payload, ev.ToolRequested)]
        assert asked == [{"query": HARD}, {"query": HARD}]
    with psycopg.connect(elsewhere) as connection:
        found = connection.execute("SELECT tenant, count(*) FROM document GROUP BY 1").fetchall()
        assert found == [("somebody", 1)]
        assert connection.execute("SELECT DISTINCT tenant FROM session").fetchall() == [("somebody",)]
    assert counts(elsewhere)["session_document"] == 2


async def test_a_session_that_is_held_or_queued_arrives_free(
    database: Database, elsewhere: str, tmp_path: Path
) -> None:
    """The process that holds it holds it over there; here a person decides whether it goes on."""
    session_id = await whole_session(database, tmp_path, status="running")
    held = (
        "UPDATE session SET lease_until = clock_timestamp() + '1 min', holder = '{}', status = 'queued' "
        "WHERE id = %(id)s"
    )
    await database.run(held, {"id": session_id})
    await imported(elsewhere, await exported(database, session_id, tmp_path))
    with psycopg.connect(elsewhere) as connection:
        row = connection.execute("SELECT status, holder, lease_until < now(), token FROM session").fetchone()
    assert row == ("suspended", None, True, 1)


class Interfering(io.BytesIO):
    """A file at whose first write something else happens."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__()
        self._act: Callable[[], None] | None = act

    def write(self, data: Any) -> int:
        """Act, once, and write."""
        act, self._act = self._act, None
        if act is not None:
            act()
        return super().write(data)


async def test_an_export_is_of_one_moment(database: Database, dsn: str, tmp_path: Path) -> None:
    """What is committed while it is being written is not in it, in no table."""
    session_id = await whole_session(database, tmp_path)

    def go_on() -> None:
        with psycopg.connect(dsn) as connection:
            connection.execute("UPDATE session SET head = head + 1")
            connection.execute(
                "INSERT INTO event (session_id, seq, id, kind, version, token, payload) "
                "SELECT session_id, max(seq) + 1, gen_random_uuid(), 'k', 1, 1, '{}' FROM event GROUP BY 1"
            )
            connection.execute("DELETE FROM transcript")

    head, entries = (await load_state(database, session_id)).head, counts(dsn)["transcript"]
    file = Interfering(go_on)
    done = await export_session(database, session_id, file)
    path = tmp_path / "it.gz"
    path.write_bytes(file.getvalue())
    found = lines(path)
    tables = [line["table"] if isinstance(line, dict) and "table" in line else None for line in found]
    of_events = [line for line in found[tables.index("event") + 1 : tables.index("transcript")]]
    of_talks = [line for line in found[tables.index("transcript") + 1 : tables.index("document")]]
    assert (done.events, len(of_events), len(of_talks)) == (head, head, entries)
    assert counts(dsn)["transcript"] == 0
    assert counts(dsn)["event"] == head + 1


async def test_there_is_no_export_of_nothing(database: Database) -> None:
    """An unknown id is refused."""
    with pytest.raises(NoSuchSession):
        await export_session(database, str(uuid.uuid4()), io.BytesIO())


def _of(found: list[Any], table: str, column: str) -> tuple[int, int]:
    """Where the first row of a table is, and the place of a column in it."""
    place = next(n for n, line in enumerate(found) if isinstance(line, dict) and line.get("table") == table)
    return place + 1, found[place]["columns"].index(column)


def _put(table: str, column: str, value: str | None) -> Callable[[list[Any]], object]:
    def change(found: list[Any]) -> None:
        row, place = _of(found, table, column)
        found[row][place] = value

    return change


def _rename(table: str, name: str) -> Callable[[list[Any]], object]:
    def change(found: list[Any]) -> None:
        found[_of(found, table, "session_id")[0] - 1]["table"] = name

    return change


def _without_a_row(found: list[Any]) -> None:
    del found[_of(found, "event", "seq")[0]]


def _without_the_session(found: list[Any]) -> None:
    row, _ = _of(found, "session", "id")
    del found[row]
    found[-1]["rows"] -= 1


def _without_the_first_event(found: list[Any]) -> None:
    row, _ = _of(found, "event", "seq")
    del found[row]
    found[-1]["rows"] -= 1


STRANGER = str(uuid.UUID(int=7))

CHANGES: dict[str, tuple[Callable[[list[Any]], object], str]] = {
    "of a newer version": (lambda found: found[0].update(version=2), "version 2 .* upgrade"),
    "of a newer store": (lambda found: found[0].update(schema_version=999), "newer version .* upgrade"),
    "of another format": (
        lambda found: found[0].update(format="tar"),
        "no session that harness export wrote",
    ),
    "of no session": (lambda found: found[0].update(session_id="1"), "broken .* export the session again"),
    "without its header": (lambda found: found.pop(0), "no session that harness export wrote"),
    "without its end": (lambda found: found.pop(), "its end is missing"),
    "without a row": (_without_a_row, "rows are missing"),
    "without its session": (_without_the_session, "broken"),
    "without its beginning": (_without_the_first_event, "broken"),
    "with a row of another session": (_put("event", "session_id", STRANGER), "rows of another session"),
    "with another session": (_put("session", "id", STRANGER), "rows of another session"),
    "with a transcript of another": (_put("transcript", "scope", STRANGER), "rows of another session"),
    "with no json": (_put("event", "payload", "{"), "the store refuses it"),
    "with no number": (_put("event", "seq", "many"), "the store refuses it"),
    "with half a character": (_put("session", "question", "\ud83d"), "the store refuses it"),
    "with a hole": (_put("session", "flow", None), "the store refuses it"),
    "with an unknown kind of event": (_put("event", "kind", "moon.landed"), "the store refuses it"),
    "with an unknown table": (_rename("span", "moon"), r"does not know \(moon\)"),
    "with a table of the store": (_rename("span", "schema_migration"), "does not know"),
    "with an unknown document": (_put("session_document", "document", "99"), "a row lacks something"),
    "with a short row": (lambda found: found[_of(found, "span", "seq")[0]].pop(), "other columns"),
    "with a number for a text": (_put("span", "seq", 1), "cannot be read"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_file_that_was_changed_is_refused(
    database: Database, elsewhere: str, tmp_path: Path, name: str
) -> None:
    """One sentence says what is wrong with it, and no table has a row more."""
    change, said = CHANGES[name]
    path = await exported(database, await whole_session(database, tmp_path), tmp_path)
    rewrite(path, change)
    with pytest.raises(BadSessionFile, match=said) as refused:
        await imported(elsewhere, path)
    assert "\n" not in str(refused.value)
    assert not any(counts(elsewhere).values())


async def test_a_file_that_was_cut_or_bent_is_refused(
    database: Database, elsewhere: str, tmp_path: Path
) -> None:
    """Wherever it was cut off and whichever bit was turned: it is refused, or nothing was lost."""
    session_id = await whole_session(database, tmp_path)
    path = await exported(database, session_id, tmp_path)
    whole = path.read_bytes()
    random = Random(run_seed())
    for cut in sorted({0, 1, 10, len(whole) - 1, *(random.randrange(len(whole)) for _ in range(12))}):
        path.write_bytes(whole[:cut])
        with pytest.raises(BadSessionFile):
            await imported(elsewhere, path)
    for _ in range(25):
        bent, place = bytearray(whole), random.randrange(10, len(whole))
        bent[place] ^= 1 << random.randrange(8)
        path.write_bytes(bent)
        with pytest.raises(BadSessionFile):
            await imported(elsewhere, path)
    assert not any(counts(elsewhere).values())
    path.write_bytes(whole)
    await imported(elsewhere, path)


async def test_a_session_that_is_there_is_not_imported_again(
    database: Database, dsn: str, tmp_path: Path
) -> None:
    """Whether it is as far as the file, further, or somebody else's is said."""
    session_id = await whole_session(database, tmp_path)
    path = await exported(database, session_id, tmp_path)
    head, before = (await load_state(database, session_id)).head, rows_by_table(dsn, session_id)
    with pytest.raises(BadSessionFile, match=f"there already, with the same {head} events"):
        await imported(dsn, path)
    with pytest.raises(BadSessionFile, match="somebody else's"):
        await imported(dsn, path, "other")
    assert rows_by_table(dsn, session_id) == before
    await database.run("UPDATE session SET head = head + 5")
    with pytest.raises(BadSessionFile, match=rf"with {head + 5} events \(the file: {head}\)"):
        await imported(dsn, path)


@pytest.mark.parametrize(
    "bad", [b"", b"hello", b"\x1f\x8b", gzip.compress(b"hello\n", mtime=0), gzip.compress(b"[1]\n", mtime=0)]
)
def test_other_files_are_refused(tmp_path: Path, bad: bytes) -> None:
    """Before any store is opened."""
    path = tmp_path / "it.gz"
    path.write_bytes(bad)
    with pytest.raises(BadSessionFile, match=r"it\.gz"):
        SessionReader(path)
