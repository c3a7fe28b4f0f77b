"""The queues that `dispatch` compares: the product's and procrastinate's, each in a database of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from types import TracebackType
from typing import Any, LiteralString, Protocol, Self

import psycopg
from psycopg.conninfo import make_conninfo

from benchmarks.dispatching import JOB, Given, procrastinate_app
from benchmarks.places import python
from harness.store.database import Database, Json
from harness.store.lease import Holder
from harness.store.migrate import migrate
from harness.store.queries import queries
from harness.store.queue import Queue, tell
from tests.kit.processes import clean_env

_QUEUE = queries("queue")
_CLAIMING = ("tenant_in_turn", "claim")
_EXPLAIN: LiteralString = "explain (analyze, timing off, format json) "
_EMPTY = ("truncate session cascade", "delete from tenant")
_TENANTS = "insert into tenant (name) select 't' || n from generate_series(0, %(tenants)s - 1) as n"
_DUE = """
insert into session (id, tenant, flow, question, status, head, due_at)
select gen_random_uuid(), 't0', 'single', 'Why?', 'queued', 1, now() from generate_series(1, %(sessions)s)
"""
_MIXED = """
insert into session (id, tenant, flow, question, status, head, due_at, priority, holder, lease_until)
select gen_random_uuid(), 't' || (n / 10 %% %(tenants)s), 'single', 'Why?', 'queued', 1,
       case when n %% 10 = 1 then now() + interval '1 day' else now() - random() * interval '1 min' end,
       n / 10 %% 3,
       case when n %% 10 = 2 and n < 2000 then %(holder)s::json end,
       case when n %% 10 = 2 and n < 2000 then now() + interval '1 day' else '-infinity' end
  from generate_series(0, %(sessions)s - 1) as n
"""
_LATER = """
update session set due_at = now() + interval '1 day' where due_at is not null and lease_until <= now()
"""
_TENANT = "insert into tenant (name) values (%(tenant)s) on conflict do nothing"
_ONE = """
insert into session (id, tenant, flow, question, status, head, due_at)
values (gen_random_uuid(), %(tenant)s, 'single', 'Why?', 'queued', 1, clock_timestamp())
"""


class Waiting(Protocol):
    """A queue of either kind; `kind` is its name, and that of its workers."""

    kind: str
    dsn: str

    async def fill(self, sessions: int) -> None:
        """Empty it, and let so many of one tenant wait."""

    async def enqueue(self, tenant: str, *, notice: bool = True) -> None:
        """Add one; `notice` says whether workers may hear of it."""


class Ours:
    """The product's: rows of sessions, as their last statement in `harness submit` leaves them."""

    kind = "harness"

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.database: Database

    async def __aenter__(self) -> Self:
        await migrate(self.dsn)
        self.database = await Database.open(self.dsn, max_size=2)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.database.close()

    async def fill(self, sessions: int) -> None:
        await self._empty(1)
        await self.database.run(_DUE, {"sessions": sessions})

    async def fill_mixed(self, sessions: int, tenants: int) -> None:
        """Of ten one begins tomorrow, one is with a worker elsewhere, 200 at most, and eight are due."""
        await self._empty(tenants)
        elsewhere = Holder(host="elsewhere", boot_id="another", pid=1, process_started=1.0)
        holder = Json(elsewhere.model_dump())
        await self.database.run(_MIXED, {"sessions": sessions, "tenants": tenants, "holder": holder})
        await self.database.run("analyze")

    async def served(self) -> float:
        """Claim a session for no time at all, and give the seconds that the server took for it."""
        given: dict[str, object] = {**Queue(self.database, ["default"]).scope, "passed_over": []}
        async with self.database.transaction() as connection:
            turn = await connection.one(_QUEUE["tenant_in_turn"], given)
            assert turn is not None, "more are due than are claimed"
            given |= {"tenant": turn["name"], "holder": Json({}), "ttl": 0}
            plans = [await connection.one(_EXPLAIN + _QUEUE[name], given) for name in _CLAIMING]
        told = [plan["QUERY PLAN"][0] for plan in plans if plan is not None]
        return float(sum(each["Planning Time"] + each["Execution Time"] for each in told)) / 1000

    async def put_off(self) -> None:
        """Let all that wait begin tomorrow, those too that a second claim has made due a little later."""
        await self.database.run(_LATER)

    async def enqueue(self, tenant: str, *, notice: bool = True) -> None:
        async with self.database.transaction() as connection:
            await connection.run(_TENANT, {"tenant": tenant})
            await connection.run(_ONE, {"tenant": tenant})
        if notice:
            await tell(self.database)

    async def _empty(self, tenants: int) -> None:
        for statement in _EMPTY:
            await self.database.run(statement)
        await self.database.run(_TENANTS, {"tenants": tenants})


class Procrastinate:
    """The peer's: a job for each session, deferred one by one. Its workers hear of all, if they listen."""

    kind = "procrastinate"

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._app = procrastinate_app(dsn)

    async def __aenter__(self) -> Self:
        await self._app.open_async()
        await self._app.schema_manager.apply_schema_async()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._app.close_async()

    async def fill(self, sessions: int) -> None:
        await self._app.connector.execute_query_async("truncate procrastinate_jobs cascade")
        for _ in range(sessions):
            await self.enqueue("t0")

    async def enqueue(self, tenant: str, *, notice: bool = True) -> None:
        await self._app.tasks[JOB].defer_async(tenant=tenant)


def fresh(server_dsn: str, name: str) -> str:
    """Make a database and give its DSN."""
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
    return make_conninfo(server_dsn, dbname=name)


class Starts:
    """A worker process, as seen from outside: when it has started what."""

    def __init__(self, process: Popen[str]) -> None:
        self._process = process

    async def ready(self) -> None:
        """Wait until it can begin."""
        assert await self._line() == "ready\n", "the worker ended before it began; its error is on stderr"

    def begin(self) -> None:
        """Let it begin."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    async def next(self) -> tuple[str, float]:
        """Whose session it starts next, and when by the monotonic clock."""
        return _read(await self._line())

    async def rest(self) -> list[tuple[str, float]]:
        """What it starts until it ends by itself."""
        printed, _ = await asyncio.to_thread(self._process.communicate)
        return [_read(line) for line in printed.splitlines()]

    async def _line(self) -> str:
        assert self._process.stdout is not None
        return await asyncio.to_thread(self._process.stdout.readline)


@contextmanager
def worker(home: Path, queue: Waiting, **given: Any) -> Iterator[Starts]:
    """A worker of a queue in a process of its own; `given` as in `Given`."""
    told = Given(kind=queue.kind, dsn=queue.dsn, **given)
    environment = clean_env(home / "user", "http://127.0.0.1:9")
    with python("-m", "benchmarks.dispatching", told.model_dump_json(), env=environment) as process:
        yield Starts(process)


def _read(line: str) -> tuple[str, float]:
    tenant, at = line.split()
    return tenant, float(at)
