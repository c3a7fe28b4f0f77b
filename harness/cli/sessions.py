"""`harness sessions`, `harness cancel` and `harness pause`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click
from rich.table import Table

from harness.cli import words
from harness.cli.options import Common, common
from harness.cli.output import answer, answer_json, draw
from harness.cli.signals import run_whole
from harness.store.open import open_store
from harness.store.sessions import SessionRow, Sessions, check_given

if TYPE_CHECKING:
    from harness.library import Harness


@click.command("sessions")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many at most.")
@common
def sessions(common: Common, limit: int) -> int:
    """List the sessions, the newest first. The first characters of an id are enough to name a session."""

    async def work() -> int:
        settings = common.settings
        async with open_store(settings) as database:
            rows = await Sessions(database, settings.tenant).newest(limit)
        if common.as_json:
            answer_json({"sessions": rows})
        elif rows:
            draw(_table(rows))
        else:
            answer('There are no sessions yet; begin one with: harness run "QUESTION"')
        return 0

    return run_whole(work())


@click.command("cancel")
@click.argument("session_id")
@common
def cancel(common: Common, session_id: str) -> int:
    """Stop a session for good, wherever it is being advanced. It cannot be resumed afterwards."""

    def said(row: SessionRow) -> str:
        if row.status == "cancelled":
            return f"Session {row.session_id} is cancelled."
        return f"Session {row.session_id} is at work in another process, which was told to stop it."

    return _stop(common, session_id, lambda harness, whole: harness.cancel(whole), said)


@click.command("pause")
@click.argument("session_id")
@common
def pause(common: Common, session_id: str) -> int:
    """Stop a session at its next checkpoint, wherever it is advanced, until `harness resume` goes on."""

    def said(row: SessionRow) -> str:
        whole = row.session_id
        if row.status == "suspended":
            return f"Session {whole} is paused; go on with: {common.command('resume', whole)}"
        return f"Session {whole} is at work in another process, which was told to stop at its checkpoint."

    return _stop(common, session_id, lambda harness, whole: harness.pause(whole), said)


def standing(row: SessionRow) -> str:
    """Say how a session stands; one that is recorded as running, though nobody runs it, was cut off."""
    return "cut off" if row.status == "running" and not row.at_work else row.status.replace("_", " ")


def _stop(
    common: Common,
    session_id: str,
    order: Callable[[Harness, str], Awaitable[None]],
    said: Callable[[SessionRow], str],
) -> int:
    """Give an order to a session, and say what has come of it."""

    async def work() -> int:
        async with common.harness() as harness:
            check_given(session_id)
            found = Sessions(await harness.database(), harness.settings.tenant)
            whole = await found.find(session_id)
            await order(harness, whole)
            row = await found.row(whole)
        if common.as_json:
            answer_json({"session_id": row.session_id, "status": row.status})
        else:
            answer(said(row))
        return 0

    return run_whole(work())


def _table(rows: list[SessionRow]) -> Table:
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", expand=True)
    made.add_column("session", no_wrap=True)
    made.add_column("state", no_wrap=True)
    made.add_column("flow", no_wrap=True)
    made.add_column("begun", no_wrap=True)
    made.add_column("question", ratio=1, no_wrap=True, overflow="ellipsis")
    for row in rows:
        question = words.one_line(row.question)
        if (origin := row.forked_from) is not None:
            question = f"({words.fork_of(origin.session_id, origin.seq)}) {question}"
        begun = words.moment(row.created_at)
        flow = f"{row.flow}, replay" if row.replays else row.flow
        made.add_row(words.short(row.session_id), standing(row), flow, begun, question)
    return made
