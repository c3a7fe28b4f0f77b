"""What is told on stderr: everything that is not the answer, and no secret."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.redaction import Redactor

_NARROW = 79
"""Columns of a line that is written over: it may not break."""

_CLEAR = "\r\x1b[2K"


_redactor: Redactor | None = None


def redact_with(redactor: Redactor) -> None:
    """Say none of the secrets that this redactor knows."""
    global _redactor
    _redactor = redactor


def say(text: str = "") -> None:
    """Tell the person something that is not the answer."""
    if text and _redactor is None:
        # Late, because `harness --help` says nothing; before there are settings, the environment is known.
        from harness.redaction import Redactor
        from harness.settings import known_secrets

        redact_with(Redactor(known_secrets(None)))
    # Not click.echo, which would write past a live display.
    print(_redactor.text(text) if _redactor else text, file=sys.stderr, flush=True)


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
