"""`harness run`: a question becomes a session, and the session a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.advance import advance
from harness.cli.estimate import estimate, in_words
from harness.cli.options import TEXT, Common, Out, bounds, common, out
from harness.cli.output import answer, answer_json

if TYPE_CHECKING:
    from harness.library import Harness
    from harness.session import Session


@click.command("run")
@click.argument("question", type=TEXT)
@click.option(
    "--sources",
    multiple=True,
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="A document or a folder of them, to search and to quote: Markdown, text, HTML, PDF. Repeatable.",
)
@click.option("--offline", is_flag=True, help="Use no language model, no key and no network.")
@click.option("--direct", is_flag=True, help="Call the model with your Claude login, without the gateway.")
@click.option("--model", metavar="ID", help="The model of every agent, instead of those in the settings.")
@click.option(
    "--flow", default="research", show_default=True, help="research (a lead with subagents) or single."
)
@click.option("--plan", is_flag=True, help="Only show what would run, with an estimate of its cost.")
@bounds
@out
@common
def run(
    common: Common, question: str, offline: bool, direct: bool, plan: bool, out: Out | None, **options: Any
) -> int:
    """Ask QUESTION: agents search, read, check and write a report with citations.

    The report goes to stdout or to the file of --out, the progress to stderr. Ctrl-C stops the session at its
    last checkpoint, from where `harness resume` goes on.
    """
    if offline and direct:
        raise click.UsageError("--offline and --direct exclude each other; give one of them")
    options["upstream"] = "offline" if offline else "direct" if direct else "live"
    if plan:
        harness = common.harness()
        found = estimate(harness.check(question, **options), harness.bundles, harness.settings)
        answer_json(found) if common.as_json else answer(in_words(found))
        return 0

    async def begin(harness: Harness) -> Session:
        return await harness.start(question, **options)

    return advance(common, lambda harness: harness.check(question, **options), begin, out)
