"""Workers that are told to end while sessions are at work."""

from __future__ import annotations

import pytest

from tests.e2e.running import Command
from tests.kit.processes import until_sync
from tests.worker.lab import agent_with_tool
from tests.worker.outcome import check_all, check_nothing_left
from tests.worker.service import LEAD, LINE, SETTINGS, SINGLE, Service

pytestmark = pytest.mark.timeout(300)


def test_a_draining_worker_hands_over_and_no_call_is_cut(service: Service) -> None:
    """Calls on the wire are read to their end, and another worker goes on: nothing is asked or paid twice."""
    leaving = service.worker(3)
    service.hold("step-1")
    service.hold("a")
    service.submit(SINGLE, LINE, LEAD, SINGLE)
    service.until_open("step-1")
    until_sync(lambda: len(left(leaving)) + 3 <= len(claimed(leaving)), "three sessions at work")
    leaving.process.terminate()
    until_sync(lambda: any("Handing" in line for line in leaving.errors), "it to hear")
    staying = service.worker(3)
    assert leaving.process.poll() is None, "it waits for the answers on the wire"
    service.release("step-1")
    service.release("a")
    assert leaving.wait() == 0, leaving.errors
    handed_back = [line["session_id"] for line in left(leaving) if line["status"] == "queued"]
    assert handed_back
    service.until_done()
    service.drained()
    assert {line["session_id"] for line in claimed(staying)} >= set(handed_back)
    sums = check_all(service)
    assert (sums.repeated, sums.unattributed) == (0, 0), sums
    assert {call.outcome for call in service.api.calls().messages()} == {"completed"}
    check_nothing_left(service)


UNTIL_TOLD = """
began = Path("began")
again = began.exists()
began.touch()
while not again:
    await asyncio.sleep(0.1)
"""


def test_a_tool_that_outlasts_the_grace_is_cut_off(service: Service) -> None:
    """The worker ends all the same; another one takes the session up at that tool call."""
    home = service.desk.home
    (home / "harness.toml").write_text(f"{SETTINGS}[limits]\nstop_grace_s = 1\n")
    endless = agent_with_tool(home, "endless", UNTIL_TOLD)
    leaving = service.worker()
    (session_id,) = service.submit(endless)
    until_sync((home / "began").exists, "the tool to begin", timeout_s=60)
    leaving.process.terminate()
    assert leaving.wait() == 0, leaving.errors
    assert service.statuses() == {session_id: "queued"}
    assert service.processes() == []
    service.worker()
    service.until_done()
    service.drained()
    sums = check_all(service)
    assert (sums.calls, sums.repeated, sums.unattributed) == (2, 0, 0), sums
    assert service.kinds_of(session_id).count("tool.requested") == 3, "the answer is a tool call as well"


def claimed(worker: Command) -> list[dict[str, str]]:
    """What a worker has taken up."""
    return [line for line in list(worker.lines) if line["event"] == "session.claimed"]


def left(worker: Command) -> list[dict[str, str]]:
    """What a worker has left."""
    return [line for line in list(worker.lines) if line["event"] == "session.left"]
