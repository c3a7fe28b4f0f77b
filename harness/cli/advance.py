"""A session advanced before a person's or a program's eyes: what `run`, `resume` and `ask` have in common."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from harness.cli.options import Common, Out
from harness.cli.output import JsonLines, PlainLines, View, answer_report
from harness.cli.signals import Interrupts, run
from harness.cli.stderr import say
from harness.cli.summary import heading, summary
from harness.errors import BadInput, HarnessError, StoreError
from harness.export.langfuse import receives, trace_address
from harness.progress import AgentRunChanged, AgentRunSummary, Result, SessionStarted, result
from harness.records import AgentRunStatus, SessionStatus
from harness.store.spans import standing

if TYPE_CHECKING:
    from harness.library import Harness
    from harness.session import Session

log = logging.getLogger(__name__)

EXIT: dict[SessionStatus, int] = {
    "done": 0,
    "failed": 1,
    "cancelled": 1,
    "queued": 3,
    "suspended": 3,
    "needs_help": 3,
    "running": 3,
}
INTERRUPTED = 130

Check = Callable[["Harness"], object]
Begin = Callable[["Harness"], Awaitable["Session"]]


def advance(common: Common, check: Check, begin: Begin, out: Out | None) -> int:
    """Begin or take up a session, follow it to its end, and give the exit code.

    `check` refuses bad input before the store is opened, which may make a database.
    """
    return run(lambda interrupts: _advance(interrupts, common, check, begin, out))


async def _advance(
    interrupts: Interrupts, common: Common, check: Check, begin: Begin, out: Out | None
) -> int:
    async with common.harness() as harness:
        check(harness)
        # Outside of what a signal cancels: a server that has been started must be given back.
        await harness.database()
        with interrupts.cancelling():
            try:
                session = await begin(harness)
            except asyncio.CancelledError:
                say("Interrupted before the session went on; nothing was changed.")
                return INTERRUPTED
            interrupts.notice = "Stopping at the last checkpoint ..."
            began = time.monotonic()
            if not common.as_json:
                say(heading(session.state, common))
            try:
                with view_for(common) as view:
                    ended = await follow(session, view)
            except BaseException:
                say(f"The session was cut off; go on with: {common.command('resume', session.id)}")
                raise
        took_s = time.monotonic() - began
        deliver(ended, common, out)
        interrupted = interrupts.received and ended.status == "suspended"
        if not common.as_json:
            trace = None if interrupted else await _trace(harness, session.id)
            say(summary(ended, session.state, common, took_s, trace))
        elif interrupted:
            say(f"Go on with: {common.command('resume', session.id)}")
    return INTERRUPTED if interrupted else EXIT[ended.status]


async def _trace(harness: Harness, session_id: str) -> str | None:
    """The address of the session's trace, once Langfuse has spans of it."""
    settings = harness.settings
    if not receives(settings):
        return None
    try:
        exported = await standing(await harness.database(), settings.tenant, session_id)
    except StoreError as problem:
        log.debug("whether spans were exported is not known: %s", problem)
        return None
    return await trace_address(settings, session_id) if exported.sent else None


def view_for(common: Common) -> View:
    """Choose how the session is shown: to a program, in a pipe, or on a terminal."""
    if common.as_json:
        return JsonLines()
    if not sys.stderr.isatty():
        return PlainLines()
    from harness.cli.live import LiveTree, can_draw  # here, because a pipe needs nothing that draws

    return LiveTree() if can_draw() else PlainLines()


async def follow(session: Session, view: View) -> Result:
    """Show each line; whatever stops the session, there is a last line that says how it stands."""
    shown: dict[str, AgentRunStatus] = {}
    try:
        # Closed here, and not when it is collected, so that a session that is left early stops before we end.
        async with aclosing(aiter(session)) as lines:
            async for line in lines:
                match line:
                    case SessionStarted():
                        view.started(line, session.state)
                    case AgentRunChanged():
                        view.changed(line, session.state)
                        shown[line.id] = line.status
                    case Result():
                        pass
        ended = await session.result()
    except asyncio.CancelledError:
        ended = _as_it_stands(session, "It was stopped.")
    except HarnessError as problem:
        ended = _as_it_stands(session, str(problem))
    for each in ended.agent_runs:
        if shown.get(each.id, each.status) != each.status:  # what the stop itself has changed
            view.changed(AgentRunChanged(session_id=session.id, **_place(each)), session.state)
    view.finished(ended)
    return ended


def _place(run: AgentRunSummary) -> dict[str, Any]:
    return run.model_dump(include={"id", "parent_id", "agent", "status"})


def _as_it_stands(session: Session, problem: str) -> Result:
    stands = result(session.state)
    if session.state.finished:
        return stands
    return stands.model_copy(update={"status": "suspended", "problem": stands.problem or problem})


def deliver(ended: Result, common: Common, out: Out | None) -> None:
    """Hand the report to its file or to stdout."""
    if ended.report is None or ended.status in ("suspended", "queued"):
        return  # what a suspended session has is the report of an earlier question
    if out is not None:
        try:
            out.write(ended.report)
        except BadInput as problem:
            say(f"{problem} The report is kept in the session: {common.command('show', ended.session_id)}")
        else:
            say(f"The report is in {out.path}.")
            return
    if not common.as_json:
        say()
        answer_report(ended.report)
