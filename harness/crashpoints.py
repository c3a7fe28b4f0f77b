"""Named places just before and just after each commit, where tests stop the process to kill something.

Nothing happens unless a test armed one of them by an environment variable: the process then leaves a note in
a file and stops itself (SIGSTOP), so that whoever is to die dies exactly there. The names are made from what
is committed, `before tool.requested` and `after tool.requested`, so no commit is without its two points.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.settings import armed_crash_point


@dataclass
class _Armed:
    point: str
    left: int
    file: Path


def reached(point: str) -> None:
    """Do nothing; or stop here, if this is the armed point and its turn has come."""
    armed = _armed()
    if armed is None or armed.point != point:
        return
    armed.left -= 1
    if armed.left == 0:
        armed.file.write_text(point)
        os.kill(os.getpid(), signal.SIGSTOP)


@cache
def _armed() -> _Armed | None:
    """Read `POINT#COUNT@FILE`: stop when the point is reached for the COUNTth time, and note it in FILE."""
    text = armed_crash_point()
    if not text:
        return None
    point, _, rest = text.partition("#")
    count, _, file = rest.partition("@")
    return _Armed(point, int(count), Path(file))
