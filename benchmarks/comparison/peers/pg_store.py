"""A session store of the SDK in Postgres: one row for each entry, kept in the order in which they came."""

from __future__ import annotations

import json
from typing import Any

from claude_agent_sdk.types import SessionKey, SessionListSubkeysKey, SessionStore, SessionStoreEntry
from psycopg import AsyncConnection

_TABLE = """
create table if not exists entry (
    n bigint generated always as identity,
    owner text not null, session_id text not null, subpath text not null, entry json not null,
    primary key (owner, session_id, subpath, n)
)
"""

_APPEND = """
insert into entry (owner, session_id, subpath, entry)
select %s, %s, %s, said::json from unnest(%s::text[]) with ordinality as one (said, place) order by place
"""


class PgStore(SessionStore):
    """The sessions of one owner, on one connection; the SDK appends in turn."""

    def __init__(self, connection: AsyncConnection[Any], owner: str) -> None:
        self._connection = connection
        self._owner = owner

    @classmethod
    async def open(cls, dsn: str, owner: str) -> PgStore:
        """Connect, and make the table when there is none."""
        connection = await AsyncConnection.connect(dsn, autocommit=True)
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(1)")
            await connection.execute(_TABLE)
        return cls(connection, owner)

    async def close(self) -> None:
        """Hang up."""
        await self._connection.close()

    async def newest(self) -> str | None:
        """The session that was begun last, if any has an entry."""
        asked = "select session_id from entry where owner = %s and subpath = '' order by n desc limit 1"
        rows = await self._rows(asked, (self._owner,))
        return rows[0][0] if rows else None

    async def append(self, key: SessionKey, entries: list[SessionStoreEntry]) -> None:
        """Keep entries; all of them or none."""
        to = (self._owner, key["session_id"], key.get("subpath", ""))
        await self._connection.execute(_APPEND, (*to, [json.dumps(entry) for entry in entries]))

    async def load(self, key: SessionKey) -> list[SessionStoreEntry] | None:
        """Give a transcript back."""
        of = (self._owner, key["session_id"], key.get("subpath", ""))
        asked = "select entry from entry where owner = %s and session_id = %s and subpath = %s order by n"
        rows = await self._rows(asked, of)
        return [row[0] for row in rows] or None

    async def list_subkeys(self, key: SessionListSubkeysKey) -> list[str]:
        """Name the transcripts of a session's subagents."""
        asked = "select distinct subpath from entry where owner = %s and session_id = %s and subpath <> ''"
        return [row[0] for row in await self._rows(asked, (self._owner, key["session_id"]))]

    async def _rows(self, asked: str, given: tuple[str, ...]) -> list[tuple[Any, ...]]:
        return await (await self._connection.execute(asked.encode(), given)).fetchall()
