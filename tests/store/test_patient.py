"""The database of a session at work: it waits for a store that is away, as long as the lease lasts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, LiteralString

import pytest

from harness.errors import LeaseLost, StoreError, StoreUnavailable
from harness.store import lease as module
from harness.store.database import Database
from harness.store.lease import Lease
from harness.store.patient import PatientDatabase
from tests.kit.sessions import FaultyDatabase, first, lease_on, new_session, take_over

AWAY = "Postgres at somewhere stopped answering; check that it runs and try again."
METHODS = pytest.mark.parametrize("method", ["one", "all", "run"])


class Away(Database):
    """The same database, away for the next `times` statements, each of which it hears of."""

    def __init__(self, database: Database, times: int) -> None:
        super().__init__(database.dsn, database._pool)
        self.times = times
        self.asked = 0

    def _ask(self) -> None:
        self.asked += 1
        if self.asked <= self.times:
            raise StoreUnavailable(AWAY)

    async def one(self, sql: LiteralString, params: Mapping[str, object] | None = None) -> Any:
        self._ask()
        return await super().one(sql, params)

    async def all(self, sql: LiteralString, params: Mapping[str, object] | None = None) -> Any:
        self._ask()
        return await super().all(sql, params)

    async def run(self, sql: LiteralString, params: Mapping[str, object] | None = None) -> Any:
        self._ask()
        return await super().run(sql, params)


def patient(away: Database, ttl_s: float = 60.0) -> tuple[PatientDatabase, Lease]:
    lease = lease_on(away, "5a7a9dc0-6a0e-4b59-9a39-3c2f2d1b6d10", ttl_s=ttl_s)
    return PatientDatabase(away, lease), lease


@METHODS
async def test_a_statement_waits_for_the_store(database: Database, method: str) -> None:
    """It is tried again until the store is back, and gives what it gives."""
    away = Away(database, 3)
    asked, _ = patient(away)
    answer = await getattr(asked, method)("SELECT %(n)s::int AS n", {"n": 7})
    assert answer == {"one": {"n": 7}, "all": [{"n": 7}], "run": 1}[method]
    assert away.asked == 4


@METHODS
async def test_a_store_that_does_not_come_back_ends_with_the_lease(database: Database, method: str) -> None:
    """The sentence says why, and how to go on."""
    asked, lease = patient(Away(database, 10**6), ttl_s=0.4)
    with pytest.raises(LeaseLost) as lost:
        await getattr(asked, method)("SELECT 1")
    assert str(lost.value) == (
        "The lease of 0.4 s ended before it could be renewed: Postgres at somewhere stopped answering; check "
        f"that it runs and try again; then go on with: harness resume {lease.session_id}"
    )


@pytest.mark.parametrize("when", ["hang", "deaf"])
async def test_a_store_that_does_not_answer_ends_with_the_lease(database: Database, when: str) -> None:
    """Nor is a statement waited for that hangs, or the end of one that cannot be cancelled."""
    asked, _ = patient(FaultyDatabase(database, lambda sql: when), ttl_s=0.4)
    with pytest.raises(LeaseLost, match="Postgres does not answer; check that it runs"):
        await asked.one("SELECT 1")


async def test_without_a_lease_nothing_is_asked(database: Database) -> None:
    """Whoever was pushed aside reads nothing more, and is told so."""
    away = Away(database, 0)
    asked, lease = patient(away)
    lease.lose()
    with pytest.raises(LeaseLost, match="Another process has taken over session"):
        await asked.all("SELECT 1")
    assert away.asked == 0


async def test_a_refused_statement_is_not_repeated(database: Database) -> None:
    """Only an absence is waited for."""
    away = Away(database, 0)
    asked, _ = patient(away)
    with pytest.raises(StoreError, match="refused a statement"):
        await asked.one("SELECT * FROM nowhere")
    assert away.asked == 1


async def test_a_transaction_is_tried_once(database: Database) -> None:
    """What must not have its effect twice is left to the caller."""
    asked, _ = patient(database)
    tries = 0

    async def fail() -> None:
        nonlocal tries
        async with asked.transaction() as connection:
            tries += 1
            await connection.run("SELECT 1")
            raise StoreUnavailable(AWAY)

    with pytest.raises(StoreUnavailable):
        await fail()
    assert tries == 1


async def test_an_absence_is_told_once(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with every try; and again when all has been well for a while."""
    away = FaultyDatabase(database, first(3, "before"))
    asked, _ = patient(away)
    with caplog.at_level(logging.WARNING, "harness"):
        await asked.one("SELECT 1")
        away.fault = first(1, "before")
        await asked.one("SELECT 1")
        told = ["The session waits for its store. The store is away."]
        assert [record.message for record in caplog.records] == told
        monkeypatch.setattr(module, "_CALM_S", 0.0)
        away.fault = first(1, "before")
        await asked.one("SELECT 1")
        assert [record.message for record in caplog.records] == told * 2


async def test_the_last_word_of_a_store_is_kept(database: Database) -> None:
    """A silence that follows does not hide what was the matter."""
    answers = iter(["before"])
    asked, _ = patient(FaultyDatabase(database, lambda sql: next(answers, "hang")), ttl_s=0.5)
    with pytest.raises(LeaseLost, match="renewed: The store is away; then go on"):
        await asked.one("SELECT 1")


async def test_waiting_ends_when_the_session_is_taken_over(database: Database) -> None:
    """The renewal learns it while a statement waits."""
    session_id = await new_session(database, ttl_s=0.9)
    away = FaultyDatabase(database, lambda sql: "before" if "SELECT 1" in sql else "")
    lease = lease_on(away, session_id, ttl_s=0.9)
    lease.start()
    waiting = asyncio.create_task(PatientDatabase(away, lease).one("SELECT 1"))
    await take_over(database, session_id)
    with pytest.raises(LeaseLost, match="Another process has taken over session"):
        await waiting
    await lease.release()
