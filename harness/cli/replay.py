"""`harness replay`: a recorded session runs again without a model, and what would change is shown."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import words
from harness.cli.advance import EXIT, INTERRUPTED, follow, view_for
from harness.cli.lazy import importing
from harness.cli.options import Common, common
from harness.cli.output import answer, answer_json
from harness.cli.signals import Interrupts, run
from harness.cli.stderr import say
from harness.cli.summary import heading
from harness.store.sessions import Sessions, check_given

if TYPE_CHECKING:
    from harness.library import Harness
    from harness.replay import ReplayReport
    from harness.session import Session

SHOWN_LINES = 40
"""Lines of a difference that are shown; `--json` has them all."""

SHOWN_COLUMNS = 160

_LEAD_IN = 40
"""Columns before the first changed character of a long line."""


@click.command("replay")
@click.argument("session_id")
@click.option(
    "--against",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="A folder whose agents, prompts, hooks and flows are used instead of this project's.",
)
@click.option("--run-tools", is_flag=True, help="Run also tools whose effect would happen a second time.")
@click.option("--max-concurrent", type=click.IntRange(min=1), help="Agents at work at the same time.")
@common
def replay(
    common: Common, session_id: str, against: Path | None, run_tools: bool, max_concurrent: int | None
) -> int:
    """Run a recorded session again, without a key and without a model, and stop where it would change.

    SESSION_ID is its id, or the first characters of it. Agents get the recorded answers as long as they ask
    what they asked then; the first request that differs is shown. The exit code is 0 when nothing differs.
    """
    check_given(session_id)

    async def work(interrupts: Interrupts) -> int:
        async with _harness(common, against) as harness:
            # Outside of what a signal cancels: a server that has been started must be given back.
            sessions = Sessions(await harness.database(), harness.settings.tenant)
            with interrupts.cancelling():
                found = await sessions.find(session_id)
                session = await harness.replay(found, run_tools=run_tools, max_concurrent=max_concurrent)
                interrupts.notice = "Stopping ..."
                if not common.as_json:
                    say(f"{heading(session.state, common).splitlines()[0]}: replay of {found}\n")
                questions = (await harness.state(found)).questions[1:]
                await _to_the_end(harness, session, questions, common)
            report = await harness.compared(session.id)
            if common.as_json:
                answer_json(report)
            else:
                _tell(report)
            if report.same:
                return 0
            stopped = report.stopped is not None or report.differences
            return 1 if stopped else INTERRUPTED if interrupts.received else EXIT[report.status]

    return run(work)


def _harness(common: Common, against: Path | None) -> Harness:
    if against is None:
        return common.harness()
    with importing():
        from harness.library import Harness  # here, because importing the SDK takes a second

    return Harness(project=against, settings=common.settings)


async def _to_the_end(harness: Harness, session: Session, questions: list[str], common: Common) -> None:
    """Follow the session, and ask on in it as was asked in the recorded one."""
    for question in (None, *questions):
        if question is not None:
            session = await harness.ask(session.id, question)
        with view_for(common) as view:
            ended = await follow(session, view)
        if ended.status != "done":
            return


def _tell(report: ReplayReport) -> None:
    compared = f"{report.compared} of {words.number(report.recorded, 'recorded call')}"
    for changed in report.bundles:
        answer(f"Bundle {changed.bundle} has changed: {changed.recorded[:8]} -> {changed.now[:8]}.")
    if report.problem:
        answer(report.problem)
    for difference in report.differences:
        answer("")
        answer(click.style(difference.part, bold=True))
        for line in _shown(difference.diff):
            answer(line)
    if report.same and report.stopped is None:
        answer(f"The same to the end: {compared} made again, none differs, and neither does the report.")
    elif report.differences or report.stopped:
        answer(f"\nUp to there {compared} made again, all as they were recorded.")


def _shown(diff: str) -> Iterator[str]:
    """The lines of a diff without its head, cut to what a person reads, and coloured on a terminal."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    shown = lines[:SHOWN_LINES]
    for before, line, after in zip(["", *shown], shown, [*shown[1:], ""], strict=False):
        other = after if line.startswith("-") and after.startswith("+") else ""
        other = before if line.startswith("+") and before.startswith("-") else other
        colour = {"-": "red", "+": "green", "@": "cyan"}.get(line[:1])
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(line[1:], other[1:], strict=False))
        cut = _cut(line, sum(1 for _ in alike))
        yield click.style(cut, fg=colour) if colour else cut
    if len(lines) > SHOWN_LINES:
        yield f"… {words.number(len(lines) - SHOWN_LINES, 'further line')}: see --json"


def _cut(line: str, changed_at: int) -> str:
    """A long line around its first changed character."""
    if len(line) <= SHOWN_COLUMNS:
        return line
    begin = max(0, changed_at - _LEAD_IN)
    part = line[1 + begin : 1 + begin + SHOWN_COLUMNS]
    more = "…" if len(line) > 1 + begin + SHOWN_COLUMNS else ""
    return f"{line[0]}{'…' if begin else ''}{part}{more}"
