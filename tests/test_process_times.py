"""When a process started: the same before and after the clock is set, whatever the process is called."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import psutil
import pytest

from harness.process_times import started_at

ODD = "a) 1 (b 2"
linux_only = pytest.mark.skipif(not psutil.LINUX, reason="names and starts are read from /proc")


@linux_only
def test_a_process_with_an_odd_name_started_when_psutil_says() -> None:
    """Brackets and spaces in its name are no fields."""
    code = f"open('/proc/self/comm', 'w').write({ODD!r}); print(flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    found = psutil.Process(process.pid)
    assert found.name() == ODD
    assert started_at(process.pid) == pytest.approx(found.create_time() - psutil.boot_time(), abs=0.02)
    process.communicate(b"\n")


@linux_only
def test_a_step_of_the_clock_moves_no_start(stepped_clock: Callable[[], None]) -> None:
    """What psutil says of the same process does move."""
    process = psutil.Process()
    before, said = started_at(process.pid), process.create_time()
    stepped_clock()
    assert started_at(process.pid) == before
    assert psutil.Process().create_time() == pytest.approx(said + 2)


def test_a_process_that_is_gone_is_not_there() -> None:
    """As psutil says it, also when its id has been reaped only just now."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with pytest.raises(psutil.NoSuchProcess):
        started_at(process.pid)
