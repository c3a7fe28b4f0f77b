"""When a process started, on a clock that no step of the machine's moves: ids alone are used again."""

from __future__ import annotations

import os
from pathlib import Path

import psutil


def started_at(pid: int) -> float:
    """Give the second at which a process started, as the kernel noted it once: since the boot on Linux.

    psutil adds the boot's time of day to that, which moves with each step of the clock. Where there is no
    /proc it is psutil's, since the epoch.

    Raises:
        psutil.NoSuchProcess: it is gone.
        psutil.AccessDenied: it is hidden from this user.
    """
    if not psutil.LINUX:
        return psutil.Process(pid).create_time()
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError) as problem:
        raise psutil.NoSuchProcess(pid) from problem
    except PermissionError as problem:
        raise psutil.AccessDenied(pid) from problem
    # From the third field on: the second is the name in brackets, which may hold spaces and brackets too.
    fields = stat.rpartition(b")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")
