"""How a session comes to be."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import LiteralString

from harness.beginning import begin
from harness.events import SessionCreated
from harness.redaction import Redactor
from harness.settings import Settings
from harness.store.database import Database
from tests.kit.journals import created

LATE_S = 0.5


class LateDatabase(Database):
    """The same database, which says that a session's row is there half a second after it was committed."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.dsn, database._pool)

    async def run(self, sql: LiteralString, params: Mapping[str, object] | None = None) -> int:
        done = await super().run(sql, params)
        if "holder" in (params or {}):
            await asyncio.sleep(LATE_S)
        return done


async def test_its_lease_counts_from_when_it_was_asked_for(database: Database) -> None:
    """As the row does, so that it never lasts longer here than there, however late the answer was."""

    async def event() -> SessionCreated:
        return created()

    left_s = []
    for store in (database, LateDatabase(database)):
        session_id = str(uuid.uuid4())
        journal = await begin(store, Settings(), Redactor(), session_id, "single", "Why?", event)
        left_s.append(journal.lease.left_s)
        await journal.lease.release()
    assert left_s[1] <= left_s[0] - LATE_S * 0.9
