"""How a session comes to be: its row, its lease, and its first event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from harness import events as ev
from harness.settings import Settings
from harness.state import SessionState
from harness.store.database import Database, Json
from harness.store.journal import Journal
from harness.store.lease import Holder, Lease
from harness.store.queries import queries
from harness.tracing.content import keeper

_SQL = queries("journal")


async def begin(
    database: Database,
    settings: Settings,
    session_id: str,
    flow: str,
    question: str,
    created: Callable[[], Awaitable[ev.SessionCreated]],
) -> Journal:
    """Make a session and commit its first event, or leave nothing behind; the lease is the journal's.

    `created` gives the event once the session's row is there, for documents to be attached to it.
    """
    ttl = settings.lease_ttl_s
    await database.run(
        _SQL["create_session"],
        {
            "id": session_id,
            "tenant": settings.tenant,
            "flow": flow,
            "question": question,
            "holder": Json(Holder.here().model_dump()),
            "ttl": ttl,
        },
    )
    lease = Lease(database, session_id, 1, ttl)
    lease.start()
    try:
        journal = Journal(database, lease, SessionState(session_id), keeper(settings.tracing))
        await journal.append(await created())
    except BaseException:
        await database.run(_SQL["drop_unborn_session"], {"id": session_id})
        await lease.release()
        raise
    return journal
