"""A Postgres of the test's own that the harness knows by its DSN only, and the ways in which it can fail."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal, LiteralString, get_args

import psutil
import psycopg

from harness.store.account import account_for
from harness.store.embedded import EmbeddedServer, status
from tests.kit.processes import alive, tree, until_sync

Outage = Literal["stopped", "frozen", "read-only", "disk full"]
OUTAGES: tuple[Outage, ...] = get_args(Outage)

WRITTEN = ("session", "event", "transcript", "kept_response", "result")
"""The tables a session at work writes to."""

_NO_ROOM = """
create or replace function no_room() returns trigger language plpgsql as $$
begin
    raise 'could not extend file "base/5/16385": No space left on device' using errcode = '53100';
end $$
"""

_END_ALL: LiteralString = """
select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'harness'
"""

_PGBOUNCER = """
[databases]
postgres = host={folder} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
"""
"""Fewer server connections than a session has of its own, so that they change hands."""


class OwnPostgres:
    """The server of `home`, which is kept up by nobody: who stops it has to start it again."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._server = EmbeddedServer.acquire(home)
        self.dsn = self._server.dsn

    def failing(self, how: Outage) -> AbstractContextManager[None]:
        """Fail in this way meanwhile."""
        ways = {
            "stopped": self.stopped,
            "frozen": self.frozen,
            "read-only": self.read_only,
            "disk full": self.disk_full,
        }
        return ways[how]()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Be away: every connection breaks at once, and further ones are refused."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Answer nothing and refuse nothing, as a machine that has become unreachable."""
        server = self._process()
        processes = [server, *tree(server.pid)]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Refuse every write, as a standby does."""
        self._run("alter system set default_transaction_read_only = on", "select pg_reload_conf()")
        try:
            yield
        finally:
            self._run("alter system reset default_transaction_read_only", "select pg_reload_conf()")

    @contextmanager
    def disk_full(self) -> Iterator[None]:
        """Raise at every write what Postgres raises when its disk is full."""
        add = "create trigger no_room before insert or update on {} execute function no_room()"
        self._run(_NO_ROOM, *(add.format(table) for table in WRITTEN))
        try:
            yield
        finally:
            self._run(*(f"drop trigger no_room on {table}" for table in WRITTEN))

    def stop(self) -> None:
        """Stop it as `pg_ctl stop -m immediate` does."""
        server = self._process()
        server.send_signal(signal.SIGQUIT)
        until_sync(lambda: not alive(server), "the server's end")

    def start(self) -> None:
        """Start it again, on the same data and at the same address."""
        self._server.ensure_running()

    def terminate(self) -> int:
        """End every connection of a harness and tell how many there were."""
        with self._admin() as connection:
            row = connection.execute(_END_ALL).fetchone()
            assert row is not None
            return int(row[0])

    @contextmanager
    def behind_pgbouncer(self) -> Iterator[str]:
        """Put pgbouncer before it, in transaction mode, and give the DSN of that."""
        program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
        assert program, "There is no pgbouncer on this machine; install it: apt-get install pgbouncer"
        now = status(self._home)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        file = self._home.parent / "pgbouncer.ini"
        file.write_text(_PGBOUNCER.format(folder=now.socket_dir, port=port))
        # It refuses to run as root, and has to reach the server's private socket.
        process = subprocess.Popen([program, "-q", file], cwd="/", env={}, **account_for(now.data_dir).switch)
        try:
            until_sync(lambda: process.poll() is None and _answers(port), "pgbouncer to listen")
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            process.kill()
            process.wait()

    def close(self) -> None:
        """Stop it for good."""
        self._server.release()

    def _process(self) -> psutil.Process:
        pid = status(self._home).pid
        assert pid is not None, "it is stopped already"
        return psutil.Process(pid)

    def _run(self, *statements: str) -> None:
        with self._admin() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def _admin(self) -> psycopg.Connection:
        return psycopg.connect(self.dsn, autocommit=True, options="-c default_transaction_read_only=off")


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
