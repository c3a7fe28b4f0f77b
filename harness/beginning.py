"""How a session comes to be: its row, its lease, and its first event."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from harness import events as ev
from harness.errors import BadInput
from harness.event_log import log_event
from harness.redaction import Redactor
from harness.settings import Settings
from harness.state import SessionState
from harness.store.database import Database, Json
from harness.store.journal import Journal
from harness.store.lease import Holder, Lease
from harness.store.queries import queries
from harness.store.queue import put, tell
from harness.tracing.content import keeper

_SQL = queries("journal")


@dataclass(frozen=True)
class Place:
    """Where a session waits for a worker: in which queue, how urgent, and for how many seconds at least."""

    queue: str
    priority: int
    due_s: float

    @classmethod
    def at(cls, queue: str, priority: int, not_before: datetime | None = None) -> Place:
        """Wait until a time, which has a time zone.

        Raises:
            BadInput: the queue has no name, or the time no zone.
        """
        if not queue.strip():
            raise BadInput("The queue's name is empty; leave it out for the queue 'default'.")
        if not_before is not None and not_before.tzinfo is None:
            raise BadInput("The time to begin at has no time zone; give it one, for instance UTC.")
        if not_before is None:
            return cls(queue, priority, 0.0)
        return cls(queue, priority, max(0.0, (not_before - datetime.now(UTC)).total_seconds()))


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
    place: Place | None = None,
) -> Journal:
    """Make a session and commit its first event, or leave nothing behind; the lease is the journal's.

    `created` gives the event once the session's row is there, for documents to be attached to it. With a
    `place` it is left to the workers, and the lease has been given back.
    """
    ttl, asked = settings.lease_ttl_s, time.monotonic()
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
    lease = Lease(database, session_id, 1, ttl, asked)
    lease.start()
    try:
        journal = open_journal(database, lease, SessionState(session_id), settings, redactor)
        event = await created()
        await database.run(_SQL["tag_session"], {"id": session_id, "tags": [event.upstream, *event.tags]})
        if place is None:
            await journal.append(event)
        else:
            await put(database, lease, place.queue, place.priority)
            await journal.append(event, status="queued", due_s=place.due_s)
    except BaseException:
        await database.run(_SQL["drop_unborn_session"], {"id": session_id})
        await lease.release()
        raise
    if place is not None:
        await lease.release()
        await tell(database)
    return journal
