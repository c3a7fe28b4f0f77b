"""Two machines with a worker each and one Postgres; one of them is cut off in the middle of a session.

They are network namespaces of this host, which takes root and `ip`; without them these tests fail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from harness.store import postmaster
from harness.store.migrate import migrate
from tests.e2e.running import Command, Desk
from tests.kit.outages import OwnPostgres
from tests.kit.processes import alive, until_sync
from tests.kit.scripted_api import scripted_process
from tests.worker.conftest import serving
from tests.worker.machines import Machine, Network, network
from tests.worker.outcome import check_all, check_nothing_left
from tests.worker.service import SINGLE, Service

pytestmark = pytest.mark.timeout(300)

SETTINGS = """
lease_ttl_s = 5
[worker]
poll_s = 0.5
"""


@dataclass
class Site:
    """A machine with its own home, and its worker."""

    machine: Machine
    desk: Desk
    worker: Command

    def drain(self) -> None:
        """Tell the worker to end, and see that it does."""
        (itself,) = psutil.Process(self.worker.process.pid).children()
        itself.terminate()
        assert self.worker.wait() == 0, self.worker.errors


@pytest.fixture
def wires() -> Iterator[Network]:
    with network("one", "two") as made:
        yield made


@pytest.fixture
def dsn(home: Path, wires: Network, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Postgres that listens where the machines reach it."""
    monkeypatch.setitem(postmaster.SETTINGS, "listen_addresses", wires.address)
    own = OwnPostgres(home / "harness")
    try:
        with (home / "harness" / "postgres" / "pg_hba.conf").open("a") as rules:
            rules.write("host all postgres 198.18.0.0/15 trust\n")
        own.stop()
        own.start()
        asyncio.run(migrate(own.dsn))
        yield f"postgresql://postgres@{wires.address}:{postmaster.PORT}/postgres"
    finally:
        own.close()


@pytest.fixture
def service(home: Path, wires: Network, dsn: str, holds: Path) -> Iterator[Service]:
    """The host's own desk: from here sessions are submitted and watched."""
    with scripted_process(
        "tests.worker.scripts:service", home / "calls.jsonl", given={"holds": str(holds)}, host=wires.address
    ) as api:
        yield from serving(Service(Desk(home, api.base_url, dsn), api, dsn, holds))


@pytest.fixture
def sites(service: Service, wires: Network) -> Iterator[list[Site]]:
    """Both machines, each with a worker that takes one session at a time; the second one starts later."""
    made = []
    for machine in wires.machines:
        home = service.desk.home / machine.name
        desk = Desk(home, service.desk.base_url, service.desk.dsn, prefix=machine.prefix)
        there = Service(desk, service.api, service.dsn, service.holds)
        home.mkdir()
        there.set_up(SETTINGS)
        made.append((machine, there))
    yield [Site(machine, there.desk, there.worker(1)) for machine, there in made]
    for _, there in made:
        there.desk.close()


def test_one_is_cut_off_and_the_other_takes_over(service: Service, sites: list[Site]) -> None:
    """The one that was cut off stops by itself, writes nothing when it is back, and works on for others."""
    service.hold("step-1")
    (session_id,) = service.submit(SINGLE)
    service.until_open("step-1")
    cut, other = sorted(sites, key=lambda site: not site.worker.clis())
    assert holder(service, session_id) == cut.machine.name
    agents = cut.worker.clis()
    cut.machine.unplug()
    until_sync(lambda: holder(service, session_id) == other.machine.name, "a takeover", timeout_s=60)
    until_sync(lambda: not any(map(alive, agents)), "the agents of the one that is cut off to be stopped")
    before = written_by_others(service, session_id)
    service.until_open("step-1", count=2)
    cut.machine.plug_in()
    service.release("step-1")
    assert service.desk.run("wait", session_id)[0] == 0
    # The other one has nothing to do with what comes now.
    other.drain()
    (further,) = service.submit(SINGLE)
    assert service.desk.run("wait", further)[0] == 0
    assert any(line["session_id"] == further for line in cut.worker.lines), cut.worker.errors
    cut.drain()
    assert written_by_others(service, session_id) == before, "it has written when it was back"
    sums = check_all(service)
    assert sums.repeated <= 1, sums
    check_nothing_left(service)


def holder(service: Service, session_id: str) -> str | None:
    """The host of the process that has a session's lease."""
    (row,) = service.asked("select holder ->> 'host' as host from session where id = %s", (session_id,))
    return None if row["host"] is None else str(row["host"])


def written_by_others(service: Service, session_id: str) -> int:
    """How many events of a session have another token than that of its newest holder."""
    (row,) = service.asked("select token from session where id = %s", (session_id,))
    return sum(token < row["token"] for token in service.tokens(session_id))
