"""Sessions in a real store without an engine, and stores that fail as they are told to."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, LiteralString

from harness.errors import StoreUnavailable
from harness.plan import plan
from harness.records import Limits
from harness.state import RunState, SessionState
from harness.store.database import Database, Json
from harness.store.journal import Journal
from harness.store.lease import Holder, Lease
from harness.store.queries import queries
from tests.kit.journals import RESEARCH, created, run_created, started

_SQL = queries("journal")
TTL_S = 60.0


async def new_session(
    database: Database, *, ttl_s: float = TTL_S, holder: Holder | None = None, id: str | None = None
) -> str:
    """Create a session's row, leased with token 1 by `holder`, or by this process, and give its id."""
    id = id or str(uuid.uuid4())
    values = {
        "id": id,
        "tenant": "t",
        "flow": "test",
        "question": "Why?",
        "holder": Json((holder or Holder.here()).model_dump()),
        "ttl": ttl_s,
    }
    assert await database.run(_SQL["create_session"], values) == 1
    return id


def lease_on(
    database: Database, session_id: str, *, token: int = 1, ttl_s: float = TTL_S, asked: float | None = None
) -> Lease:
    """The right to write a session, as the holder of this token has it who asked for it then, or now."""
    return Lease(database, session_id, token, ttl_s, asked)


def journal_on(database: Database, lease: Lease) -> Journal:
    """An empty journal."""
    return Journal(database, lease, SessionState(lease.session_id))


async def new_journal(database: Database, *, ttl_s: float = TTL_S) -> Journal:
    """The journal of a new session."""
    session_id = await new_session(database, ttl_s=ttl_s)
    return journal_on(database, lease_on(database, session_id, ttl_s=ttl_s))


async def run_at_work(
    journal: Journal, limits: Limits | None = None, budget: float | None = None, **given: Any
) -> RunState:
    """Bring a session's root into the journal and start it; `given` are fields of the session's creation."""
    await journal.append(created(limits=Limits(max_cost_usd=budget), **given))
    (spec,) = plan(RESEARCH, journal.state).create
    await journal.append(run_created(spec, limits), run_id=spec.id)
    run = journal.state.runs[spec.id]
    await journal.append(started(run), run_id=run.id)
    return run


async def events_of(database: Database, session_id: str) -> list[tuple[int, str]]:
    """The number and kind of each stored event."""
    rows = await database.all(_SQL["events"], {"session_id": session_id, "after": 0})
    return [(row["seq"], row["kind"]) for row in rows]


async def take_over(database: Database, session_id: str) -> int:
    """Give the lease to somebody else, at once, and tell the new token."""
    await database.run("UPDATE session SET token = token + 1 WHERE id = %(id)s", {"id": session_id})
    row = await database.one(_SQL["session"], {"id": session_id})
    assert row is not None
    return int(row["token"])


Fault = Callable[[str], Any]
"""Told the statement's text before it is sent and asked whether it fails: "before", "after" or falsy."""


class FaultyDatabase(Database):
    """The same database, where single statements fail: before they are sent, or after they have committed."""

    def __init__(self, database: Database, fault: Fault) -> None:
        super().__init__(database.dsn, database._pool)
        self.fault = fault
        self.asked = 0

    async def one(
        self, sql: LiteralString, params: Mapping[str, object] | None = None
    ) -> dict[str, Any] | None:
        """Fail as told, else give the first row."""
        self.asked += 1
        when = self.fault(sql)
        if when == "deaf":
            # As a connection that is cut off: to cancel what waits for it takes long.
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        if when in ("hang", "deaf"):
            await asyncio.Event().wait()
        if when == "before":
            raise StoreUnavailable("The store is away.")
        row = await super().one(sql, params)
        if when == "after":
            raise StoreUnavailable("The store went away before it answered.")
        return row


def first(count: int, when: str, statement: str = "") -> Fault:
    """Let the first `count` statements that hold this text fail."""
    left = [count]

    def fault(sql: str) -> str:
        if statement not in sql or not left[0]:
            return ""
        left[0] -= 1
        return when

    return fault


@asynccontextmanager
async def held_row(database: Database, session_id: str) -> AsyncIterator[None]:
    """Keep a session's row locked meanwhile, as a store that hangs would."""
    async with database.transaction() as connection:
        await connection.one("SELECT FROM session WHERE id = %(id)s FOR UPDATE", {"id": session_id})
        yield


def as_json(value: Any) -> str:
    """JSON that UTF-8 can always carry."""
    return json.dumps(value, ensure_ascii=True)
