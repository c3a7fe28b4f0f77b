"""The journal of one session: append-only, typed, and fenced by the session's lease."""

from __future__ import annotations

import asyncio
import json
import uuid
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.crashpoints import reached
from harness.errors import JournalRefused, NoSuchSession, StoreError
from harness.events import AnyPayload, Event, now, read_payload
from harness.records import SessionStatus
from harness.redaction import Redactor
from harness.state import SessionState
from harness.store.database import Connection, Database
from harness.store.lease import Lease
from harness.store.ledger import Entry, book
from harness.store.patient import PatientDatabase
from harness.store.queries import queries
from harness.store.recordings import Recording, store_recording
from harness.tracing.content import Keeper
from harness.tracing.describe import Row, Shown, span_rows
from harness.wire_redaction import redacted_body

_SQL = queries("journal")
_RESPONSES = queries("responses")


@dataclass(frozen=True)
class KeptResponse:
    """A completed model response as it came over the wire, and the conversation it answers.

    `message` is the whole message that `body` holds, for whoever has parsed it already.
    """

    conversation: str
    call_id: str
    content_type: str
    body: bytes
    message: dict[str, Any] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Along:
    """What is committed in the transaction of an event."""

    record: Recording | None = None
    entry: Entry | None = None


ALONE = Along()

Listener = Callable[[Event, SessionState], None]

KEEP_ALL = Keeper()
NO_KNOWN = Redactor()
"""Knows secrets by their form alone."""
NOTHING = Shown()


class Journal:
    """Reads and appends one session's events and keeps the fold of them.

    An append that returns has been committed. Its event id makes it harmless that `database`, which is for
    all of the session's work, tries it again while the store is away.
    """

    def __init__(
        self,
        database: Database,
        lease: Lease,
        state: SessionState,
        keeper: Keeper | None = KEEP_ALL,
        redactor: Redactor = NO_KNOWN,
    ) -> None:
        """`keeper` decides what spans keep of content; without one no spans are written.

        `redactor` goes through all that is stored.
        """
        self.redactor = redactor
        self.database = PatientDatabase(database, lease)
        self.lease = lease
        self.state = state
        self._keeper = keeper
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
        shown: Shown = NOTHING,
        status: SessionStatus | None = None,
        due_s: float = 0.0,
        keep: KeptResponse | None = None,
        record: Recording | None = None,
        entry: Entry | None = None,
    ) -> Event:
        """Commit one event, the spans it opens and closes, and the session's new `status`, if given.

        With the status `queued` workers take the session up in `due_s` seconds; with one that ends its work
        they do not any more.
        `shown` is what went into a step or came out of it, for its span; `keep` is a response to keep,
        `record` a call to record, and `entry` what the tenant's ledger is told of it.

        Raises:
            LeaseLost: another process may write this session now, or the lease ended with the store away.
            BudgetSpent: the tenant's budget has no room for the `entry`; nothing was committed.
        """
        plain, payload = self._redacted(payload)
        row: Row = {
            "session_id": self.session_id,
            "id": str(uuid.uuid4()),
            "kind": payload.kind,
            "version": type(payload).VERSION,
            "progress": type(payload).PROGRESS,
            "token": self.lease.token,
            "agent_run_id": run_id,
            "payload": _text(plain),
            "status": status,
            "due_s": due_s,
            "conversation": keep.conversation if keep else None,
            "call_id": keep.call_id if keep else None,
            "content_type": keep.content_type if keep else None,
            "body": self._kept(keep) if keep else None,
        }
        # Shielded: what may have been committed has to be folded in, also when the caller is cancelled.
        along = Along(record, entry)
        work = asyncio.create_task(self._append(row, payload, shown, along), name=f"append {payload.kind}")
        self._appending.add(work)
        work.add_done_callback(self._appending.discard)
        return await asyncio.shield(work)

    async def _append(self, row: Row, payload: AnyPayload, shown: Shown, along: Along) -> Event:
        async with self._order:
            row |= self._traced(payload, row["agent_run_id"], shown)
            reached(f"before {payload.kind}")
            stored = await self._commit(row, along)
            reached(f"after {payload.kind}")
            event = Event(
                session_id=self.session_id,
                seq=stored["seq"],
                id=row["id"],
                agent_run_id=row["agent_run_id"],
                span_id=row["span_id"],
                recorded_at=stored["recorded_at"],
                payload=payload,
            )
            self.state.apply(event)
        for listener in self._listeners:
            listener(event, self.state)
        return event

    def _redacted(self, payload: AnyPayload) -> tuple[dict[str, Any], AnyPayload]:
        """The payload without secrets, as plain values and as it is folded in: what a resume will read."""
        plain = payload.model_dump(mode="python", fallback=str)
        clean = self.redactor.value(plain)
        if clean == plain:
            return plain, payload
        return clean, read_payload(payload.kind, type(payload).VERSION, clean)

    def _kept(self, keep: KeptResponse) -> bytes:
        return zlib.compress(redacted_body(keep.body, self.redactor, keep.message, again=True), 1)

    def _traced(self, payload: AnyPayload, run_id: str | None, shown: Shown) -> Row:
        """What the statement is told of spans: the event's own, and those that it opens and closes."""
        moves = self.state.trace.moves(payload, run_id, self.state.runs)
        if self._keeper is None:
            return {"span_id": moves.within, "opened": None, "closed": None}
        keeper = self._keeper
        clean = replace(
            shown,
            input=keeper.clean(shown.input, self.redactor),
            output=keeper.clean(shown.output, self.redactor),
        )
        rows = span_rows(
            moves,
            payload,
            self.state,
            shown=clean,
            at=now(),
            seen_at=self.lease.seen_at,
            keeper=keeper,
        )
        for row in (*rows.opened, *rows.closed):
            row |= {name: _text(row[name]) for name in ("opened", "closed") if name in row}
        return {
            "span_id": moves.within,
            "opened": _text(rows.opened) if rows.opened else None,
            "closed": _text(rows.closed) if rows.closed else None,
        }

    async def _commit(self, row: Row, along: Along) -> dict[str, Any]:
        if along == ALONE:
            stored = await self.database.one(_SQL["append_event"], row)
        else:
            # The event's id makes it harmless to try the transaction again.
            stored = await self.lease.waiting(lambda: self._commit_with(row, along))
        stored = stored or await self.database.one(_SQL["event_by_id"], row)
        if stored is None:
            self.lease.lose()
            raise self.lease.gone()
        return stored

    async def _commit_with(self, row: dict[str, Any], along: Along) -> dict[str, Any] | None:
        async with self.database.transaction() as connection:
            stored = await connection.one(_SQL["append_event"], row)
            if stored is not None and (record := along.record) is not None:
                run_id = str(row["agent_run_id"])
                path = self.state.runs[run_id].path
                await store_recording(connection, self.session_id, run_id, path, record, self.redactor)
            if stored is not None and along.entry is not None:
                # Last, so that the tenant's account is locked for no longer than the commit takes.
                await book(connection, self.lease, along.entry)
            return stored


def _text(value: Any) -> str:
    # ASCII escapes keep NUL and lone surrogates, which the json column stores and UTF-8 cannot carry.
    return json.dumps(value, ensure_ascii=True, default=str)


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
    try:
        body = zlib.decompress(row["body"])
    except zlib.error:
        # One that cannot be read is given to nobody: its reader finds no message in it.
        body = b""
    return KeptResponse(conversation, str(row["call_id"]), row["content_type"], body)


async def forget_response(database: Database, lease: Lease, run_id: str, conversation: str) -> None:
    """Drop the response kept for one conversation of an agent run."""
    names = {"session_id": lease.session_id, "agent_run_id": run_id, "conversation": conversation}
    await database.run(_RESPONSES["forget_response"], names | {"token": lease.token})


async def forget_responses(database: Database, session_id: str, run_id: str) -> None:
    """Drop the responses kept for an agent run that has ended."""
    await database.run(_RESPONSES["forget_responses"], {"session_id": session_id, "agent_run_id": run_id})


async def read_events(database: Database | Connection, session_id: str, after: int = 0) -> list[Event]:
    """Read a session's events with `seq` greater than `after`, in order.

    Raises:
        JournalRefused: an event was written by a newer harness.
    """
    rows = await database.all(_SQL["events"], {"session_id": session_id, "after": after})
    return [_event(row) for row in rows]


async def read_events_of(database: Database, session_id: str, kinds: Sequence[str]) -> list[Event]:
    """Read a session's events of these kinds, in order. Raises as `read_events` does."""
    rows = await database.all(_SQL["events_of_kinds"], {"session_id": session_id, "kinds": list(kinds)})
    return [_event(row) for row in rows]


async def tenant_of(database: Database, session_id: str, tenant: str | None = None) -> str:
    """Say whose a session is, by its row: that takes no longer when its journal is long.

    Raises:
        NoSuchSession: there is none of this id that was begun, or with a `tenant` none of this tenant.
    """
    row = await database.one(_SQL["tenant_of"], {"id": session_id})
    if row is None or tenant not in (None, row["tenant"]):
        raise NoSuchSession(f"There is no session {session_id}; list them with: harness sessions")
    return str(row["tenant"])


async def load_state(database: Database, session_id: str, tenant: str | None = None) -> SessionState:
    """Fold a session's journal; with a `tenant` only that of a session of this tenant.

    Raises:
        NoSuchSession: as `tenant_of`; another tenant's journal is not even looked at.
        StoreError: it was written by a newer harness, or names another tenant than the session's row.
    """
    its = await tenant_of(database, session_id, tenant)
    state = SessionState(session_id)
    await catch_up(database, state)
    # Policies guard the row alone: whoever may write a journal can write anything into it.
    if state.tenant != its:
        raise StoreError(
            f"The journal of session {session_id} names the tenant '{state.tenant}' and its row "
            f"'{its}'; one of them was tampered with, so ask the question again."
        )
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
        raise JournalRefused(
            f"Event {row['seq']} ({row['kind']}, version {row['version']}) of session {row['session_id']} "
            "cannot be read by this version of the harness; use the version that wrote it, or a newer one."
        ) from problem
    return Event(
        session_id=str(row["session_id"]),
        seq=row["seq"],
        id=str(row["id"]),
        agent_run_id=str(row["agent_run_id"]) if row["agent_run_id"] else None,
        span_id=row["span_id"],
        recorded_at=row["recorded_at"],
        payload=payload,
    )
