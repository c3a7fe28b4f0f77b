"""A fork, decided before it is written: its journal, how far each conversation goes, what it may reuse."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from harness import events as ev
from harness.branch import Witness, read_point
from harness.bundles.bundle import Bundle
from harness.edits import edited
from harness.errors import BadInput
from harness.pricing import PRICES, Price
from harness.records import derived_id
from harness.state import SessionState, fold
from harness.store.database import Database
from harness.store.forks import Conversation, Fork, spans_named
from harness.store.journal import read_events
from harness.store.transcripts import Entry, read_transcript
from harness.transcript import has_call


async def prepare(
    database: Database,
    origin: SessionState,
    point: int | str,
    edits: Mapping[str, Any],
    bundles: Mapping[str, Bundle],
    prices: Mapping[str, Price] = PRICES,
) -> Fork:
    """Decide about the fork of a session at a point, with its event there edited.

    Raises:
        BadInput: there is no such point, or the edits cannot be made.
    """
    journal = await read_events(database, origin.id)
    at = await _found(database, origin.id, journal[-1].seq, read_point(point))
    copied, new_id = [event for event in journal if event.seq <= at], str(uuid.uuid4())
    if copied[-1].seq != at:
        raise BadInput(f"Session {origin.id} has no event {at}; give --at another one.")
    payload, values = None, dict[str, Any]()
    if edits:
        payload, values = edited(copied[-1], edits, fold(origin.id, copied[:-1]), bundles, prices)
        copied[-1] = copied[-1].model_copy(update={"payload": payload})
    there, witness = fold(origin.id, copied), Witness.of(journal)
    conversations: list[Conversation] = []
    renamed, answered = dict[str, str](), list[str]()
    for known in dict.fromkeys(run.claude_session_id for run in there.runs.values()):
        if known is None:
            continue
        stored = witness.stored_as(known, at)
        transcript = await read_transcript(database, origin.id, stored)
        entries = transcript[: witness.cut(stored, transcript, at)]
        renamed[known] = derived_id(new_id, known)
        conversations.append(Conversation(stored, renamed[known], len(entries)))
        answered += witness.answered(entries, at)
        _check_there(payload, copied[-1], there, known, entries)
    event = ev.SessionForked(
        origin=origin.id,
        # Not that of the copied events: a fork may be forked before the event that made it one.
        root=origin.root_id,
        at=at,
        edits=values,
        conversations=renamed,
        answered=tuple(answered),
    )
    last = ev.Event(
        session_id=new_id,
        seq=at + 1,
        id=str(uuid.uuid4()),
        agent_run_id=None,
        span_id=None,
        recorded_at=ev.now(),
        payload=event,
    )
    state = fold(new_id, [*copied, last])
    return Fork(state, event, payload, tuple(conversations), _reusable(copied, there))


async def _found(database: Database, session_id: str, head: int, point: int | str) -> int:
    """The number of the event that a point names."""
    if isinstance(point, int):
        if point > head:
            raise BadInput(
                f"Session {session_id} has {head} events; give --at one of them, from 1 to {head}."
            )
        return point
    spans = await spans_named(database, session_id, point)
    if len(spans) > 1:
        raise BadInput(
            f"More than one span of session {session_id} begins with '{point}'; give more of its id."
        )
    if not spans:
        raise BadInput(
            f"Session {session_id} has no span that begins with '{point}'; "
            "give --at the number of an event, as harness show lists them."
        )
    return spans[0][1]


def _reusable(copied: Sequence[ev.Event], there: SessionState) -> tuple[str, ...]:
    """The answered model calls of agent runs that had not ended: who is cut off may ask for them again."""
    return tuple(
        event.payload.call_id
        for event in copied
        if isinstance(event.payload, ev.ModelFinished)
        if event.agent_run_id and not there.runs[event.agent_run_id].final
    )


def _check_there(
    payload: ev.AnyPayload | None,
    event: ev.Event,
    there: SessionState,
    claude_session_id: str,
    entries: Sequence[Entry],
) -> None:
    """Refuse to edit a delegation whose call never reached its transcript: it will be asked for anew."""
    if not isinstance(payload, ev.DelegationRequested):
        return
    asking = there.runs[event.agent_run_id or ""].claude_session_id == claude_session_id
    if asking and not has_call(entries, payload.tool_use_id):
        raise BadInput(
            f"The call of the delegation at event {event.seq} was lost and made again; edit the later one."
        )
