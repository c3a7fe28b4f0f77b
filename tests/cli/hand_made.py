"""Sessions that nobody ran: their journals are written by hand, and are as good as real ones."""

from __future__ import annotations

import uuid
from random import Random
from typing import Any

from harness import events as ev
from harness.flow import Lead
from harness.records import SessionStatus
from harness.state import SessionState
from harness.store.database import Database, Json
from harness.store.journal import Journal
from harness.store.lease import Holder, Lease
from harness.store.queries import queries
from tests.kit.journals import Book, Case, Simulator, created

REPORT = "# Report\n\nTides turn twice a day [1].\n\n## Sources\n\n[1] S1, Tides\n"

FLOW = Lead(agent="lead", members=("researcher", "fact_checker"))

_JOURNAL = queries("journal")


def worked(session_id: str | None = None, **given: Any) -> Book:
    """A journal in which a lead had two tasks done and then answered; `given` are fields of its creation."""
    book = Book(session_id=session_id or str(uuid.uuid4()))
    book.add(created(FLOW, **given))
    return Simulator(Case(rounds=(("done", "needs_help"),), flow=FLOW), Random(1), book).finish()


def halfway(**given: Any) -> Book:
    """A journal that ends where the lead has just gone to sleep for its two tasks."""
    book = worked(**given)
    kinds = [event.payload.kind for event in book.events]
    return book.upto(kinds.index("agent_run.suspended") + 1)


async def keep(
    database: Database,
    book: Book,
    *,
    tenant: str = "default",
    status: SessionStatus = "running",
    at_work: bool = False,
) -> str:
    """Store a journal as a session in this state; `at_work`: as if this process were advancing it."""
    state = book.state
    question = state.question or "Why?"
    row = {"id": state.id, "tenant": tenant, "flow": "research", "question": question, "ttl": 600.0}
    await database.run(_JOURNAL["create_session"], {**row, "holder": Json(Holder.here().model_dump())})
    lease = Lease(database, state.id, 1, 600.0)
    journal = Journal(database, lease, SessionState(state.id))
    for event in book.events:
        payload = event.payload
        if isinstance(payload, ev.SessionCreated):
            payload = payload.model_copy(update={"tenant": tenant})
        await journal.append(payload, run_id=event.agent_run_id)
    match status:
        case "done" | "needs_help" | "failed" | "cancelled":
            found = {"checked": 1, "failed": list[object]()}
            ended = ev.SessionFinished(status=status, report=REPORT, problem=None, citations=found)
            await journal.append(ended, status=status)
        case "suspended":
            await journal.append(ev.SessionSuspended(reason="It was stopped."), status=status)
    if not at_work:
        await lease.release()
    return state.id
