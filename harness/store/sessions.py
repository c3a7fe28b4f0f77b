"""Sessions as a person looks for them: the newest, one by the beginning of its id, its checkpoints."""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from typing import Any

from harness.errors import NoSuchSession
from harness.records import Record, SessionStatus
from harness.store.database import Database
from harness.store.lease import Holder
from harness.store.queries import queries

_SQL = queries("sessions")

SHORTEST = 4
"""How many characters of an id name a session, if no other one begins alike."""

_PREFIX = re.compile(rf"[0-9a-f][0-9a-f-]{{{SHORTEST - 1},35}}")


class Origin(Record):
    """What a fork is a copy of: another session up to its event `seq`."""

    session_id: str
    seq: int


class SessionRow(Record):
    """A session in a list. `at_work` tells whether a process advances it now; `events` counts its journal.

    `replays` names the session whose recording it runs again, if it is a replay.
    """

    session_id: str
    tenant: str
    flow: str
    question: str
    status: SessionStatus
    at_work: bool
    replays: str | None
    events: int
    created_at: datetime
    updated_at: datetime
    forked_from: Origin | None


class Checkpoint(Record):
    """A journal event that was committed before a call; `what` is the tool or the model called."""

    seq: int
    recorded_at: datetime
    agent_run_id: str | None
    kind: str
    what: str | None


def check_given(session_id: str) -> str:
    """Give an id, or the beginning of one, in the form in which it is looked up.

    Raises:
        NoSuchSession: it cannot be either.
    """
    given = session_id.strip().lower()
    if not _PREFIX.fullmatch(given):
        raise NoSuchSession(
            f"'{session_id}' is no session id; give one, or at least its first {SHORTEST} characters: "
            "harness sessions lists them."
        )
    return given


def check_whole(session_id: str) -> None:
    """Refuse what is not a whole id, without asking the store.

    Raises:
        NoSuchSession: it is none.
    """
    try:
        uuid.UUID(session_id)
    except ValueError as problem:
        raise NoSuchSession(
            f"'{session_id}' is no session id; list the sessions with: harness sessions"
        ) from problem


class Sessions:
    """The sessions of one tenant. Every method raises StoreError when Postgres cannot answer."""

    def __init__(self, database: Database, tenant: str) -> None:
        self._database = database
        self._tenant = tenant

    async def newest(self, limit: int) -> list[SessionRow]:
        """Give the newest sessions, newest first."""
        rows = await self._database.all(_SQL["newest"], {"tenant": self._tenant, "limit": limit})
        return [_row(row) for row in rows]

    async def last(self) -> str:
        """Give the id of the newest session.

        Raises:
            NoSuchSession: there is none yet.
        """
        newest = await self.newest(1)
        if not newest:
            raise NoSuchSession(
                f"There is no session of the tenant '{self._tenant}' yet; begin one with: harness run"
            )
        return newest[0].session_id

    async def find(self, session_id: str) -> str:
        """Give the whole id of the session that is meant by an id or by the beginning of one.

        Raises:
            NoSuchSession: no session or more than one is meant.
        """
        given = check_given(session_id)
        rows = await self._database.all(_SQL["like"], {"tenant": self._tenant, "prefix": given})
        if len(rows) > 1:
            raise NoSuchSession(
                f"More than one session begins with '{given}'; give more of its id: see harness sessions."
            )
        if not rows:
            raise NoSuchSession(f"There is no session '{given}'; harness sessions lists those there are.")
        return str(rows[0]["id"])

    async def row(self, session_id: str) -> SessionRow:
        """Give a session by its whole id.

        Raises:
            NoSuchSession: there is none.
        """
        found = await self._database.one(_SQL["row"], {"tenant": self._tenant, "id": uuid.UUID(session_id)})
        if found is None:
            raise NoSuchSession(
                f"There is no session '{session_id}'; harness sessions lists those there are."
            )
        return _row(found)

    async def checkpoints(self, session_id: str) -> list[Checkpoint]:
        """Give the checkpoints of a session in their order."""
        rows = await self._database.all(_SQL["checkpoints"], {"id": uuid.UUID(session_id)})
        return [_checkpoint(row) for row in rows]


def _checkpoint(row: dict[str, Any]) -> Checkpoint:
    called = row["payload"]
    return Checkpoint(
        seq=row["seq"],
        recorded_at=row["recorded_at"],
        agent_run_id=str(row["agent_run_id"]) if row["agent_run_id"] else None,
        kind=row["kind"],
        what=called.get("tool") or called.get("model") or called.get("tool_use_id"),
    )


def _row(row: dict[str, Any]) -> SessionRow:
    holder = Holder(**row["holder"]) if row["holder"] else None
    return SessionRow(
        session_id=str(row["id"]),
        tenant=row["tenant"],
        flow=row["flow"],
        question=row["question"],
        status=row["status"],
        at_work=row["leased"] and holder is not None and not holder.known_dead,
        replays=(row["created"] or {}).get("replays"),
        events=row["head"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        forked_from=_origin(row),
    )


def _origin(row: dict[str, Any]) -> Origin | None:
    if row["forked_from"] is None:
        return None
    return Origin(session_id=str(row["forked_from"]), seq=row["forked_at"])
