"""The SDK's transcripts, mirrored into Postgres and fenced like the journal.

The mirror has no holes: while the store is away an append waits and tries again as long as the lease lasts.
What goes on after that would be a transcript with a hole, so the run is stopped instead.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from claude_agent_sdk import (
    SessionKey,
    SessionListSubkeysKey,
    SessionStore,
    SessionStoreEntry,
    SessionStoreListEntry,
    SessionSummaryEntry,
)

from harness.crashpoints import reached
from harness.errors import LeaseLost, StoreUnavailable
from harness.redaction import REDACTED, Redactor
from harness.store.database import Connection, Database
from harness.store.lease import Lease
from harness.store.queries import queries
from harness.thinking import redacted
from harness.transcript import REDACTION, as_it_was

_SQL = queries("transcripts")

Entry = dict[str, Any]

_APPEND_LIMIT_S = 50.0
"""The SDK gives an append 60 s and drops it silently afterwards; we give up, loudly, before it does."""


class TranscriptStore(SessionStore):
    """A `SessionStore` over Postgres.

    With a `lease` every append proves its token, and `on_stored` is told what has been stored. With a `scope`
    all keys live under it, whatever folder the CLI ran in; without one the SDK's project key is the scope.
    What is stored has gone through `redactor`: a resumed CLI reads its own past without the secrets, and
    without the thinking that stood behind them.
    """

    def __init__(
        self,
        database: Database,
        *,
        scope: str | None = None,
        lease: Lease | None = None,
        on_stored: Callable[[Sequence[Entry]], Awaitable[None]] | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        self._database = database
        self._on_stored = on_stored
        self._scope = scope
        self._lease = lease
        self._redactor = redactor or Redactor()
        self._view: dict[str, list[Entry]] = {}
        self.broken: str | None = None

    def show_instead(self, claude_session_id: str, entries: list[Entry]) -> None:
        """Serve this view of one transcript from `load`; the stored rows stay as they are."""
        self._view[claude_session_id] = entries

    async def append(self, key: SessionKey, entries: list[SessionStoreEntry]) -> None:
        """Store a batch of entries in call order; an entry whose uuid is there already is left out.

        Raises:
            LeaseLost: the lease is gone; nothing was written.
            TimeoutError: the store did not answer in time.
            StoreUnavailable: an earlier batch could not be stored; what follows it would leave a hole.
        """
        if not entries:
            return
        if self.broken is not None:
            raise StoreUnavailable(
                f"An earlier part of this transcript could not be stored ({self.broken}); "
                "resume the session to go on from where it ends."
            )
        rows = [self._stored(cast(Entry, entry)) for entry in entries]
        params: dict[str, object] = {
            **self._key(key),
            # An entry without an id gets one for this call, so that trying again stores it only once.
            "uuids": [row.get("uuid") or str(uuid.uuid4()) for row in rows],
            "parents": [row.get("parentUuid") for row in rows],
            "types": [row.get("type") for row in rows],
            "entries": [json.dumps(row) for row in rows],
        }
        if self._lease is None:
            await self._database.run(_SQL["append_unfenced"], params)
            return
        reached("before transcript")
        params |= {"session_id": self._lease.session_id, "token": self._lease.token}
        try:
            async with asyncio.timeout(_APPEND_LIMIT_S):
                await self._append_fenced(self._lease, params)
        except LeaseLost as problem:
            self.broken = str(problem)
            raise
        except TimeoutError:
            self.broken = self._lease.given_up(f"A transcript was not stored in {_APPEND_LIMIT_S:.0f} s")
            raise
        reached("after transcript")
        if self._on_stored is not None:
            await self._on_stored(rows)

    def _stored(self, entry: Entry) -> Entry:
        """An entry without secrets; it says whether anything was taken out of it, where that may seem so."""
        row: Entry = redacted(entry, self._redactor)
        if row != entry:
            return {**row, REDACTION: True}
        return {**row, REDACTION: False} if REDACTED in json.dumps(row) else row

    async def _append_fenced(self, lease: Lease, params: dict[str, object]) -> None:
        row = await lease.waiting(lambda: self._database.one(_SQL["append_entries"], params))
        if row is None or not row["held"]:
            lease.lose()
            raise lease.gone()

    async def load(self, key: SessionKey) -> list[SessionStoreEntry] | None:
        """Load a transcript, or the view that stands for it; None when there is none."""
        if not key.get("subpath") and key["session_id"] in self._view:
            return cast(list[SessionStoreEntry], self._view[key["session_id"]])
        rows = await self._database.all(_SQL["load_entries"], self._key(key))
        return cast(list[SessionStoreEntry], as_it_was([row["entry"] for row in rows])) or None

    async def list_sessions(self, project_key: str) -> list[SessionStoreListEntry]:
        """List the Claude sessions under a project key with the time (ms) of their newest entry."""
        rows = await self._database.all(_SQL["list_claude_sessions"], {"scope": self._scope or project_key})
        return [{"session_id": row["claude_session_id"], "mtime": row["mtime"]} for row in rows]

    async def list_subkeys(self, key: SessionListSubkeysKey) -> list[str]:
        """List the subpaths (transcripts of native subagents) of a Claude session."""
        rows = await self._database.all(_SQL["list_subpaths"], self._key(cast(SessionKey, key)))
        return [row["subpath"] for row in rows]

    async def list_session_summaries(self, project_key: str) -> list[SessionSummaryEntry]:
        """Not kept: nothing in the harness lists Claude sessions by their summary."""
        raise NotImplementedError

    async def delete(self, key: SessionKey) -> None:
        """Delete a transcript; without a subpath, those of its native subagents too."""
        await self._database.run(
            _SQL["delete_entries"], {**self._key(key), "subpath": key.get("subpath") or None}
        )

    def _key(self, key: SessionKey) -> dict[str, object]:
        return {
            "scope": self._scope or key["project_key"],
            "claude_session_id": key["session_id"],
            "subpath": key.get("subpath") or "",
        }


async def read_transcript(database: Database | Connection, scope: str, claude_session_id: str) -> list[Entry]:
    """Read a Claude session's main transcript as it is stored, in the order it was written."""
    rows = await database.all(
        _SQL["load_entries"], {"scope": scope, "claude_session_id": claude_session_id, "subpath": ""}
    )
    return [row["entry"] for row in rows]
