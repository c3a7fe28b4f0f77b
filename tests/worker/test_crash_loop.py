"""A session that takes its worker with it, each time: in the end it is set aside, and the others go on."""

from __future__ import annotations

import signal
import time

import pytest

from tests.e2e.running import Command
from tests.worker.lab import agent_with_tool
from tests.worker.outcome import check_nothing_left
from tests.worker.service import LINE, SETTINGS, SINGLE, Service

pytestmark = pytest.mark.timeout(300)

MAX_TRIES = 3
"""One more than another session can lose before it is taken up alone."""

PLACES = 4

FATAL = "os.kill(os.getpid(), signal.SIGKILL)"


def test_a_session_that_kills_its_worker_is_set_aside(service: Service) -> None:
    """It waits for a person, who is told why; sessions of the same worker end as if it were not there."""
    (service.desk.home / "harness.toml").write_text(f"{SETTINGS}max_tries = {MAX_TRIES}\n")
    fatal = agent_with_tool(service.desk.home, "fatal", FATAL)
    crashing, *others = service.submit(fatal, SINGLE, LINE, SINGLE)
    lost = _kept_up(service, service.worker(PLACES))
    service.drained()
    standing = service.statuses()
    assert standing == {crashing: "suspended", **dict.fromkeys(others, "done")}
    assert lost == MAX_TRIES
    code, shown = service.desk.run("show", crashing)
    assert code == 0
    assert f"took it up {MAX_TRIES} times and it got no further" in str(shown), shown
    check_nothing_left(service)


def _kept_up(service: Service, worker: Command) -> int:
    """Start the worker again whenever it dies, as systemd does, until nothing is left to do; count them."""
    lost, deadline = 0, time.monotonic() + 200
    while set(service.statuses().values()) - {"done", "suspended"}:
        assert time.monotonic() < deadline, service.statuses()
        if worker.process.poll() is not None:
            assert worker.process.returncode == -signal.SIGKILL, worker.errors
            lost += 1
            service.workers.remove(worker)
            worker = service.worker(PLACES)
        time.sleep(0.2)
    return lost
