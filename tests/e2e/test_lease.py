"""Who may advance a session: a frozen process, two resumes at once, and a store that goes away."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.e2e.running import Command, Desk
from tests.e2e.scripts import REPORT, topic_of
from tests.kit.campaign import cases
from tests.kit.processes import until_sync
from tests.kit.scripted_api import ScriptedProcess

TTL_S = 2


@pytest.fixture
def short_lease(desk: Desk) -> Iterator[Desk]:
    """A desk whose leases last two seconds."""
    (desk.home / "harness.toml").write_text(f"lease_ttl_s = {TTL_S}\n")
    yield desk
    for command in desk.started:
        if command.process.poll() is None:
            command.process.send_signal(signal.SIGCONT)


def test_a_frozen_process_writes_nothing_when_it_comes_back(
    short_lease: Desk, api: ScriptedProcess, holds: Path, dsn: str
) -> None:
    """A second process takes over after the lease has ended; the first one's token is refused."""
    frozen = _held(short_lease, api, holds)
    session_id = frozen.session_id
    assert session_id is not None
    frozen.process.send_signal(signal.SIGSTOP)
    (holds / "answer-winds.hold").unlink()
    resumed = short_lease.start("resume", session_id)
    until_sync(lambda: any(line.get("event") == "session.resumed" for line in resumed.lines), "the takeover")
    token = _tokens(dsn)[-1]
    frozen.process.send_signal(signal.SIGCONT)
    (holds / "answer-winds.go").touch()
    assert resumed.wait() == 0
    assert resumed.finished is not None
    assert resumed.finished["report"] == REPORT
    assert frozen.wait() == 3
    assert frozen.finished is not None
    assert frozen.finished["status"] == "suspended"
    tokens = _tokens(dsn)
    assert tokens == sorted(tokens), "an event of the old token came after one of the new"
    assert tokens[-1] == token


def test_of_two_resumes_one_runs_and_one_names_the_holder(
    short_lease: Desk, api: ScriptedProcess, holds: Path
) -> None:
    """The second process does not wait for ever, and says who is at work."""
    first = _held(short_lease, api, holds)
    assert first.session_id is not None
    second = short_lease.start("resume", first.session_id)
    assert second.wait() == 2
    assert str(first.process.pid) in "".join(second.errors)
    (holds / "answer-winds.go").touch()
    assert first.wait() == 0


def test_a_dead_holder_is_taken_over_from_at_once(desk: Desk, api: ScriptedProcess, holds: Path) -> None:
    """The lease of a process that is gone from this machine is not waited for."""
    first = _held(desk, api, holds)
    first.kill(clis_too=True)
    (holds / "answer-winds.hold").unlink()
    assert first.session_id is not None
    second = desk.start("resume", first.session_id)
    assert second.wait() == 0
    assert not any("wait" in line.lower() for line in second.errors), second.errors


@pytest.mark.parametrize("away_s", cases({"2 s": 2, "10 s": 10}, {"2 s"}))
def test_a_store_that_comes_back_is_waited_for(
    desk: Desk, api: ScriptedProcess, holds: Path, dsn: str, away_s: int
) -> None:
    """Connections are refused and cut for a while in mid-run; the run waits and ends with nothing missing."""
    running = _held(desk, api, holds)
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(psycopg.conninfo.make_conninfo(dsn, dbname="postgres"), autocommit=True) as admin:
        admin.execute(f'alter database "{name}" allow_connections false')
        admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
        (holds / "answer-winds.go").touch()
        time.sleep(away_s)
        admin.execute(f'alter database "{name}" allow_connections true')
    assert running.wait() == 0
    assert running.finished is not None
    assert running.finished["report"] == REPORT


def _held(desk: Desk, api: ScriptedProcess, holds: Path) -> Command:
    """A run that waits for one researcher's answer."""
    (holds / "answer-winds.hold").touch()
    command = desk.start("run", "How?", "--sources", "notes.md")

    def waits() -> bool:
        calls = api.calls().messages()
        return any(
            c.outcome == "open" and topic_of(c.request) == "winds" and c.request.turn == 1 for c in calls
        )

    until_sync(waits, "the held researcher to wait", timeout_s=60)
    return command


def _tokens(dsn: str) -> list[int]:
    with psycopg.connect(dsn) as connection:
        return [row[0] for row in connection.execute("select token from event order by seq")]
