"""Copies a session up to one of its events into a new one: the whole of it is there, or nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass

from harness.crashpoints import reached
from harness.errors import NoSuchSession
from harness.events import AnyPayload, SessionForked, now, plain
from harness.state import Moves, SessionState
from harness.store.database import Database, Json
from harness.store.journal import KEEP_ALL
from harness.store.queries import queries
from harness.tracing.content import Keeper
from harness.tracing.describe import Row, Shown, span_rows

_SQL = queries("forks")


@dataclass(frozen=True)
class Conversation:
    """A stored Claude session of which the first `entries` are copied under another id."""

    stored: str
    copy: str
    entries: int


@dataclass(frozen=True)
class Fork:
    """All that is decided about a fork before anything is written.

    `state` is the fold of its journal, which ends with `event`. `edited` takes the place of the last event
    that is copied; `calls` are the model calls whose kept responses it may still ask for.
    """

    state: SessionState
    event: SessionForked
    edited: AnyPayload | None
    conversations: tuple[Conversation, ...]
    calls: tuple[str, ...]


async def spans_named(database: Database, session_id: str, prefix: str) -> list[tuple[str, int]]:
    """Give the spans of a session whose ids begin so, two at most, each with the event that opened it."""
    rows = await database.all(_SQL["span_named"], {"session_id": session_id, "prefix": prefix})
    return [(row["span_id"], row["seq"]) for row in rows]


async def store_fork(database: Database, fork: Fork, keeper: Keeper | None = KEEP_ALL) -> None:
    """Write a fork in one transaction. Nothing of its origin is changed, and nobody at work there waits.

    `keeper` decides what its first spans keep of the question and the tasks; without one it has no spans.

    Raises StoreError when it could not be written, NoSuchSession when the origin is gone; there is no fork.
    """
    state, event, edited = fork.state, fork.event, fork.edited
    assert state.created is not None, "a session begins with its creation"
    turn = state.trace.newest["turn", ""]
    key = {"id": state.id, "origin": event.origin, "at": event.at}
    # Before the session's row tells a first sign of life: a wait since then is a part of the turn.
    rows = [] if keeper is None else _first_rows(fork, keeper)
    reached(f"before {event.kind}")
    async with database.transaction() as connection:
        if not await connection.run(_SQL["fork_session"], {**key, "question": state.question}):
            raise NoSuchSession(f"Session {event.origin} has just been pruned; there is nothing to fork.")
        await connection.run(
            _SQL["copy_events"],
            {
                **key,
                "edited": Json(plain(edited)) if edited else None,
                "version": type(edited).VERSION if edited else None,
            },
        )
        await connection.run(
            _SQL["add_forked"],
            {
                "id": state.id,
                "at": event.at,
                "kind": event.kind,
                "version": type(event).VERSION,
                "span_id": turn.span_id,
                "payload": Json(plain(event)),
            },
        )
        for row in rows:
            await connection.run(_SQL["add_span"], {**key, **row})
        documents = {"sources": state.created.sources, "read": sorted(state.read)}
        await connection.run(_SQL["copy_documents"], {**key, **documents})
        await connection.run(_SQL["copy_bundles"], key)
        await connection.run(_SQL["copy_results"], key)
        await connection.run(_SQL["copy_responses"], {**key, "calls": list(fork.calls)})
        for each in fork.conversations:
            await connection.run(
                _SQL["copy_transcript"],
                {
                    **key,
                    "stored": each.stored,
                    "copy": each.copy,
                    "entries": each.entries,
                    "known_by": _named(each.stored),
                    "named": _named(each.copy),
                },
            )
    reached(f"after {event.kind}")


def _first_rows(fork: Fork, keeper: Keeper) -> list[Row]:
    """The spans that a fork begins with; they are open, as nobody is at work for it."""
    moves = Moves(list(fork.state.trace.open.values()))
    rows = span_rows(moves, fork.event, fork.state, shown=Shown(), at=now(), seen_at=None, keeper=keeper)
    return [row | {"opened": Json(row["opened"])} for row in rows.opened]


def _named(claude_session_id: str) -> str:
    """How an entry names its Claude session, as entries are stored."""
    return json.dumps({"sessionId": claude_session_id})[1:-1]
