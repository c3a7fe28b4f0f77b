"""`harness run`: a question becomes a session, and the session a report."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.advance import advance
from harness.cli.estimate import estimate, in_words
from harness.cli.options import TEXT, Common, Out, bounds, common, out, recording
from harness.cli.output import answer, answer_json

if TYPE_CHECKING:
    from harness.library import Harness
    from harness.session import Session


class _SeveralSources(click.Command):
    """Takes several paths after one `--sources`, as a wildcard gives them, once the question is there."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each of its paths."""
        takes_value = {
            name
            for param in self.params
            if isinstance(param, click.Option) and not param.is_flag
            for name in param.opts
        }
        return super().parse_args(ctx, spread_sources(args, takes_value))


def spread_sources(args: Sequence[str], takes_value: Collection[str]) -> list[str]:
    """Write `--sources a b` as `--sources a --sources b`; before the question a path is followed by it."""
    spread: list[str] = []
    asked, option = False, ""
    for arg in args:
        if arg.startswith("-"):
            option = arg
        elif spread and spread[-1] == option and option in takes_value:
            pass  # the option's own value
        elif option == "--sources" and asked:
            spread.append(option)
        else:
            asked, option = True, ""
        spread.append(arg)
    return spread


@click.command("run", cls=_SeveralSources)
@click.argument("question", type=TEXT)
@click.option(
    "--sources",
    multiple=True,
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="A document or a folder of them, to search and to quote: Markdown, text, HTML, PDF. Takes several.",
)
@click.option("--offline", is_flag=True, help="Use no language model, no key and no network.")
@click.option("--direct", is_flag=True, help="Call the model with your Claude login, without the gateway.")
@click.option("--model", metavar="ID", help="The model of every agent, instead of those in the settings.")
@click.option(
    "--flow",
    metavar="NAME_OR_FILE",
    default="research",
    show_default=True,
    help="Who works, and in which order: research (a lead with subagents), single, or a flow of yours.",
)
@click.option("--plan", is_flag=True, help="Only show what would run, with an estimate of its cost.")
@bounds
@recording
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
