"""The journal of one session: append-only, typed, and fenced by the session's lease."""

from __future__ import annotations

import asyncio
import json
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.crashpoints import reached
from harness.errors import NoSuchSession, StoreError
from harness.events import AnyPayload, Event, Payload, Span, read_payload, trace_id
from harness.records import SessionStatus
from harness.state import SessionState
from harness.store.database import Database
from harness.store.lease import Lease
from harness.store.patient import PatientDatabase
from harness.store.queries import queries

_SQL = queries("journal")
_RESPONSES = queries("responses")


@dataclass(frozen=True)
class KeptResponse:
    """A completed model response as it came over the wire, and the conversation it answers."""

    conversation: str
    call_id: str
    content_type: str
    body: bytes


Listener = Callable[[Event, SessionState], None]


class Journal:
    """Reads and appends one session's events and keeps the fold of them.

    An append that returns has been committed. Its event id makes it harmless that `database`, which is for
    all of the session's work, tries it again while the store is away.
    """

    def __init__(self, database: Database, lease: Lease, state: SessionState) -> None:
        self.database = PatientDatabase(database, lease)
        self.lease = lease
        self.state = state
        self._listeners: list[Listener] = []
        self._order = asyncio.Lock()
        self._appending: set[asyncio.Task[Event]] = set()

    @property
    def session_id(self) -> str:
        """The session whose journal this is."""
        return self.state.id

    def listen(self, listener: Listener) -> None:
        """Call `listener` with each event after it has been committed and folded in."""
        self._listeners.append(listener)

    async def append(
        self,
        payload: AnyPayload,
        *,
        run_id: str | None = None,
        span: Span | None = None,
        status: SessionStatus | None = None,
        keep: KeptResponse | None = None,
    ) -> Event:
        """Commit one event, and with it the session's new `status` and the response to `keep`, if given.

        Raises:
            LeaseLost: another process may write this session now, or the lease ended with the store away.
        """
        span = span or Span(trace_id=self.state.trace_id)
        row: dict[str, Any] = {
            "session_id": self.session_id,
            "id": str(uuid.uuid4()),
            "kind": payload.kind,
            "version": type(payload).VERSION,
            "token": self.lease.token,
            "agent_run_id": run_id,
            "trace_id": span.trace_id,
            "span_id": span.span_id,
            "parent_span_id": span.parent_span_id,
            "started_at": span.started_at,
            "ended_at": span.ended_at,
            "payload": _text(payload),
            "status": status,
            "conversation": keep.conversation if keep else None,
            "call_id": keep.call_id if keep else None,
            "content_type": keep.content_type if keep else None,
            "body": zlib.compress(keep.body, 1) if keep else None,
        }
        # Shielded: what may have been committed has to be folded in, also when the caller is cancelled.
        work = asyncio.create_task(self._append(row, payload, span), name=f"append {payload.kind}")
        self._appending.add(work)
        work.add_done_callback(self._appending.discard)
        return await asyncio.shield(work)

    async def _append(self, row: dict[str, Any], payload: AnyPayload, span: Span) -> Event:
        async with self._order:
            reached(f"before {payload.kind}")
            stored = await self._commit(row)
            reached(f"after {payload.kind}")
            event = Event(
                session_id=self.session_id,
                seq=stored["seq"],
                id=row["id"],
                agent_run_id=row["agent_run_id"],
                span=span,
                recorded_at=stored["recorded_at"],
                payload=payload,
            )
            self.state.apply(event)
        for listener in self._listeners:
            listener(event, self.state)
        return event

    async def _commit(self, row: dict[str, Any]) -> dict[str, Any]:
        stored = await self.database.one(_SQL["append_event"], row)
        stored = stored or await self.database.one(_SQL["event_by_id"], row)
        if stored is None:
            self.lease.lose()
            raise self.lease.gone()
        return stored


def _text(payload: Payload) -> str:
    # ASCII escapes keep NUL and lone surrogates, which the json column stores and UTF-8 cannot carry.
    return json.dumps(payload.model_dump(mode="python", fallback=str), ensure_ascii=True, default=str)


async def kept_response(
    database: Database, session_id: str, run_id: str, conversation: str
) -> KeptResponse | None:
    """Find the response that this agent run has already been given, and paid, for this conversation."""
    row = await database.one(
        _RESPONSES["kept_response"],
        {"session_id": session_id, "agent_run_id": run_id, "conversation": conversation},
    )
    if row is None:
        return None
    return KeptResponse(conversation, str(row["call_id"]), row["content_type"], zlib.decompress(row["body"]))


async def forget_responses(database: Database, session_id: str, run_id: str) -> None:
    """Drop the responses kept for an agent run that has ended."""
    await database.run(_RESPONSES["forget_responses"], {"session_id": session_id, "agent_run_id": run_id})


async def read_events(database: Database, session_id: str, after: int = 0) -> list[Event]:
    """Read a session's events with `seq` greater than `after`, in order.

    Raises:
        StoreError: an event was written by a newer harness.
    """
    rows = await database.all(_SQL["events"], {"session_id": session_id, "after": after})
    return [_event(row) for row in rows]


async def load_state(database: Database, session_id: str) -> SessionState:
    """Fold a session's journal.

    Raises:
        NoSuchSession: there is no journal of this id.
    """
    state = SessionState(session_id, trace_id(session_id))
    await catch_up(database, state)
    if not state.head:
        raise NoSuchSession(f"There is no session {session_id}; list them with: harness sessions")
    return state


async def catch_up(database: Database, state: SessionState) -> None:
    """Fold in what has been committed since `state` was read."""
    # One by one: to hold all events of a long journal at once takes three times as long.
    for row in await database.all(_SQL["events"], {"session_id": state.id, "after": state.head}):
        state.apply(_event(row))


def _event(row: dict[str, Any]) -> Event:
    try:
        payload = read_payload(row["kind"], row["version"], row["payload"])
    except ValueError as problem:
        raise StoreError(
            f"Event {row['seq']} ({row['kind']}, version {row['version']}) of session {row['session_id']} "
            "cannot be read by this version of the harness; use the version that wrote it, or a newer one."
        ) from problem
    return Event(
        session_id=str(row["session_id"]),
        seq=row["seq"],
        id=str(row["id"]),
        agent_run_id=str(row["agent_run_id"]) if row["agent_run_id"] else None,
        span=Span(
            trace_id=row["trace_id"],
            span_id=row["span_id"],
            parent_span_id=row["parent_span_id"],
            started_at=row["started_at"],
            ended_at=row["ended_at"],
        ),
        recorded_at=row["recorded_at"],
        payload=payload,
    )
