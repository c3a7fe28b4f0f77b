"""What row-level security costs: appending to a journal and reading it, for the owner and for a plain role.

The peer is the owner in a database of the same server whose policies are switched off; they work in turn.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import psycopg
from psycopg.conninfo import make_conninfo

from benchmarks.journal_append import append
from benchmarks.places import session_in
from benchmarks.rows import Row, spread
from harness.store.database import Database
from harness.store.embedded import EmbeddedServer
from harness.store.journal import Journal, read_events
from harness.store.migrate import migrate
from harness.store.tenant_roles import grant
from tests.kit.homes import new_home

BLOCK = 25

_ROLE = "bench_tenant"
_WRITERS = ("the owner, policies off", "the owner", "a plain role")

_SWITCH_OFF = """
do $$ declare name text; begin
    for name in select relname from pg_class where relrowsecurity loop
        execute format('alter table %I disable row level security', name);
    end loop;
end $$
"""


def measure(short: bool) -> list[Row]:
    with new_home() as home, EmbeddedServer.acquire(home) as server:
        return asyncio.run(_measure(server.dsn, 8 if short else 40))


async def _measure(dsn: str, rounds: int) -> list[Row]:
    bare, bound = make_conninfo(dsn, dbname="bare"), make_conninfo(dsn, dbname="bound")
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        for statement in ("create database bare", "create database bound", f"create role {_ROLE} login"):
            await connection.execute(statement.encode())
    for each in (bare, bound):
        await migrate(each)
    async with await psycopg.AsyncConnection.connect(bare) as connection:
        await connection.execute(_SWITCH_OFF)
    async with await Database.open(bound) as database:
        await grant(database, "default", _ROLE)
    rows: list[Row] = []
    places = dict(zip(_WRITERS, (bare, bound, make_conninfo(bound, user=_ROLE)), strict=True))
    for prepared in (3, None):
        taken: dict[str, list[float]] = {writer: [] for writer in places}
        read: dict[str, list[float]] = {writer: [] for writer in places}
        async with AsyncExitStack() as stack:
            made = {
                writer: await stack.enter_async_context(_session(place, prepared))
                for writer, place in places.items()
            }
            for number in range(rounds + 1):
                for writer, (journal, run_id) in made.items():
                    once = await append(journal, run_id, BLOCK)
                    taken[writer] += once if number else []
            for _ in range(rounds):
                for writer, (journal, _) in made.items():
                    began = time.perf_counter()
                    await read_events(journal.database, journal.session_id)
                    read[writer].append(time.perf_counter() - began)
        note = "statements prepared" if prepared else "statements not prepared, as with --dsn"
        rows += _rows("append", taken, note)
        rows += _rows(f"read {(rounds + 1) * BLOCK} events", read, note)
    return rows


@asynccontextmanager
async def _session(dsn: str, prepared: int | None) -> AsyncIterator[tuple[Journal, str]]:
    async with (
        await Database.open(dsn, prepare_threshold=prepared) as database,
        session_in(database, 1) as (journal, (run_id,)),
    ):
        yield journal, run_id


def _rows(what: str, taken: dict[str, list[float]], note: str) -> list[Row]:
    peer = spread(taken[_WRITERS[0]])[1]
    return [
        Row.of("isolation", f"{what}: {writer}", each, "ms", ratio=spread(each)[1] / peer, note=note)
        for writer, each in taken.items()
    ]
