"""Homes for tests: folders with short paths that every account may enter, removed afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.store.embedded import status


@contextmanager
def new_home() -> Iterator[Path]:
    """An empty folder; a database server that was left behind in it is ended, also when the test failed."""
    # Postgres refuses to run as root, and pytest's own temporary folders are closed to other accounts.
    folder = Path(tempfile.mkdtemp(prefix="harness-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        for data in folder.rglob("PG_VERSION"):
            if data.parent.name == "postgres" and (pid := status(data.parents[1]).pid):
                os.kill(pid, signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)
