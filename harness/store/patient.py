"""The database as a session at work uses it: what it asks waits for a store that is away."""

from __future__ import annotations

from typing import Any, LiteralString

from harness.store.database import Database, Params
from harness.store.lease import Lease


class PatientDatabase(Database):
    """The same database, whose statements are tried again while the store is away and the lease lasts.

    One that must not have its effect twice belongs into a `transaction`, which is tried once. All but that
    raise LeaseLost when the lease is gone or ends first.
    """

    def __init__(self, database: Database, lease: Lease) -> None:
        super().__init__(database.dsn, database._pool)
        self._database = database
        self._lease = lease

    @property
    def impatient(self) -> Database:
        """The same database for what is not the session's work: it waits for nothing and needs no lease."""
        return self._database

    async def one(self, sql: LiteralString, params: Params | None = None) -> dict[str, Any] | None:
        """Give the first row, or None when there is none."""
        return await self._lease.waiting(lambda: self._database.one(sql, params))

    async def all(self, sql: LiteralString, params: Params | None = None) -> list[dict[str, Any]]:
        """Give every row."""
        return await self._lease.waiting(lambda: self._database.all(sql, params))

    async def run(self, sql: LiteralString, params: Params | None = None) -> int:
        """Execute a statement and give how many rows it touched (-1 when that has no meaning)."""
        return await self._lease.waiting(lambda: self._database.run(sql, params))
