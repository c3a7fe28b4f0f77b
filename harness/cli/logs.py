"""What is logged goes to stderr: warnings of the harness, or everything with `--debug`."""

from __future__ import annotations

import logging
import sys
from types import TracebackType

from harness.cli.stderr import say


class _Stderr(logging.Handler):
    """Looks stderr up each time: a live display puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


def to_stderr() -> None:
    """Show the harness's warnings, and an unexpected error as a sentence."""
    handler = _Stderr()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.CRITICAL, handlers=[handler], force=True)
    logging.getLogger("harness").setLevel(logging.WARNING)
    # The driver's warnings come several a second while Postgres is away; ours says it once.
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    sys.excepthook = _tell_bug


def show_all() -> None:
    """Show what every part logs, and the traceback of an unexpected error."""
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("harness").setLevel(logging.DEBUG)
    logging.getLogger("psycopg").setLevel(logging.INFO)
    sys.excepthook = sys.__excepthook__


def _tell_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    said = (str(error).splitlines() or [""])[0]
    say(
        f"Error: This is a fault of the harness itself ({kind.__name__}: {said}); "
        "run the command again with --debug to see where, and report it."
    )
