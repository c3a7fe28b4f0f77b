"""What is told on stderr: everything that is not the answer."""

from __future__ import annotations

import sys
from typing import Any

_NARROW = 79
"""Columns of a line that is written over: it may not break."""

_CLEAR = "\r\x1b[2K"


def say(text: str = "") -> None:
    """Tell the person something that is not the answer."""
    # Not click.echo, which would write past a live display.
    print(text, file=sys.stderr, flush=True)


def refuse(text: str) -> int:
    """Say in one sentence what cannot be used, and give the exit code for it."""
    say(f"Error: {' '.join(text.split())}")
    return 2


class Countdown:
    """Says how long another process's lease still lasts, until it is closed."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._said = False

    def __call__(self, holder: Any, left_s: float) -> None:
        """Show the seconds left; a pipe is told once."""
        text = f"Waiting for the lease of process {holder.pid} on {holder.host}: {left_s:.0f} s"
        if self._live:
            print(f"{_CLEAR}{text[:_NARROW]}", end="", file=sys.stderr, flush=True)
        elif not self._said:
            say(text)
        self._said = True

    def close(self) -> None:
        """Clear the line."""
        if self._live and self._said:
            print(_CLEAR, end="", file=sys.stderr, flush=True)
