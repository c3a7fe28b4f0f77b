"""The session that a person means, looked for with the library open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.store.sessions import Sessions

if TYPE_CHECKING:
    from harness.library import Harness


async def find_session(harness: Harness, session_id: str | None) -> str:
    """Give the whole id of the session that is meant by an id or its beginning; None means the newest.

    Raises:
        NoSuchSession: no session or more than one is meant.
    """
    sessions = Sessions(await harness.database(), harness.settings.tenant)
    return await sessions.last() if session_id is None else await sessions.find(session_id)
