"""`harness run`: a question becomes a session, and the session a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from harness.cli.advance import advance
from harness.cli.asking import SeveralSources, asking
from harness.cli.estimate import estimate, in_words
from harness.cli.options import Common, Out, bounds, common, out, recording
from harness.cli.output import answer, answer_json

if TYPE_CHECKING:
    from harness.library import Harness
    from harness.session import Session


@click.command("run", cls=SeveralSources)
@asking
@click.option("--plan", is_flag=True, help="Only show what would run, with an estimate of its cost.")
@bounds
@recording
@out
@common
def run(common: Common, question: str, plan: bool, out: Out | None, **options: Any) -> int:
    """Ask QUESTION: agents search, read, check and write a report with citations.

    The report goes to stdout or to the file of --out, the progress to stderr. Ctrl-C stops the session at its
    last checkpoint, from where `harness resume` goes on.
    """
    if plan:
        harness = common.harness()
        found = estimate(harness.check(question, **options), harness.bundles, harness.settings)
        answer_json(found) if common.as_json else answer(in_words(found))
        return 0

    async def begin(harness: Harness) -> Session:
        return await harness.start(question, **options)

    return advance(common, lambda harness: harness.check(question, **options), begin, out)
