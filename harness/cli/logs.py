"""Where what is logged goes: to stderr warnings of the harness, or all with `--debug`; to a file if asked."""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from harness.cli import stderr
from harness.cli.stderr import say

if TYPE_CHECKING:
    from harness.redaction import Redactor
    from harness.settings import Settings

FOLDER = "logs"
"""Where the log files are, in the home folder."""


class _Stderr(logging.Handler):
    """Looks stderr up each time: a live display puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


_STDERR = _Stderr()
_STDERR.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))


def to_stderr() -> None:
    """Show the harness's warnings, and an unexpected error as a sentence."""
    _STDERR.setLevel(logging.WARNING)
    logging.basicConfig(level=logging.CRITICAL, handlers=[_STDERR], force=True)
    logging.getLogger("harness").setLevel(logging.WARNING)
    # The driver's warnings come several a second while Postgres is away; ours says it once.
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    sys.excepthook = _tell_bug


def show_all() -> None:
    """Show what every part logs, and the traceback of an unexpected error."""
    _STDERR.setLevel(logging.NOTSET)
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("harness").setLevel(logging.DEBUG)
    logging.getLogger("psycopg").setLevel(logging.INFO)
    sys.excepthook = _tell_all


def follow(settings: Settings, redactor: Redactor) -> None:
    """Let stderr say none of the secrets of the settings, and keep the log in a file if they say so."""
    stderr.redact_with(redactor)
    if settings.logs.json_lines:
        _to_file(settings.home / FOLDER, settings.logs.keep_days, redactor)


def _to_file(folder: Path, keep_days: int, redactor: Redactor) -> None:
    from harness.cli.log_file import LogFile  # here, because most commands keep no log

    root, own = logging.getLogger(), logging.getLogger("harness")
    for handler in [each for each in root.handlers if isinstance(each, LogFile)]:
        root.removeHandler(handler)
        handler.close()
    root.addHandler(LogFile(folder, keep_days, redactor))
    own.setLevel(min(own.level, logging.INFO))


def _tell_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    said = (str(error).splitlines() or [""])[0]
    say(
        f"Error: This is a fault of the harness itself ({kind.__name__}: {said}); "
        "run the command again with --debug to see where, and report it."
    )


def _tell_all(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    say("".join(traceback.format_exception(kind, error, trace)).rstrip())
