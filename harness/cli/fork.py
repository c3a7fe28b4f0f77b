"""`harness fork`: a new session from any point of an old one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from harness.branch import read_point
from harness.cli.options import Common, common, edit
from harness.cli.output import answer, answer_json
from harness.cli.signals import run_whole
from harness.store.sessions import Sessions, check_given


@click.command("fork")
@click.argument("session_id")
@click.option(
    "--at",
    required=True,
    metavar="EVENT_OR_SPAN",
    help="From where: the number of an event, or the id of a span, which means the event that opened it.",
)
@edit
@common
def fork(common: Common, session_id: str, at: str, edits: dict[str, str]) -> int:
    """Begin a new session with all that was done in an old one up to a point.

    SESSION_ID is the old one's id, or the first characters of it. It stays as it is, and may be at work
    meanwhile. What was finished before the point is not done or paid again.
    """
    check_given(session_id)
    point = read_point(at)

    async def work() -> int:
        async with common.harness() as harness:
            found = Sessions(await harness.database(), harness.settings.tenant)
            origin = await found.find(session_id)
            new = await harness.fork(origin, at=point, edits=typed(edits))
            row = await found.row(new)
        if common.as_json:
            copied = row.forked_from
            answer_json({"session_id": new, "origin": origin, "at": copied.seq if copied else None})
        else:
            answer(new)
            answer(f"Go on with: {common.command('resume', new)}")
            answer(f"Look at it with: {common.command('show', new)}")
        return 0

    return run_whole(work())


def typed(edits: Mapping[str, str]) -> dict[str, Any]:
    """Mark values as typed by a person, who need not write a text as JSON."""
    from harness.edits import Typed  # here, because importing the bundles takes long

    return {path: Typed(value) for path, value in edits.items()}
