"""`harness submit`: a question is left to the workers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import click

from harness.cli.asking import SeveralSources, asking
from harness.cli.options import Common, bounds, common, placing, recording
from harness.cli.output import answer, answer_json
from harness.cli.signals import run_whole
from harness.cli.stderr import say
from harness.errors import BadInput
from harness.events import now

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def moment(said: str) -> datetime:
    """Read a time to begin at: an ISO date and time, local where it names no zone, or how long from now.

    Raises:
        BadInput: it is neither.
    """
    number, unit = said[:-1].strip(), said[-1:]
    try:
        if unit in _UNITS and number.isdecimal():
            return now() + timedelta(seconds=int(number) * _UNITS[unit])
        return datetime.fromisoformat(said).astimezone()
    except (ValueError, OverflowError) as problem:
        raise BadInput(
            f"'{said}' is no time to begin at; say how long from now, like 90m or 2h, "
            "or when, like 2026-12-01T08:00."
        ) from problem


@click.command("submit", cls=SeveralSources)
@asking
@placing
@click.option("--begin-at", metavar="TIME", help="Not before then: 90m, 2h, or 2026-12-01T08:00.")
@bounds
@recording
@common
def submit(
    common: Common, question: str, queue: str, priority: int, begin_at: str | None, **options: Any
) -> int:
    """Leave QUESTION to the workers, and give the session's id at once.

    Follow it with `harness tail`, wait for it with `harness wait`.
    """
    not_before = None if begin_at is None else moment(begin_at)

    async def work() -> int:
        async with common.harness() as harness:
            session_id = await harness.submit(
                question, queue=queue, priority=priority, not_before=not_before, **options
            )
        if common.as_json:
            answer_json({"session_id": session_id, "status": "queued", "queue": queue})
        else:
            answer(session_id)
            say(f"It waits for a worker; follow it with: {common.command('tail', session_id)}")
        return 0

    return run_whole(work())
