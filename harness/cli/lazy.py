"""Importing late, so that `harness --help` need not wait for the SDK, and quickly, when it must be."""

from __future__ import annotations

import gc
import importlib
import keyword
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click


@contextmanager
def importing() -> Iterator[None]:
    """Import much in this block, with no search for garbage in it, and never search through it again.

    Modules stay. Looking through them again and again takes a sixth of the time their import does.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class LazyGroup(click.Group):
    """Knows each command by name, as (module that defines it under that name, its short help)."""

    def __init__(self, *args: Any, commands_in: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._commands_in = commands_in

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order a person meets them."""
        return list(self._commands_in)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self._commands_in:
            return None
        with importing():
            module = importlib.import_module(self._commands_in[cmd_name][0])
        # `import` can be no name of a function.
        command = getattr(module, f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{cmd_name} in {self._commands_in[cmd_name][0]} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in self._commands_in.items()])
