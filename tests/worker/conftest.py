from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.store.migrate import migrate
from tests.e2e.running import Desk
from tests.kit.outages import OwnPostgres
from tests.kit.processes import kill
from tests.kit.scripted_api import ScriptedProcess, scripted_process
from tests.worker.service import Service


@pytest.fixture
def api(home: Path, holds: Path) -> Iterator[ScriptedProcess]:
    """The played model of all flows."""
    with scripted_process(
        "tests.worker.scripts:service", home / "calls.jsonl", given={"holds": str(holds)}
    ) as played:
        yield played


@pytest.fixture
def service(home: Path, api: ScriptedProcess, dsn: str, holds: Path) -> Iterator[Service]:
    """A service on the database of all tests."""
    yield from serving(Service(Desk(home, api.base_url, dsn), api, dsn, holds))


@pytest.fixture
def own_service(home: Path, api: ScriptedProcess, store: OwnPostgres, holds: Path) -> Iterator[Service]:
    """A service whose Postgres can be stopped."""
    asyncio.run(migrate(store.dsn))
    yield from serving(Service(Desk(home, api.base_url, store.dsn), api, store.dsn, holds))


def serving(service: Service) -> Iterator[Service]:
    """Set a service up, and leave no process of it behind."""
    service.set_up()
    yield service
    service.desk.close()
    kill(*service.processes())
