"""A pool of connections to one Postgres, and the one place where the driver's errors become the harness's.

Every statement outside `transaction` commits by itself, in one round trip.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, LiteralString, Self

import psycopg
from psycopg import errors as pg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Json
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from harness.errors import RoleRefused, StoreError, StoreUnavailable
from harness.store.queries import queries

__all__ = ["Connection", "Database", "Json", "conninfo", "place", "translated"]

_SQL = queries("connection")

_NEVER_SILENT = {
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 2,
}
"""After some ten seconds a connection to a machine that cannot be reached any more counts as broken; by
default that takes a quarter of an hour, or two hours when nothing is sent. In milliseconds and seconds."""

IDLE_S = 60
"""How long a transaction may stand still before the server ends it and lets go of what it has locked.

The server learns of a machine that vanished or froze from its own keepalive only, by default after two hours;
until then the session's row stays locked, and so does its tenant's account. In whole seconds."""

AT_LEISURE_S = 600
"""The same for a transaction in which Python has much to do, or a slow file to write, between statements."""

CONNECT_TIMEOUT_S = 5
"""How long a connection may take to open, and how long a statement waits for a free one, in seconds."""

Params = Mapping[str, object]

_ENDED = (
    pg.AdminShutdown,
    pg.CrashShutdown,
    pg.IdleSessionTimeout,
    pg.IdleInTransactionSessionTimeout,
)


class Connection:
    """One connection. A `json` parameter is passed as `Json(value)`; a `json` column comes back parsed."""

    def __init__(self, raw: psycopg.AsyncConnection[DictRow], where: str) -> None:
        self._raw = raw
        self._where = where

    async def one(self, sql: LiteralString, params: Params | None = None) -> dict[str, Any] | None:
        """Give the first row, or None when there is none."""
        with self._statement():
            return await (await self._raw.execute(sql, params)).fetchone()

    async def all(self, sql: LiteralString, params: Params | None = None) -> list[dict[str, Any]]:
        """Give every row."""
        with self._statement():
            return await (await self._raw.execute(sql, params)).fetchall()

    async def each(self, sql: LiteralString, params: Params | None = None) -> AsyncGenerator[dict[str, Any]]:
        """Give the rows one by one as they arrive; nothing else may be asked before it is closed."""
        with self._statement():
            async with self._raw.cursor() as cursor:
                async for row in cursor.stream(sql, params):
                    yield row

    async def run(self, sql: LiteralString, params: Params | None = None) -> int:
        """Execute a statement and give how many rows it touched (-1 when that has no meaning)."""
        with self._statement():
            return (await self._raw.execute(sql, params)).rowcount

    async def run_many(self, sql: LiteralString, rows: Sequence[Params]) -> int:
        """Execute a statement once for each row of parameters, in one batch, and give the rows touched."""
        with self._statement():
            async with self._raw.cursor() as cursor:
                await cursor.executemany(sql, rows)
                return max(cursor.rowcount, 0)

    async def at_leisure(self) -> None:
        """Let this transaction stand still for `AT_LEISURE_S` between two statements, not for `IDLE_S`."""
        await self.one(_SQL["limit_idle"], _idle(AT_LEISURE_S, local=True))

    @contextmanager
    def _statement(self) -> Iterator[None]:
        try:
            with translated(self._where):
                yield
        except UnicodeEncodeError as error:
            # Raised before anything is sent: Postgres' text is UTF-8, which has no lone surrogates.
            raise StoreError(
                "A text holds half of a surrogate pair, which Postgres cannot store; "
                "replace it, or pass the value as Json."
            ) from error


class Database:
    """A pool of connections to one database. Open it with `Database.open`; it is its own context manager.

    All methods raise StoreUnavailable when no server answers any more, else StoreError.
    """

    def __init__(self, dsn: str, pool: AsyncConnectionPool[psycopg.AsyncConnection[DictRow]]) -> None:
        self.dsn = dsn
        self._pool = pool
        self._where = place(dsn)

    @classmethod
    async def open(cls, dsn: str, *, max_size: int = 8, prepare_threshold: int | None = None) -> Self:
        """Connect to the database named by `dsn` (a libpq URL or key=value string).

        `max_size` is the most connections held at once. `prepare_threshold` is how often a statement runs
        before psycopg prepares it on the server; None, never, is the only value that works behind a
        transaction pooler such as pgbouncer. Raises StoreUnavailable, in `CONNECT_TIMEOUT_S` for each host.
        """
        where = place(dsn)
        settings = conninfo(dsn)
        # A pool retries in the background and reports only that time ran out; one plain attempt says why.
        try:
            probe = await psycopg.AsyncConnection.connect(settings)
        except psycopg.Error as error:
            raise StoreUnavailable(
                f"Postgres at {where} cannot be used: {_reason(error)}; start it or correct the DSN "
                "(--dsn or HARNESS_DSN), or leave the DSN out to use the embedded server."
            ) from error
        await probe.close()
        pool = AsyncConnectionPool[psycopg.AsyncConnection[DictRow]](
            settings,
            min_size=1,
            max_size=max_size,
            timeout=CONNECT_TIMEOUT_S,
            # Short, so that a server that comes back is found by the next statement, not by a long back-off.
            reconnect_timeout=CONNECT_TIMEOUT_S,
            kwargs={"autocommit": True, "row_factory": dict_row, "prepare_threshold": prepare_threshold},
            # A statement, because pgbouncer refuses connections that ask for such a setting as they open.
            configure=_limit_idle,
            open=False,
        )
        try:
            with translated(where):
                await pool.open(wait=True, timeout=CONNECT_TIMEOUT_S)
        except StoreUnavailable:
            await pool.close()
            raise
        return cls(dsn, pool)

    async def close(self) -> None:
        """Close every connection. Calling it again does nothing."""
        await self._pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def one(self, sql: LiteralString, params: Params | None = None) -> dict[str, Any] | None:
        """Give the first row, or None when there is none."""
        async with self._borrowed() as raw:
            return await Connection(raw, self._where).one(sql, params)

    async def all(self, sql: LiteralString, params: Params | None = None) -> list[dict[str, Any]]:
        """Give every row."""
        async with self._borrowed() as raw:
            return await Connection(raw, self._where).all(sql, params)

    async def run(self, sql: LiteralString, params: Params | None = None) -> int:
        """Execute a statement and give how many rows it touched (-1 when that has no meaning)."""
        async with self._borrowed() as raw:
            return await Connection(raw, self._where).run(sql, params)

    async def run_many(self, sql: LiteralString, rows: Sequence[Params]) -> int:
        """Execute a statement for each row of parameters, all or none of them, and give the rows touched."""
        async with self.transaction() as connection:
            return await connection.run_many(sql, rows)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Give one connection in one transaction: committed at the end, rolled back when the body raises."""
        async with self._borrowed() as raw:
            with translated(self._where):
                async with raw.transaction():
                    yield Connection(raw, self._where)

    @asynccontextmanager
    async def _borrowed(self) -> AsyncIterator[psycopg.AsyncConnection[DictRow]]:
        with translated(self._where):
            raw = await self._pool.getconn()
        try:
            yield raw
        finally:
            lost = raw.closed
            await self._pool.putconn(raw)
            if lost:
                # One lost connection mostly means a restarted server: without this each of the other idle
                # ones would fail a statement of its own.
                await self._pool.drain()


async def _limit_idle(raw: psycopg.AsyncConnection[DictRow]) -> None:
    await raw.execute(_SQL["limit_idle"], _idle(IDLE_S, local=False))


def _idle(seconds: int, *, local: bool) -> Params:
    return {"limit": f"{seconds}s", "local": local, "usual": f"{IDLE_S}s"}


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn the driver's errors into StoreUnavailable or StoreError, chained; `where` names the server."""
    try:
        yield
    except PoolTimeout as error:
        raise StoreUnavailable(
            f"No connection to Postgres at {where} became free within {CONNECT_TIMEOUT_S} s; "
            "check that the server runs and is not overloaded, then try again."
        ) from error
    except pg.ReadOnlySqlTransaction as error:
        raise StoreUnavailable(
            f"Postgres at {where} is read-only, perhaps a standby after a failover; "
            "point the DSN at the primary server and try again."
        ) from error
    except pg.DiskFull as error:
        raise StoreUnavailable(
            f"The disk of Postgres at {where} is full; free some space and try again."
        ) from error
    except pg.TooManyConnections as error:
        raise StoreUnavailable(
            f"Postgres at {where} has no connection left; raise its max_connections or run fewer workers."
        ) from error
    except pg.InsufficientPrivilege as error:
        raise RoleRefused(
            f"Postgres at {where} does not let the role of the DSN do this ({_reason(error)}); a role works "
            "for the tenant it was granted (harness tenants grant) and names it with --tenant."
        ) from error
    except _ENDED as error:
        raise StoreUnavailable(
            f"Postgres at {where} ended the connection, as it does when it stops or restarts; try again."
        ) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if error.sqlstate:
            raise StoreUnavailable(
                f"Postgres at {where} could not serve a statement now: {_reason(error)}; try again."
            ) from error
        raise StoreUnavailable(
            f"Postgres at {where} stopped answering: {_reason(error)}; check that it runs and try again."
        ) from error
    except psycopg.Error as error:
        code = f" (SQLSTATE {error.sqlstate})" if error.sqlstate else ""
        raise StoreError(f"Postgres at {where} refused a statement{code}: {_reason(error)}.") from error


def place(dsn: str) -> str:
    """Name the server and database of a DSN without its user and password, for messages.

    Raises StoreUnavailable when it is not a DSN at all.
    """
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        parts = None
    if parts is None:
        # Not chained to the driver's error: that repeats the DSN, which may hold a password.
        raise StoreUnavailable(
            "The DSN is not one Postgres understands; write it as postgresql://user@host:5432/database "
            "in --dsn or HARNESS_DSN."
        )
    host = parts.get("host") or parts.get("hostaddr") or "the default socket"
    port = parts.get("port") or "5432"
    return f"{host}:{port}/{parts.get('dbname') or ''}".rstrip("/")


def conninfo(dsn: str) -> str:
    """Give a DSN with the harness's own settings, as far as it says nothing else."""
    ours: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "application_name": "harness",
        "client_encoding": "UTF8",
        **_NEVER_SILENT,
    }
    return make_conninfo(
        dsn, **{name: value for name, value in ours.items() if name not in conninfo_to_dict(dsn)}
    )


def _reason(error: psycopg.Error) -> str:
    """Give the one line of a driver error that says what happened, without the statement or its values."""
    text = error.diag.message_primary or str(error) or type(error).__name__
    return re.sub(r"^.*(?:FATAL|failed|is bad):\s+", "", text.strip().splitlines()[0]).rstrip(".")
