"""`harness wait` and `harness tail`: a session that workers advance is followed from here."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import click

from harness.cli.advance import EXIT, deliver, view_for
from harness.cli.finding import find_session
from harness.cli.options import Common, Out, common, out
from harness.cli.output import View, answer, answer_json
from harness.cli.signals import run_whole
from harness.cli.stderr import say
from harness.cli.summary import summary
from harness.events import now
from harness.progress import SessionStarted, change, result
from harness.records import SessionStatus
from harness.state import SessionState
from harness.store.sessions import check_given

if TYPE_CHECKING:
    from harness.library import Harness

TIMED_OUT = 4


@click.command("wait")
@click.argument("session_ids", metavar="SESSION_ID...", nargs=-1, required=True)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds after which to give up; exit code 4.",
)
@common
def wait(common: Common, session_ids: tuple[str, ...], timeout: float | None) -> int:
    """Wait until sessions have ended or wait for a person. The exit code is that of the worst of them.

    Each SESSION_ID is an id, or the first characters of it.
    """

    async def work() -> int:
        for session_id in session_ids:
            check_given(session_id)
        async with common.harness() as harness:
            wholes = [await find_session(harness, session_id) for session_id in session_ids]
            code = 0
            try:
                async with asyncio.timeout(timeout):
                    for whole in wholes:
                        ended = await harness.wait(whole)
                        _say(common, whole, ended.status)
                        code = max(code, EXIT[ended.status])
            except TimeoutError:
                say(f"Not all of them have ended after {timeout:g} s; they go on.")
                return TIMED_OUT
        return code

    return run_whole(work())


@click.command("tail")
@click.argument("session_id")
@out
@common
def tail(common: Common, session_id: str, out: Out | None) -> int:
    """Follow a session live, from any machine, until it has ended or waits for a person.

    SESSION_ID is its id, or the first characters of it. Leaving with Ctrl-C does nothing to the session.
    """

    async def work() -> int:
        check_given(session_id)
        async with common.harness() as harness:
            whole = await find_session(harness, session_id)
            with view_for(common) as view:
                state, took_s = await _follow(harness, whole, view)
                ended = result(state)
                view.finished(ended)
        deliver(ended, common, out)
        if not common.as_json:
            say(summary(ended, state, common, took_s))
        return EXIT[ended.status]

    return run_whole(work())


async def _follow(harness: Harness, session_id: str, view: View) -> tuple[SessionState, float]:
    """Show a session from its beginning; give it, and the seconds from its first to its last event."""
    state = SessionState(session_id)
    first = last = now()
    view.started(SessionStarted(event="session.resumed", session_id=session_id), state)
    async with aclosing(harness.events(session_id)) as events:
        async for event in events:
            first, last = (event.recorded_at if not state.head else first), event.recorded_at
            state.apply(event)
            if (line := change(event, state)) is not None:
                view.changed(line, state)
    return state, (last - first).total_seconds()


def _say(common: Common, session_id: str, status: SessionStatus) -> None:
    if common.as_json:
        answer_json({"session_id": session_id, "status": status})
    else:
        answer(f"{session_id}  {status.replace('_', ' ')}")
