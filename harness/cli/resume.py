"""`harness resume` and `harness ask`: sessions that exist already go on."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from harness.branch import read_point
from harness.cli.advance import advance
from harness.cli.finding import find_session
from harness.cli.fork import typed
from harness.cli.options import TEXT, Common, Out, bounds, common, edit, out, placing, recording
from harness.cli.output import answer, answer_json
from harness.cli.signals import run_whole
from harness.cli.stderr import Countdown
from harness.errors import BadInput
from harness.store.sessions import check_given

if TYPE_CHECKING:
    from harness.library import Harness
    from harness.session import Session


@click.command("resume")
@click.argument("session_id", required=False)
@click.option("--last", is_flag=True, help="The newest session.")
@click.option("--submit", is_flag=True, help="Leave it to the workers, instead of going on here.")
@click.option("--answer", type=TEXT, metavar="TEXT", help="What the agent that asked for help is told.")
@click.option(
    "--at", metavar="EVENT_OR_SPAN", help="Go on from there in a new session, as harness fork makes it."
)
@edit
@placing
@bounds
@recording
@out
@common
def resume(
    common: Common,
    session_id: str | None,
    last: bool,
    submit: bool,
    queue: str,
    priority: int,
    out: Out | None,
    at: str | None,
    edits: dict[str, str],
    **options: Any,
) -> int:
    """Go on with a session from its last checkpoint.

    SESSION_ID is its id, or the first characters of it. A session that has ended well only gives its report
    again. What has been done is not done again.
    """
    if edits and at is None:
        raise click.UsageError("--edit changes the event at a point; say at which with --at")
    point = None if at is None else read_point(at)
    if options["answer"] is not None and not options["answer"].strip():
        raise BadInput("The answer is empty; say what the agent should know, or leave --answer out.")
    if last == (session_id is not None):
        raise click.UsageError("Give either the id of a session or --last")

    if not submit and (queue, priority) != ("default", 0):
        raise click.UsageError("--queue and --priority are for workers; give them with --submit")
    if submit:
        options.pop("max_concurrent")
        if at is not None or out is not None:
            raise click.UsageError(
                "--submit leaves the session to the workers; give it without --at and --out"
            )
        return _hand_over(common, session_id, queue=queue, priority=priority, **options)

    async def begin(harness: Harness) -> Session:
        found = await find_session(harness, session_id)
        with closing(Countdown()) as waiting:
            return await harness.resume(found, at=point, edits=typed(edits), on_wait=waiting, **options)

    return advance(common, lambda _: session_id is None or check_given(session_id), begin, out)


@click.command("ask")
@click.argument("session_id")
@click.argument("question", type=TEXT)
@bounds
@out
@common
def ask(common: Common, session_id: str, question: str, out: Out | None, **options: Any) -> int:
    """Ask a further QUESTION in a session that is done, with all that it has read.

    SESSION_ID is its id, or the first characters of it.
    """

    def check(_: Harness) -> None:
        check_given(session_id)
        if not question.strip():
            raise BadInput("The question is empty; say what you want to know.")

    async def begin(harness: Harness) -> Session:
        found = await find_session(harness, session_id)
        with closing(Countdown()) as waiting:
            return await harness.ask(found, question, on_wait=waiting, **options)

    return advance(common, check, begin, out)


def _hand_over(common: Common, session_id: str | None, **options: Any) -> int:
    async def work() -> int:
        if session_id is not None:
            check_given(session_id)
        async with common.harness() as harness:
            found = await find_session(harness, session_id)
            await harness.hand_over(found, **options)
        if common.as_json:
            answer_json({"session_id": found, "status": "queued", "queue": options["queue"]})
        else:
            answer(f"Session {found} waits for a worker; follow it with: {common.command('tail', found)}")
        return 0

    return run_whole(work())
