"""`harness fork`: what it says, and how a fork is told from other sessions."""

from __future__ import annotations

import asyncio

from harness.store.database import Database
from tests.cli.hand_made import keep, worked
from tests.cli.processes import document, run_process
from tests.kit.rows import rows_of


async def test_a_program_gets_the_new_id(dsn: str, database: Database) -> None:
    """One document: the new session, the old one by its whole id, and the event; nothing is at work."""
    origin = await keep(database, worked(), status="done")
    before = rows_of(dsn, origin)
    forked = await document("fork", origin[:8], "--at", "4", dsn=dsn)
    assert forked.keys() == {"session_id", "origin", "at"}
    assert (forked["origin"], forked["at"]) == (origin, 4)
    listed = (await document("sessions", dsn=dsn))["sessions"]
    assert [(row["session_id"], row["status"], row["events"]) for row in listed] == [
        (forked["session_id"], "suspended", 5),
        (origin, "done", len(before["event"])),
    ]
    assert listed[0]["forked_from"] == {"session_id": origin, "seq": 4}
    assert rows_of(dsn, origin) == before


async def test_a_person_is_told_what_to_do_next(dsn: str, database: Database) -> None:
    """The id alone on the first line, then the commands; the lists say whose fork it is."""
    origin = await keep(database, worked(), status="done")
    told = await asyncio.to_thread(run_process, "fork", origin, "--at", "4", "--tenant", "default", dsn=dsn)
    new, resume, show = told.stdout.splitlines()
    assert resume == f"Go on with: harness resume {new} --tenant default"
    assert show == f"Look at it with: harness show {new} --tenant default"
    listed = await asyncio.to_thread(run_process, "sessions", dsn=dsn)
    assert f"(fork of {origin[:8]} at event 4) Why?" in listed.stdout
    shown = await asyncio.to_thread(run_process, "show", new, dsn=dsn)
    assert f"fork of {origin[:8]} at event 4" in shown.stdout


async def test_what_was_paid_in_the_origin_is_told_apart(dsn: str, database: Database) -> None:
    """A fork's usage is its own; its agent runs' is whole, and so is the sum with what it inherited."""
    book = worked()
    origin = await keep(database, book, status="done")
    last = str(len(book.events) + 1)
    new = (await document("fork", origin, "--at", last, dsn=dsn))["session_id"]
    shown = await document("show", new, dsn=dsn)
    assert shown["usage"]["model_calls"] == shown["cost_usd"] == 0
    inherited = shown["inherited"]
    assert (inherited["session_id"], inherited["seq"]) == (origin, int(last))
    assert inherited["usage"] == book.state.usage.model_dump()
    assert inherited["cost_usd"] == book.state.cost_usd
    assert sum(run["cost_usd"] for run in shown["agent_runs"]) == book.state.cost_usd
    text = (await asyncio.to_thread(run_process, "show", new, dsn=dsn)).stdout
    assert f"Inherited, and paid in {origin[:8]}: {book.state.usage.model_calls} model calls" in text
    assert (await document("show", origin, dsn=dsn))["inherited"] is None


async def test_the_events_to_fork_at_are_named(dsn: str, database: Database) -> None:
    """For each agent run that which gave it its task, and that which ended it."""
    book = worked()
    session_id = await keep(database, book, status="done")
    shown = await document("show", session_id, dsn=dsn)
    kinds = {event.seq: event.payload.kind for event in book.events}
    for run in shown["agent_runs"]:
        assert kinds[run["created_seq"]] == "agent_run.created"
        assert kinds[run["ended_seq"]] == "agent_run.finished"
    assert shown["events"] == len(book.events) + 1
