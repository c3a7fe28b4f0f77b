"""How a session comes to be: its row, its lease, and its first event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from harness import events as ev
from harness.event_log import log_event
from harness.redaction import Redactor
from harness.settings import Settings
from harness.state import SessionState
from harness.store.database import Database, Json
from harness.store.journal import Journal
from harness.store.lease import Holder, Lease
from harness.store.queries import queries
from harness.tracing.content import keeper

_SQL = queries("journal")


def open_journal(
    database: Database, lease: Lease, state: SessionState, settings: Settings, redactor: Redactor
) -> Journal:
    """A session's journal as its settings want it: what its spans keep, what is redacted, what is logged."""
    journal = Journal(database, lease, state, keeper(settings.tracing), redactor)
    journal.listen(log_event)
    return journal


async def begin(
    database: Database,
    settings: Settings,
    redactor: Redactor,
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
        journal = open_journal(database, lease, SessionState(session_id), settings, redactor)
        await journal.append(await created())
    except BaseException:
        await database.run(_SQL["drop_unborn_session"], {"id": session_id})
        await lease.release()
        raise
    return journal
