"""Bad input at the command line: one sentence with the remedy, exit code 2, and nothing half-created."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from harness.store.database import Database
from harness.store.embedded import EmbeddedServer
from harness.store.tenants import set_limits
from tests.cli.bad_rows import (
    CHANGED,
    FINISHED,
    FINISHED_TWIN,
    FOREIGN,
    GHOSTLY,
    REPLAY,
    ROWS,
    UNFINISHED,
    Row,
    Where,
)
from tests.cli.hand_made import keep, worked
from tests.cli.housekeeping_rows import HOUSEKEEPING
from tests.cli.metrics_rows import METRICS
from tests.cli.processes import NO_MODEL, run_forked
from tests.cli.queue_rows import QUEUE
from tests.cli.rollout_rows import ROLLOUTS
from tests.kit.processes import clean_env

ALL_ROWS = (*ROWS, *HOUSEKEEPING, *METRICS, *QUEUE, *ROLLOUTS)

POOR = {
    "session_usd": 1,
    "session_tokens": 1000,
    "flows": ("single",),
    "models": ("claude-haiku-5-5", "gpt-9"),
}


@dataclass(frozen=True)
class Told:
    """What a refused command said and left behind."""

    code: int
    out: str
    err: str
    created: list[str]
    home_made: bool
    stored_before: tuple[int, ...]
    stored_after: tuple[int, ...]


Databases = dict[Where, str]


@pytest.fixture(scope="module")
def databases(postgres: EmbeddedServer, migrated_template: str) -> Iterator[Databases]:
    """A database with sessions in every state, one whose migration was edited, one from the future."""
    made: Databases = {}
    names: dict[Where, str] = {"main": "bad_main", "tampered": "bad_tampered", "newer": "bad_newer"}
    for kind, name in names.items():
        _execute(postgres.dsn, f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
        made[kind] = make_conninfo(postgres.dsn, dbname=name)
    _execute(made["tampered"], "UPDATE schema_migration SET sha256 = repeat('0', 64) WHERE version = 1")
    _execute(made["newer"], "INSERT INTO schema_migration VALUES (9999, '9999_future', repeat('0', 64))")
    asyncio.run(_sessions(made["main"]))
    yield made
    for name in names.values():
        _execute(postgres.dsn, f"DROP DATABASE {name} WITH (FORCE)")


async def _sessions(dsn: str) -> None:
    async with await Database.open(dsn) as database:
        await keep(database, worked(FINISHED), status="done")
        await keep(database, worked(FINISHED_TWIN), status="done")
        await keep(database, worked(UNFINISHED), status="suspended")
        await keep(database, worked(FOREIGN), tenant="other", status="done")
        await keep(database, worked(GHOSTLY, bundles={"ghost": "v1"}), status="suspended")
        await keep(database, worked(CHANGED, bundles={"analyst": "v1"}), status="suspended")
        await set_limits(database, "poor", POOR)
        await keep(database, worked(REPLAY, upstream="replay", replays=FINISHED), status="done")


def _run(row: Row, databases: Databases, home: Path) -> Told:
    project, data = home / "project", home / "data"
    project.mkdir()
    row.prepare(project)
    dsn = databases.get(row.database)
    env = clean_env(home, NO_MODEL, HARNESS_HOME=str(data), **row.env)
    env |= {"HARNESS_DSN": dsn} if dsn else {}
    before, stored = _files(project), _stored(dsn)
    ended = run_forked(row.args, project, env)
    return Told(
        ended.returncode,
        ended.stdout,
        ended.stderr,
        sorted(_files(project) - before),
        data.exists(),
        stored,
        _stored(dsn),
    )


@pytest.mark.parametrize("row", ALL_ROWS, ids=lambda row: row.name)
def test_bad_input_is_refused_in_one_sentence(row: Row, databases: Databases, tmp_path: Path) -> None:
    """The sentence names what is wrong and the remedy; stdout is empty, and nothing was created."""
    found = _run(row, databases, tmp_path)
    assert "Traceback" not in found.err
    assert found.code == 2, found.err
    assert found.out == ""
    assert re.fullmatch(r"Error: [^\n]+\n", found.err), found.err
    for words in row.says:
        assert re.search(words, found.err, re.IGNORECASE), f"{words!r} is not in: {found.err}"
    assert len(found.err) < 400, "a sentence, not a page"
    assert "secret" not in found.err
    assert found.created == []
    assert not found.home_made, "no store was made"
    assert found.stored_after == found.stored_before


def test_the_rows_have_names_of_their_own() -> None:
    """Two rows of one name would hide one of them."""
    assert len({row.name for row in ALL_ROWS}) == len(ALL_ROWS) >= 20


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _stored(dsn: str | None) -> tuple[int, ...]:
    if dsn is None:
        return ()
    counts = (
        "SELECT (SELECT count(*) FROM session), (SELECT count(*) FROM event), "
        "(SELECT count(*) FROM document), (SELECT count(*) FROM score), "
        "(SELECT count(*) FROM bundle_version), (SELECT count(*) FROM rollout)"
    )
    with psycopg.connect(dsn) as connection:
        return tuple(connection.execute(counts).fetchone() or ())


def _execute(dsn: str, sql: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.encode())
