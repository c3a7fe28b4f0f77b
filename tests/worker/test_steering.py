"""Sessions with a worker, as a person steers and watches them from other processes."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from harness.cli.advance import EXIT
from harness.records import SessionStatus
from tests.e2e.scripts import ALONE
from tests.kit.outages import OwnPostgres
from tests.kit.processes import until_sync
from tests.worker.outcome import check_all, check_nothing_left
from tests.worker.service import KINDS, LEAD, LINE, SINGLE, Service

pytestmark = pytest.mark.timeout(300)


def test_paused_in_mid_call_left_to_workers_again_and_watched(service: Service) -> None:
    """The answer on the wire is kept, nobody goes on before the person says so, and watchers see it all."""
    service.worker()
    service.hold("step-1")
    (session_id,) = service.submit(SINGLE)
    first = service.desk.start("tail", session_id)
    service.until_open("step-1")
    assert service.desk.start("pause", session_id).wait() == 0
    service.release("step-1")
    assert first.wait() == EXIT["suspended"]
    assert first.finished is not None
    assert first.finished["problem"] == "It was paused."
    # The next session is taken up, this one is not.
    (other,) = service.submit(LINE)
    assert service.desk.run("wait", other)[0] == 0
    assert service.statuses()[session_id] == "suspended"
    assert service.desk.start("resume", session_id, "--submit").wait() == 0
    second = service.desk.start("tail", session_id)
    assert service.desk.run("wait", session_id, other)[0] == 0
    assert second.wait() == 0
    assert second.finished is not None
    assert second.finished["report"] == ALONE
    service.drained()
    sums = check_all(service)
    assert (sums.repeated, sums.unattributed) == (0, 0), sums
    check_nothing_left(service)


def test_a_cancelled_session_leaves_no_process_at_once(service: Service) -> None:
    """Its agents are gone while their calls are still on the wire; the worker goes on with another one."""
    worker = service.worker()
    service.hold("answer-tides")
    (session_id,) = service.submit(LEAD)
    service.until_open("answer-tides")
    assert worker.clis()
    assert service.desk.start("cancel", session_id).wait() == 0
    assert service.desk.run("wait", session_id)[0] == EXIT["cancelled"]
    until_sync(lambda: not worker.clis(), "its CLIs to be gone")
    assert service.processes() == []
    assert service.kinds_of(session_id)[-1] == "session.finished"
    (other,) = service.submit(SINGLE)
    assert service.desk.run("wait", other)[0] == 0
    assert service.statuses()[session_id] == "cancelled"
    service.drained()
    check_nothing_left(service)


@pytest.mark.parametrize(("word", "status"), [("cancel", "cancelled"), ("pause", "suspended")])
def test_what_a_frozen_worker_did_not_hear_is_heard_by_the_next(
    service: Service, word: str, status: SessionStatus
) -> None:
    """It was said to one that lived but did not listen, and holds for whoever takes the session over."""
    frozen = service.worker()
    service.hold("step-1")
    (session_id,) = service.submit(SINGLE)
    service.until_open("step-1")
    frozen.process.send_signal(signal.SIGSTOP)
    try:
        assert service.desk.start(word, session_id).wait() == 0
        service.worker()
        assert service.desk.run("wait", session_id)[0] == EXIT[status]
        assert service.statuses() == {session_id: status}
    finally:
        frozen.process.send_signal(signal.SIGCONT)
    tokens = service.tokens(session_id)
    service.release("step-1")
    service.drained()
    assert service.tokens(session_id) == tokens, "the frozen one has written when it came back"
    assert tokens == sorted(tokens)
    check_nothing_left(service)


@pytest.fixture
def pooled(own_service: Service, store: OwnPostgres) -> Iterator[Service]:
    """A service whose workers and commands reach Postgres through pgbouncer, in transaction mode."""
    with store.behind_pgbouncer() as dsn:
        own_service.desk.dsn = dsn
        yield own_service


def test_sessions_are_found_behind_a_transaction_pooler(pooled: Service) -> None:
    """No notification arrives there; polling finds what is due, and leases carry what is asked."""
    pooled.worker()
    pooled.submit(*KINDS)
    pooled.until_done()
    assert pooled.desk.run("wait", *pooled.sessions)[0] == 0
    pooled.hold("step-1")
    (session_id,) = pooled.submit(SINGLE)
    pooled.until_open("step-1")
    assert pooled.desk.start("cancel", session_id).wait() == 0
    assert pooled.desk.run("wait", session_id)[0] == EXIT["cancelled"]
    pooled.drained()
    assert check_all(pooled, but=session_id).repeated == 0
    check_nothing_left(pooled)
