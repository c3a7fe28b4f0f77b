"""The pool: rows and values, transactions, and errors as one sentence each."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from harness.errors import StoreError, StoreUnavailable
from harness.store import database as module
from harness.store.database import Database, Json, place
from harness.store.embedded import EmbeddedServer, status
from harness.store.queries import trusted
from tests.kit.processes import kill_tree

SECRET = "hunter2-hunter2"


def everything_said(error: BaseException | None) -> str:
    """Join the messages of an error and of all it was caused by."""
    said = []
    while error is not None:
        said.append(f"{error} {error.args}")
        error = error.__cause__ or error.__context__
    return "\n".join(said)


async def test_rows_are_dicts_and_counts_are_counts(database: Database) -> None:
    """Each method gives what its name says, with named parameters."""
    assert await database.run("CREATE TABLE t (n int, s text)") == -1
    rows = [{"n": n, "s": str(n)} for n in range(5)]
    assert await database.run_many("INSERT INTO t VALUES (%(n)s, %(s)s)", rows) == 5
    assert await database.run_many("INSERT INTO t VALUES (%(n)s, %(s)s)", []) == 0
    assert await database.all("SELECT * FROM t ORDER BY n") == rows
    assert await database.one("SELECT s FROM t WHERE n = %(n)s", {"n": 3}) == {"s": "3"}
    assert await database.one("SELECT s FROM t WHERE n = 9") is None
    assert await database.run("DELETE FROM t WHERE n > %(n)s", {"n": 1}) == 3


async def test_json_survives_byte_for_byte_what_text_cannot_hold(database: Database) -> None:
    """NUL and lone surrogates come back from a json column; as text they are refused in one sentence."""
    await database.run("CREATE TABLE t (j json, s text)")
    value = {"binary": "a\x00b", "cut": "\ud83d", "n": [1, None, 2.5, "ünï"]}
    await database.run("INSERT INTO t (j) VALUES (%(j)s)", {"j": Json(value)})
    assert await database.one("SELECT j FROM t") == {"j": value}
    with pytest.raises(StoreError, match="half of a surrogate pair"):
        await database.run("INSERT INTO t (s) VALUES (%(s)s)", {"s": "\ud83d"})
    with pytest.raises(StoreError, match="NUL"):
        await database.run("INSERT INTO t (s) VALUES (%(s)s)", {"s": "a\x00b"})
    assert await database.one("SELECT count(*) AS n FROM t") == {"n": 1}


async def test_a_statement_alone_commits_at_once(database: Database, dsn: str) -> None:
    """Another connection sees it before this pool does anything more."""
    await database.run("CREATE TABLE t AS SELECT 1 AS n")
    async with await Database.open(dsn) as other:
        assert await other.one("SELECT n FROM t") == {"n": 1}


async def test_a_transaction_commits_whole_or_not_at_all(database: Database) -> None:
    """An exception in the body rolls everything back, on the one connection it used."""
    await database.run("CREATE TABLE t (n int PRIMARY KEY)")
    async with database.transaction() as connection:
        await connection.run("INSERT INTO t VALUES (1)")
        assert await database.one("SELECT count(*) AS n FROM t") == {"n": 0}

    async def fail_halfway() -> None:
        async with database.transaction() as connection:
            await connection.run("INSERT INTO t VALUES (2)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_halfway()
    with pytest.raises(StoreError, match="SQLSTATE 23505"):
        await database.run_many("INSERT INTO t VALUES (%(n)s)", [{"n": 3}, {"n": 1}])
    assert await database.all("SELECT n FROM t") == [{"n": 1}]


async def test_a_transaction_that_stands_still_is_ended(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its next statement finds the connection lost; one that was given more time is still there."""
    monkeypatch.setattr(module, "IDLE_S", 1)
    async with await Database.open(dsn) as database:

        async def stand_still(at_leisure: bool) -> None:
            async with database.transaction() as connection:
                if at_leisure:
                    await connection.at_leisure()
                await asyncio.sleep(1.5)
                await connection.run("SELECT 1")

        with pytest.raises(StoreUnavailable, match="ended the connection"):
            await stand_still(False)
        await stand_still(True)


@pytest.mark.parametrize(("options", "usual", "longer"), [("", "1min", "10min"), ("7s", "7s", "7s")])
async def test_a_limit_that_somebody_else_has_set_stays(
    dsn: str, options: str, usual: str, longer: str
) -> None:
    """For the role, the database, or in the DSN; where there is none, ours is set, and set for once only."""
    show = "SHOW idle_in_transaction_session_timeout"
    named = f"-c idle_in_transaction_session_timeout={options}" if options else ""
    async with await Database.open(make_conninfo(dsn, options=named), max_size=1) as database:
        async with database.transaction() as connection:
            await connection.at_leisure()
            assert await connection.one(show) == {"idle_in_transaction_session_timeout": longer}
        assert await database.one(show) == {"idle_in_transaction_session_timeout": usual}


async def test_a_refused_statement_is_seen_where_it_was_made(database: Database) -> None:
    """Inside a transaction the harness's error can be caught; the driver's is its cause."""
    async with database.transaction() as connection:
        with pytest.raises(
            StoreError, match=r"refused a statement \(SQLSTATE 42P01\): relation .* exist"
        ) as caught:
            await connection.run("SELECT * FROM nowhere")
        assert not isinstance(caught.value, StoreUnavailable)
        assert isinstance(caught.value.__cause__, psycopg.errors.UndefinedTable)
    assert await database.one("SELECT 1 AS n") == {"n": 1}


@pytest.mark.parametrize(
    ("dsn", "sentence"),
    [
        (
            f"postgresql://u:{SECRET}@127.0.0.1:1/x",
            r"127\.0\.0\.1:1/x cannot be used: Connection refused; start it",
        ),
        (f"postgresql://u:{SECRET}@127.0.0.1:port/x", 'cannot be used: invalid integer value "port" for'),
        (f"{SECRET}", "is not one Postgres understands"),
        (
            f"host=/no/such/folder password={SECRET}",
            "/no/such/folder:5432 cannot be used: No such file or dir",
        ),
        (f"postgresql://u:{SECRET}@nowhere.invalid/x", r"nowhere\.invalid:5432/x cannot be used"),
    ],
)
async def test_a_wrong_dsn_is_one_sentence_without_the_password(dsn: str, sentence: str) -> None:
    """What is wrong and what to do, and the password nowhere, not even in what caused it."""
    with pytest.raises(StoreUnavailable, match=sentence) as caught:
        await Database.open(dsn)
    assert SECRET not in everything_said(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_missing_database_is_named(dsn: str) -> None:
    """The server's own reason is passed on."""
    with pytest.raises(StoreUnavailable, match='cannot be used: database "absent" does not exist; start it'):
        await Database.open(make_conninfo(dsn, dbname="absent"))


async def test_a_server_that_never_answers_is_given_up() -> None:
    """A port that accepts and says nothing ends the attempt after the DSN's own connect_timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable, match="timeout"):
            await Database.open(f"postgresql://u@127.0.0.1:{port}/x?connect_timeout=2")
        assert time.monotonic() - begun >= 1.5


def test_a_server_is_named_without_user_and_password() -> None:
    """Host, port and database are what a message needs."""
    assert place(f"postgresql://me:{SECRET}@db.example:6000/work") == "db.example:6000/work"
    assert place("dbname=x") == "the default socket:5432/x"


async def test_ended_connections_cost_one_failure_not_one_each(database: Database) -> None:
    """After a restart of the server one statement fails and says so; the pool then starts afresh."""
    await asyncio.gather(*(database.run("SELECT pg_sleep(0.1)") for _ in range(6)))
    end_all = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %(name)s"
    name = conninfo_to_dict(database.dsn)["dbname"]
    async with await Database.open(make_conninfo(database.dsn, dbname="postgres")) as other:
        assert len(await other.all(end_all, {"name": name})) >= 6
    with pytest.raises(StoreUnavailable, match="ended the connection, as it does when it stops or restarts"):
        await database.run("SELECT 1")
    for _ in range(8):
        assert await database.one("SELECT 1 AS n") == {"n": 1}


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("53100", "disk of Postgres .* is full; free"),
        ("53300", "no connection left"),
        ("57014", "could not serve a statement now: no; try again"),
        ("40P01", "could not serve a statement now"),
    ],
)
async def test_a_server_without_room_is_unavailable(database: Database, code: str, sentence: str) -> None:
    """Conditions that pass are told from refused statements."""
    with pytest.raises(StoreUnavailable, match=sentence):
        await database.run(trusted(f"DO $$ BEGIN RAISE 'no' USING ERRCODE = '{code}'; END $$"))


async def test_a_read_only_server_is_unavailable(database: Database) -> None:
    """A standby after a failover is said to be one, and the pool stays usable for reading."""
    await database.run("CREATE TABLE t (n int)")
    async with database.transaction() as connection:
        await connection.run("SET TRANSACTION READ ONLY")
        with pytest.raises(StoreUnavailable, match=r"is read-only, perhaps a standby .* point the DSN at"):
            await connection.run("INSERT INTO t VALUES (1)")
    assert await database.all("SELECT n FROM t") == []


async def test_an_exhausted_pool_says_so(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for a connection ends, instead of hanging, and says how long it took."""
    monkeypatch.setattr(module, "CONNECT_TIMEOUT_S", 1)
    async with await Database.open(dsn, max_size=1) as database, database.transaction():
        with pytest.raises(StoreUnavailable, match="became free within 1 s"):
            await database.run("SELECT 1")


async def test_a_cancelled_statement_gives_its_connection_back(dsn: str) -> None:
    """Cancelling the task stops the statement on the server too, and the pool's only connection works."""
    async with await Database.open(dsn, max_size=1) as database:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await database.run("SELECT pg_sleep(60)")
        assert await database.one("SELECT 1 AS n") == {"n": 1}


async def test_nothing_is_prepared_unless_asked_for(dsn: str) -> None:
    """Prepared statements break behind a transaction pooler, so they are off by default."""
    count = "SELECT count(*) AS n FROM pg_prepared_statements"
    async with await Database.open(dsn, max_size=1) as database:
        for _ in range(10):
            assert await database.one(count) == {"n": 0}
    async with await Database.open(dsn, max_size=1, prepare_threshold=1) as database:
        await database.one(count)
        await database.one(count)
        assert await database.one(count) != {"n": 0}


async def test_a_closed_pool_is_an_error_of_the_store(dsn: str) -> None:
    """Using a database after closing it is not an error of the driver's."""
    database = await Database.open(dsn)
    await database.close()
    await database.close()
    with pytest.raises(StoreUnavailable):
        await database.run("SELECT 1")


async def test_a_frozen_server_is_given_up(home: Path) -> None:
    """A server that is stopped like a hung machine fails the opening, not only a dead one."""
    with EmbeddedServer.acquire(home) as server:
        pid = status(home).pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreUnavailable, match="timeout"):
                await Database.open(server.dsn + " connect_timeout=2")
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_nothing_acknowledged_is_lost_when_the_server_is_killed(home: Path) -> None:
    """Eight writers, kill -9 of the whole server: every row that was acknowledged is there afterwards."""
    with await asyncio.to_thread(EmbeddedServer.acquire, home) as server:
        async with await Database.open(server.dsn) as database:
            await database.run("CREATE TABLE t (writer int, n int, PRIMARY KEY (writer, n))")
            acknowledged: set[tuple[int, int]] = set()

            async def write(writer: int) -> None:
                n = 0
                while True:
                    await database.run("INSERT INTO t VALUES (%(writer)s, %(n)s)", {"writer": writer, "n": n})
                    acknowledged.add((writer, n))
                    n += 1

            writers = [asyncio.create_task(write(writer)) for writer in range(8)]
            await asyncio.sleep(0.7)
            pid = status(home).pid
            assert pid is not None
            await asyncio.to_thread(kill_tree, pid)
            ends = await asyncio.gather(*writers, return_exceptions=True)
            assert [type(end) for end in ends] == [StoreUnavailable] * 8
            await asyncio.to_thread(server.ensure_running)
            kept = {(row["writer"], row["n"]) for row in await database.all("SELECT writer, n FROM t")}
            assert len(acknowledged) > 100
            assert acknowledged <= kept
            assert len(kept - acknowledged) <= 8
