"""A real Postgres for the tests: one server for each test process, one database for each test."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from harness.store.database import Database
from harness.store.embedded import EmbeddedServer, status
from harness.store.migrate import OLDEST_SERVER, migrate
from tests.kit.databases import fresh_database
from tests.kit.homes import new_home
from tests.kit.oldest_postgres import PROGRAMS, use_oldest_postgres
from tests.kit.outages import OwnPostgres
from tests.kit.seeds import run_seed

_TEMPLATE = "migrated"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run name programs that are not installed with the tests."""
    parser.addoption("--phoenix", metavar="PATH", help="the command `phoenix` of an Arize Phoenix")
    parser.addoption("--oldest-postgres", action="store_true", help="run on the oldest Postgres promised")


def pytest_configure(config: pytest.Config) -> None:
    """Let children take Ctrl-C also where a shell has started the tests in the background, ignoring it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--oldest-postgres"):
        if not (PROGRAMS / "postgres").exists():
            raise pytest.UsageError(
                f"{PROGRAMS} has no server: install the package postgresql-{OLDEST_SERVER}."
            )
        use_oldest_postgres(pytest.MonkeyPatch())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how to repeat this run's random choices."""
    terminalreporter.write_line(f"seed of this run: HARNESS_TEST_SEED={run_seed()}")


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty folder with a short path that every account may enter; removed afterwards."""
    with new_home() as folder:
        yield folder


@pytest.fixture
def holds(home: Path) -> Path:
    """A folder where what the played model answers can be held."""
    folder = home / "holds"
    folder.mkdir()
    return folder


@pytest.fixture
def stepped_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Set the machine's clock two seconds on, as processes see it: the boot moves with it."""
    booted = psutil.boot_time()
    return lambda: monkeypatch.setattr("psutil._psplatform.boot_time", lambda: booted + 2)


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Iterator[EmbeddedServer]:
    """A running server with an empty data folder of its own and all durability settings on."""
    with new_home() as folder, EmbeddedServer.acquire(folder) as server:
        if pytestconfig.getoption("--oldest-postgres"):
            assert status(folder).version == str(OLDEST_SERVER)
        yield server


@pytest.fixture
def store(home: Path) -> Iterator[OwnPostgres]:
    """A Postgres of the test's own, which can be taken away."""
    own = OwnPostgres(home / "harness")
    yield own
    own.close()


@pytest.fixture(scope="session")
def migrated_template(postgres: EmbeddedServer) -> str:
    """The name of a migrated database that nobody is connected to, to clone."""
    _execute(postgres.dsn, f"CREATE DATABASE {_TEMPLATE}")
    asyncio.run(migrate(make_conninfo(postgres.dsn, dbname=_TEMPLATE)))
    return _TEMPLATE


@pytest.fixture
def empty_dsn(postgres: EmbeddedServer) -> Iterator[str]:
    """The DSN of a database without any table; dropped afterwards."""
    with fresh_database(postgres.dsn, "template0") as made:
        yield made


@pytest.fixture
def dsn(postgres: EmbeddedServer, migrated_template: str) -> Iterator[str]:
    """The DSN of a fresh migrated database; dropped afterwards."""
    with fresh_database(postgres.dsn, migrated_template) as made:
        yield made


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """An open Database on a fresh migrated database."""
    async with await Database.open(dsn) as opened:
        yield opened


def _execute(dsn: str, sql: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.encode())
