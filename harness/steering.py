"""What a person tells a session from outside: stop for good, stop for now, or wait for a worker again."""

from __future__ import annotations

from typing import Literal

from harness import events as ev
from harness.beginning import Place, open_journal
from harness.errors import LeaseHeld, NotResumable
from harness.resumable import ended_for_good
from harness.session import Session, Tools
from harness.state import SessionState
from harness.store.database import Database
from harness.store.journal import catch_up
from harness.store.lease import Holder, Lease, acquire
from harness.store.queries import queries
from harness.store.queue import put, tell
from harness.taking_up import Wishes, resumed, with_its_bundles

_SQL = queries("journal")


async def cancel(tools: Tools, database: Database, state: SessionState) -> None:
    """Ask whoever advances a session to stop it for good; when nobody does, it is stopped here.

    Raises:
        NotResumable: it has ended.
    """
    _refuse_ended(state)
    lease = await _lease_unless_held(tools, database, state, "cancel")
    if lease is None:
        return
    try:
        if state.status == "cancelled":
            return
        _refuse_ended(state)
        lease.cancel_requested.set()
        journal = open_journal(database, lease, state, tools.settings, tools.redactor)
        await Session(tools, journal, lease, 1, "session.resumed").result()
    finally:
        await lease.release()


async def pause(tools: Tools, database: Database, state: SessionState) -> None:
    """Ask whoever advances a session to stop it at its next checkpoint; no worker takes it up after that.

    Raises:
        NotResumable: it has ended, or neither is at work nor waits for a worker.
    """
    _refuse_ended(state)
    lease = await _lease_unless_held(tools, database, state, "pause")
    if lease is None:
        return
    try:
        _refuse_ended(state)
        if state.status == "suspended":
            raise NotResumable(f"Session {state.id} is suspended already; nobody goes on with it by itself.")
        journal = open_journal(database, lease, state, tools.settings, tools.redactor)
        await journal.append(ev.SessionSuspended(reason="It was paused."), status="suspended")
    finally:
        await lease.release()


async def hand_over(
    tools: Tools, database: Database, state: SessionState, wishes: Wishes, place: Place
) -> None:
    """Leave a session that waits for a person to the workers, with what the person says.

    Raises:
        NotResumable: it has ended for good.
        LeaseHeld: a living process is at work on it.
        BadInput: it cannot go on so.
    """
    if ended_for_good(state):
        _refuse_ended(state)
    lease, _ = await acquire(database, state.id, ttl_s=tools.settings.lease_ttl_s)
    lease.start()
    try:
        await catch_up(database, state)
        if ended_for_good(state):
            # Somebody has brought it to its end just now.
            _refuse_ended(state)
        tools = await with_its_bundles(tools, database, state)
        journal = await resumed(tools, database, state, lease, wishes)
        await put(database, lease, place.queue, place.priority)
        left = ev.SessionSuspended(reason="It waits for a worker.", waits_for="worker")
        await journal.append(left, status="queued")
    finally:
        await lease.release()
    await tell(database)


def _refuse_ended(state: SessionState) -> None:
    if state.finished:
        raise NotResumable(f"Session {state.id} has ended already ({state.status}).")


async def _lease_unless_held(
    tools: Tools, database: Database, state: SessionState, what: Literal["cancel", "pause"]
) -> Lease | None:
    """Leave word for a living holder; when there is none, give the lease and bring `state` up to date."""
    while not await _ask_its_holder(database, state.id, what):
        try:
            lease, _ = await acquire(database, state.id, ttl_s=tools.settings.lease_ttl_s)
        except LeaseHeld:
            # Somebody has taken it up just now.
            continue
        try:
            await catch_up(database, state)
        except BaseException:
            await lease.release()
            raise
        return lease
    return None


async def _ask_its_holder(database: Database, session_id: str, what: Literal["cancel", "pause"]) -> bool:
    """Leave word for a living holder; False when there is none."""
    await database.run(_SQL["request_stop"], {"id": session_id, "what": what})
    row = await database.one(_SQL["session"], {"id": session_id})
    holder = Holder(**row["holder"]) if row and row["holder"] else None
    if row and row["leased"] and holder and not holder.known_dead:
        await tell(database, session_id)
        return True
    return False
