"""The embedded server's ordinary life: it is made, shared, stopped and looked at."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import psycopg
import pytest

from harness.errors import StoreError, StoreUnavailable
from harness.store.database import Database
from harness.store.embedded import EmbeddedServer, status, stop
from tests.kit.postgres_user import PostgresUser


async def value(dsn: str, sql: str) -> object:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        row = await (await connection.execute(sql.encode())).fetchone()
        assert row is not None
        return row[0]


async def test_a_fresh_home_gets_a_durable_server(home: Path) -> None:
    """The first user of an empty home gets a server that loses nothing and listens to nobody else."""
    with await asyncio.to_thread(EmbeddedServer.acquire, home / "new" / "folder") as server:
        for name, expected in {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "listen_addresses": "",
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "server_encoding": "UTF8",
        }.items():
            assert await value(server.dsn, f"SHOW {name}") == expected, name
        data = home / "new" / "folder" / "postgres"
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        assert (data.parent / "postgres.log").read_text().count("ready to accept connections") == 1


async def test_upper_and_lower_case_follow_unicode(home: Path) -> None:
    """Case folding does not stop at ASCII, neither in functions nor in full-text search."""
    with await asyncio.to_thread(EmbeddedServer.acquire, home) as server:
        assert await value(server.dsn, "SELECT lower('ÉCOLE Ω')") == "école ω"
        assert await value(server.dsn, "SELECT to_tsvector('simple', 'ÉCOLE') @@ 'école'::tsquery") is True


async def test_the_last_user_stops_the_server(home: Path) -> None:
    """The server runs as long as one user is left, in whatever process, and no longer."""
    first = EmbeddedServer.acquire(home)
    second = EmbeddedServer.acquire(home)
    with PostgresUser(home) as third:
        pid = third.answer()["pid"]
        assert status(home).users == tuple(sorted((os.getpid(), os.getpid(), third.pid), key=str))
        first.release()
        first.release()
        third.leave()
        assert status(home).pid == pid
        assert await value(second.dsn, "SELECT 1") == 1
    second.release()
    assert not status(home).running
    assert not psutil.pid_exists(pid)


def test_a_released_share_starts_nothing(home: Path) -> None:
    """A watcher that comes too late does not bring back a server that nobody uses."""
    server = EmbeddedServer.acquire(home)
    server.release()
    server.ensure_running()
    assert not status(home).running


async def test_what_was_committed_is_there_after_a_restart(home: Path) -> None:
    """Stopping and starting the server keeps the data, the DSN and the account."""
    with EmbeddedServer.acquire(home) as server:
        dsn = server.dsn
        async with await Database.open(dsn) as database:
            await database.run("CREATE TABLE kept AS SELECT 42 AS n")
    with EmbeddedServer.acquire(home) as server:
        assert server.dsn == dsn
        assert await value(dsn, "SELECT n FROM kept") == 42


def test_starters_at_once_share_one_server(home: Path) -> None:
    """Six processes that find an empty folder at the same moment all get the same server."""
    with ExitStack() as stack:
        users = [stack.enter_context(PostgresUser(home)) for _ in range(6)]
        answers = [user.answer() for user in users]
        assert len({(answer["pid"], answer["dsn"]) for answer in answers}) == 1, answers
        assert sorted(path.name for path in home.iterdir()) == [
            "postgres",
            "postgres.alive",
            "postgres.gate",
            "postgres.log",
            "postgres.users",
        ]
        for user in users:
            assert status(home).running
            user.leave()
    assert not status(home).running


def test_starters_at_once_share_a_warm_server(home: Path) -> None:
    """The same holds when the data is there already and users come and go meanwhile."""
    EmbeddedServer.acquire(home).release()
    for _ in range(3):
        with ExitStack() as stack:
            users = [stack.enter_context(PostgresUser(home)) for _ in range(4)]
            for user in users:
                assert "dsn" in user.answer()
                user.leave()
        assert not status(home).running


def test_ctrl_c_ends_the_user_and_spares_the_server_of_others(home: Path) -> None:
    """SIGINT reaches the user's process group, of which the server is no part."""
    with PostgresUser(home) as owner, EmbeddedServer.acquire(home) as other:
        pid = owner.answer()["pid"]
        assert os.getsid(pid) == pid
        owner.interrupt()
        assert owner.answer() == {"interrupted": True}
        assert status(home).pid == pid
        with psycopg.connect(other.dsn) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_server_inherits_no_lock_of_its_users_and_no_secret(home: Path) -> None:
    """The server holds its own lock and none of its users', and sees nothing of their environment."""
    with PostgresUser(home) as user:
        answer = user.answer()
        held = {os.readlink(path) for path in Path(f"/proc/{answer['pid']}/fd").iterdir()}
        assert {path for path in held if path.startswith(f"{home}/postgres.")} == {
            f"{home}/postgres.alive",
            f"{home}/postgres.log",
        }
        assert "ANTHROPIC_API_KEY" in psutil.Process(user.pid).environ()
        # Postgres overwrites what /proc shows; a program it runs sees what it really has.
        with psycopg.connect(answer["dsn"]) as connection:
            connection.execute("CREATE TEMP TABLE seen (line text)")
            connection.execute("COPY seen FROM PROGRAM 'env'")
            seen = "\n".join(row[0] for row in connection.execute("SELECT line FROM seen"))
        assert "TZ=UTC" in seen
        assert "ANTHROPIC_API_KEY" not in seen
        user.leave()


@pytest.mark.parametrize("how", [["--fork"], ["--fork", "--exec"]])
def test_a_users_child_does_not_count_as_a_user(home: Path, how: list[str]) -> None:
    """A child process that outlives its parent, forked or executed, does not keep the server."""
    with PostgresUser(home, *how) as user:
        child = psutil.Process(user.answer()["child"])
        try:
            user.kill()
            assert child.is_running()
            assert status(home).users == ()
            assert stop(home)
        finally:
            child.kill()


def test_stop_refuses_while_a_user_lives(home: Path) -> None:
    """Stopping names the processes that hold the server, and works as soon as they are gone, however."""
    assert stop(home) is False
    with PostgresUser(home) as user:
        user.answer()
        with pytest.raises(StoreError, match=f"in use by pid {user.pid}: end that first"):
            stop(home)
        user.kill()
        assert stop(home) is True
    assert stop(home) is False
    assert not status(home).running


def test_status_creates_nothing(home: Path) -> None:
    """Looking at a home without a server leaves it as it is."""
    seen = status(home / "absent")
    assert (seen.running, seen.pid, seen.dsn, seen.version, seen.users) == (False, None, None, None, ())
    assert seen.size_bytes == 0
    assert list(home.iterdir()) == []


def test_status_describes_a_running_server(home: Path) -> None:
    """Process, version, place, size and users are those of the server."""
    with EmbeddedServer.acquire(home) as server:
        seen = status(home)
        assert seen.running
        assert seen.pid is not None
        assert psutil.Process(seen.pid).name() == "postgres"
        assert seen.dsn == server.dsn
        assert seen.data_dir == seen.socket_dir == home / "postgres"
        assert seen.version is not None
        with psycopg.connect(server.dsn) as connection:
            assert connection.info.server_version // 10000 == int(seen.version)
        assert 10**7 < seen.size_bytes < 10**9
        assert seen.users == (os.getpid(),)


def test_a_blocked_gate_gives_up_with_the_file_to_look_at(home: Path) -> None:
    """Whoever waits for a starter that hangs is told which lock it waits for."""
    from harness.store.locks import FileLock

    with FileLock(home / "gate"):
        begun = time.monotonic()
        with (
            pytest.raises(StoreUnavailable, match=r"Another process has held .*gate"),
            FileLock(home / "gate", 0.2),
        ):
            pytest.fail("two held one lock")
        assert time.monotonic() - begun >= 0.2
