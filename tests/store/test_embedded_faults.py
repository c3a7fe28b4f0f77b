"""The embedded server after crashes: of its users, of its starter, of itself."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from harness.errors import StoreUnavailable
from harness.store.embedded import EmbeddedServer, status
from tests.kit.campaign import cases
from tests.kit.postgres_user import PostgresUser
from tests.kit.processes import alive, kill, kill_tree, until_sync


def server_pid(home: Path) -> int:
    pid = status(home).pid
    assert pid is not None
    return pid


def works(server: EmbeddedServer) -> bool:
    with psycopg.connect(server.dsn) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def remember(server: EmbeddedServer) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS n")


def remembered(server: EmbeddedServer) -> bool:
    with psycopg.connect(server.dsn) as connection:
        return connection.execute("SELECT n FROM kept").fetchone() == (42,)


def test_the_server_outlives_a_killed_owner_and_the_next_user_attaches(home: Path) -> None:
    """After kill -9 of its only user the server serves the next one, who stops it when leaving."""
    with PostgresUser(home) as owner:
        pid = owner.answer()["pid"]
        owner.kill()
    assert status(home).running
    assert status(home).users == ()
    with EmbeddedServer.acquire(home) as server:
        assert server_pid(home) == pid
        assert works(server)
    assert not status(home).running
    assert list((home / "postgres.users").iterdir()) == []


@pytest.mark.parametrize("whole_tree", [False, True])
def test_a_killed_server_is_started_again(home: Path, whole_tree: bool) -> None:
    """After kill -9 of the server the next user gets it back with everything committed; so do old users."""
    with EmbeddedServer.acquire(home) as old:
        remember(old)
        pid = server_pid(home)
        if whole_tree:
            kill_tree(pid)
        else:
            kill(psutil.Process(pid))
        with EmbeddedServer.acquire(home) as new:
            assert server_pid(home) != pid
            assert new.dsn == old.dsn
            assert remembered(new)
        kill(psutil.Process(server_pid(home)))
        old.ensure_running()
        assert remembered(old)
    assert not status(home).running


def test_a_busy_orphan_does_not_block_the_next_server(home: Path) -> None:
    """A backend too busy to notice that its server was killed is ended, not waited for."""
    with EmbeddedServer.acquire(home) as server:
        remember(server)

        def spin() -> None:
            with suppress(psycopg.OperationalError), psycopg.connect(server.dsn) as connection:
                connection.execute("DO $$ BEGIN LOOP END LOOP; END $$")

        spinner = threading.Thread(target=spin)
        spinner.start()
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            busy = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'"
            row = until_sync(lambda: connection.execute(busy).fetchone(), "the busy backend")
            assert row is not None
        orphan = psutil.Process(row[0])
        try:
            kill(psutil.Process(server_pid(home)))
            assert orphan.is_running()
            server.ensure_running()
            assert not alive(orphan)
            assert remembered(server)
        finally:
            kill(orphan)
            spinner.join()


def test_a_zombie_is_no_server(home: Path) -> None:
    """A killed server whose new parent never reaps it does not pass for a running one."""
    # The server's starter dies, so it becomes the child of this process, which reaps nothing by itself.
    subreaper = 36  # PR_SET_CHILD_SUBREAPER, prctl(2)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(subreaper, 1, 0, 0, 0) == 0
    zombie = 0
    try:
        with PostgresUser(home) as starter:
            zombie = starter.answer()["pid"]
            starter.kill()
        until_sync(lambda: psutil.Process(zombie).ppid() == os.getpid(), "adoption of the server")
        kill_tree_but_leave_zombie(zombie)
        with EmbeddedServer.acquire(home) as server:
            assert psutil.Process(zombie).status() == psutil.STATUS_ZOMBIE
            assert server_pid(home) != zombie
            assert works(server)
    finally:
        libc.prctl(subreaper, 0, 0, 0, 0)
        if zombie:
            os.waitpid(zombie, 0)


def kill_tree_but_leave_zombie(pid: int) -> None:
    server = psutil.Process(pid)
    for process in (server, *server.children()):
        process.kill()
    until_sync(lambda: server.status() == psutil.STATUS_ZOMBIE, "the zombie")


@pytest.mark.parametrize("stranger", cases(["sleep", "another postgres"], {"another postgres"}))
def test_a_stale_pid_file_that_names_a_stranger_is_seen_through(
    home: Path, postgres: EmbeddedServer, stranger: str
) -> None:
    """A pid that by now belongs to another process, even to another Postgres, is not taken for the server."""
    with EmbeddedServer.acquire(home) as server:
        remember(server)
        stale = (home / "postgres" / "postmaster.pid").read_text().splitlines()
        kill_tree(server_pid(home))
    sleeper = subprocess.Popen(["sleep", "60"], env={})
    with psycopg.connect(postgres.dsn) as connection:
        other = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
        assert other is not None
    pid = sleeper.pid if stranger == "sleep" else int(other[0].split()[0])
    lock = home / "postgres" / ".s.PGSQL.5432.lock"
    try:
        for path in (home / "postgres" / "postmaster.pid", lock):
            path.write_text("\n".join([str(pid), *stale[1:]]) + "\n")
        assert not status(home).running
        with EmbeddedServer.acquire(home) as server:
            assert remembered(server)
        assert psutil.pid_exists(pid)
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_server_whose_pid_is_out_of_sight_is_known_by_its_socket(home: Path) -> None:
    """A pid from another container means nothing here; whoever answers at the socket is left in peace."""
    with EmbeddedServer.acquire(home):
        pid = server_pid(home)
        file = home / "postgres" / "postmaster.pid"
        true = file.read_text()
        file.write_text(true.replace(str(pid), "999999999", 1))
        with EmbeddedServer.acquire(home) as second:
            assert works(second)
            assert server_pid(home) == pid
        file.write_text(true)


@pytest.mark.parametrize("content", ["", "garbage\n", "0\n", "999999999\n/elsewhere\n"])
def test_a_broken_pid_file_is_no_server(home: Path, content: str) -> None:
    """A pid file cut short by a crash of the machine does not stop the next start."""
    EmbeddedServer.acquire(home).release()
    (home / "postgres" / "postmaster.pid").write_text(content)
    with EmbeddedServer.acquire(home) as server:
        assert works(server)


def test_a_starter_killed_at_any_moment_leaves_nothing_in_the_way(home: Path) -> None:
    """Kill -9 of the process that makes the database or starts the server: the next one succeeds."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for round_ in range(4):
        folder = home / str(round_)
        with PostgresUser(folder) as starter:
            until_sync(lambda: folder.exists(), "the starter's first trace")  # noqa: B023
            time.sleep(dice.uniform(0, 0.9))
            starter.kill()
        with EmbeddedServer.acquire(folder) as server:
            assert works(server)
        assert not status(folder).running
        until_sync(lambda: len(initdbs(folder)) == 0, "the orphaned initdb's end")  # noqa: B023


def test_a_server_that_was_just_launched_by_a_dead_starter_is_waited_for(home: Path) -> None:
    """Before it writes its pid file nothing else tells of it, and a second one would take its files away."""
    with EmbeddedServer.acquire(home) as server:
        remember(server)
    with PostgresUser(home, "--dies-launching") as starter:
        launched = psutil.Process(starter.answer()["pid"])
        starter.process.wait()
    try:
        assert not status(home).running
        later = threading.Timer(0.5, launched.resume)
        later.start()
        with EmbeddedServer.acquire(home) as server:
            assert server_pid(home) == launched.pid
            assert remembered(server)
        later.join()
        assert not alive(launched)
    finally:
        kill(launched)


def initdbs(folder: Path) -> list[psutil.Process]:
    found = psutil.process_iter(["cmdline"])
    return [p for p in found if any(str(folder) in part for part in p.info["cmdline"] or ())]


def test_a_server_that_cannot_start_says_why(home: Path) -> None:
    """The server's own reason and its log file are in the message, and the next try is not blocked."""
    EmbeddedServer.acquire(home).release()
    settings = home / "postgres" / "postgresql.auto.conf"
    settings.write_text("shared_buffers = 'nonsense'\n")
    with pytest.raises(
        StoreUnavailable, match=r"does not start: .*configuration file .*the whole log is .*postgres\.log"
    ):
        EmbeddedServer.acquire(home)
    assert status(home).users == ()
    settings.write_text("")
    with EmbeddedServer.acquire(home) as server:
        assert works(server)


def test_a_server_that_is_stopping_is_waited_for(home: Path) -> None:
    """Who comes while somebody else's shutdown still runs gets a new server."""
    with EmbeddedServer.acquire(home) as server, psycopg.connect(server.dsn) as connection:
        connection.execute("SELECT 1")
        pid = server_pid(home)
        os.kill(pid, signal.SIGTERM)  # "smart": waits for the connection to end
        until_sync(lambda: "stopping" in (home / "postgres" / "postmaster.pid").read_text(), "the shutdown")
        late = threading.Timer(0.5, connection.close)
        late.start()
        with EmbeddedServer.acquire(home) as again:
            assert server_pid(home) != pid
            assert works(again)
        late.join()
