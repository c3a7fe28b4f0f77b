"""The log as JSON lines: a file for each day (UTC), to which any number of processes append.

Each line has `time`, `level`, `event`, `logger` and `message`, and where they apply `session_id`,
`agent_run_id`, `span_id`, `seq`, what the event has to say, and `exception`.
"""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from harness.cli.stderr import say
from harness.redaction import Redactor

_NAME = "harness-%Y%m%d.jsonl"


class LogFile(logging.Handler):
    """Appends every record to the file of its day in `folder`; files older than `keep_days` are removed.

    What cannot be written is said once on stderr, and stops nothing.
    """

    def __init__(self, folder: Path, keep_days: int, redactor: Redactor) -> None:
        super().__init__()
        self._folder = folder
        self._keep_days = keep_days
        self._redactor = redactor
        self._day: date | None = None
        self._file = -1
        self._failed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line at once, so that lines of several processes never mix."""
        try:
            self._turn_to(datetime.fromtimestamp(record.created, UTC).date())
            os.write(self._file, self.line(record))
        except (TypeError, ValueError):
            self.handleError(record)  # a sentence that does not fit its arguments
        except OSError as problem:
            if not self._failed:
                self._failed = True
                say(f"The log in {self._folder} cannot be written ({problem.strerror}); it is left out.")

    def line(self, record: logging.LogRecord) -> bytes:
        """Give a record as its line, without secrets."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        said: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", f"log.{record.name}"),
            **getattr(record, "fields", {}),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["exception"] = logging.Formatter().formatException(record.exc_info)
        known = {name: value for name, value in said.items() if value is not None}
        return json.dumps(self._redactor.value(known), default=str).encode() + b"\n"

    def close(self) -> None:
        """Close the file of the day."""
        if self._file >= 0:
            os.close(self._file)
            self._file, self._day = -1, None
        super().close()

    def _turn_to(self, day: date) -> None:
        if day == self._day:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / day.strftime(_NAME)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._day = file, day
        oldest = (day - timedelta(days=self._keep_days)).strftime(_NAME)
        for each in self._folder.glob("harness-????????.jsonl"):
            if each.name < oldest:
                each.unlink(missing_ok=True)
