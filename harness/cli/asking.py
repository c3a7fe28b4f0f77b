"""What a question is asked with: the argument and options that `run` and `submit` have in common."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import click

from harness.cli.options import TEXT, Function


class SeveralSources(click.Command):
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


def asking(function: Function) -> Function:
    """Add the question and who works on it with what; `upstream` arrives as the way to the model."""

    @click.argument("question", type=TEXT)
    @click.option(
        "--sources",
        multiple=True,
        metavar="PATH",
        type=click.Path(path_type=Path),
        help="A document or a folder of them, to search and to quote: Markdown, text, HTML, PDF. "
        "Takes several.",
    )
    @click.option("--offline", is_flag=True, help="Use no language model, no key and no network.")
    @click.option("--direct", is_flag=True, help="Call the model with your Claude login, past the gateway.")
    @click.option("--model", metavar="ID", help="The model of every agent, instead of those in the settings.")
    @click.option(
        "--flow",
        metavar="NAME_OR_FILE",
        default="research",
        show_default=True,
        help="Who works, and in which order: research (a lead with subagents), single, or a flow of yours.",
    )
    @click.option(
        "--tag", "tags", multiple=True, metavar="TEXT", help="A tag to find its traces by. Takes several."
    )
    @functools.wraps(function)
    def wrapper(*args: Any, offline: bool, direct: bool, **kwargs: Any) -> Any:
        if offline and direct:
            raise click.UsageError("--offline and --direct exclude each other; give one of them")
        upstream = "offline" if offline else "direct" if direct else "live"
        return function(*args, upstream=upstream, **kwargs)

    return wrapper
