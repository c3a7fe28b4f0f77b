"""What all tests of the gateway have: one database, with a session for each, and no needless waiting."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from harness.gateway import app, relay, replay
from harness.store.database import Database
from harness.store.embedded import EmbeddedServer
from tests.kit.databases import fresh_database
from tests.kit.gateways import SPENT, Bench, bench_on
from tests.kit.scripted_api import Reply, ScriptedApi, text


@pytest.fixture(scope="module")
def dsn(postgres: EmbeddedServer, migrated_template: str) -> Iterator[str]:
    with fresh_database(postgres.dsn, migrated_template) as shared:
        yield shared


@pytest.fixture(autouse=True)
def quick_and_local(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits between attempts, and no proxy of this machine before the played model."""
    monkeypatch.setattr(relay, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(app, "ROOM_PAUSE_S", 0.05)
    monkeypatch.setattr(app, "SWEEP_S", 0.2)
    monkeypatch.setattr(replay, "CANCELLED_WAITS_S", 0.05)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi(lambda request: Reply([text("Understood. " * 20)], usage=SPENT, deltas=9)) as played:
        yield played


@pytest.fixture
async def bench(database: Database, api: ScriptedApi) -> AsyncIterator[Bench]:
    async with bench_on(database, api) as opened:
        yield opened
