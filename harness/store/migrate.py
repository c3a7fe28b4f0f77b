"""Numbered SQL files under an advisory lock: all pending ones are applied in one transaction, or none is.

What was applied is kept in `schema_migration` with the file's SHA-256, so that a file edited afterwards is
noticed instead of silently meaning two different schemas.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

from harness.errors import MigrationRefused, RoleRefused
from harness.store.database import Connection, Database, place
from harness.store.queries import trusted
from harness.store.tenant_roles import give_rights

FOLDER = Path(__file__).with_name("migrations")

# Any constant will do, as long as nothing else in the database takes the same one.
_LOCK_KEY = 0x6861726E657373  # "harness"

_FILE = re.compile(r"^(\d{4})_(\w+)\.sql$")

OLDEST_SERVER = 15
"""The first major version of Postgres whose views can be read under their reader's own row-level security."""

_SERVER: LiteralString = """
SELECT current_setting('server_version') AS version,
       current_setting('server_version_num')::int / 10000 AS major
"""
_LOCK: LiteralString = "SELECT pg_advisory_xact_lock(%(key)s)"
_EXISTS: LiteralString = "SELECT to_regclass('schema_migration') IS NOT NULL AS there"
_CREATE: LiteralString = """
CREATE TABLE IF NOT EXISTS schema_migration (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
_APPLIED: LiteralString = "SELECT version, name, sha256 FROM schema_migration ORDER BY version"
_RECORD: LiteralString = (
    "INSERT INTO schema_migration (version, name, sha256) VALUES (%(version)s, %(name)s, %(sha256)s)"
)


@dataclass(frozen=True)
class Migration:
    """One numbered file."""

    version: int
    name: str
    sql: LiteralString
    sha256: str


@dataclass(frozen=True)
class SchemaStatus:
    """What of the schema is there: names of the applied and of the pending migrations, in order."""

    applied: tuple[str, ...]
    pending: tuple[str, ...]


async def migrate(dsn: str, folder: Path = FOLDER) -> list[str]:
    """Apply what is pending and give the names applied; safe to call from many processes at once.

    Raises MigrationRefused when an applied migration was edited, the database is newer than the code or its
    server is too old, StoreUnavailable and StoreError as `Database` does. On any error all is as it was.
    """
    known = load(folder)
    async with await Database.open(dsn, max_size=1) as database:
        # Looking first: a tenant's role may look, and has no right to more.
        missing = await _missing(database, known)
        if not missing:
            return []
        await _refuse_old(database)
        try:
            return await _apply(database, known)
        except RoleRefused as problem:
            raise RoleRefused(
                f"Postgres at {place(dsn)} lacks the migration {missing[0].name}, which the role of the DSN "
                "may not apply; let the owner of the tables do it with: harness db migrate"
            ) from problem


async def pending(dsn: str, folder: Path = FOLDER) -> list[str]:
    """Give the names `migrate` would apply, changing nothing; raises as it does."""
    return list((await check(dsn, folder)).pending)


async def check(dsn: str, folder: Path = FOLDER) -> SchemaStatus:
    """Compare the database's schema with the code's, changing nothing; raises as `migrate` does."""
    known = load(folder)
    async with await Database.open(dsn, max_size=1) as database:
        missing = await _missing(database, known)
    applied = known[: len(known) - len(missing)]
    return SchemaStatus(tuple(each.name for each in applied), tuple(each.name for each in missing))


def load(folder: Path) -> list[Migration]:
    """Read a folder of migrations, numbered 0001, 0002, ... without a gap.

    Raises MigrationRefused for a file name that does not fit or a number that is missing or used twice.
    """
    found: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        parts = _FILE.match(path.name)
        if parts is None or int(parts[1]) != len(found) + 1:
            raise MigrationRefused(
                f"The migration {path.name} does not fit: rename it to {len(found) + 1:04}_<name>.sql."
            )
        sql = trusted(path.read_text("utf-8"))
        found.append(Migration(int(parts[1]), path.stem, sql, hashlib.sha256(sql.encode()).hexdigest()))
    return found


async def _missing(database: Database, known: list[Migration]) -> list[Migration]:
    async with database.transaction() as connection:
        found = await connection.one(_EXISTS)
        return await _pending(connection, known) if found and found["there"] else known


async def _refuse_old(database: Database) -> None:
    server = await database.one(_SERVER)
    if server is not None and server["major"] < OLDEST_SERVER:
        raise MigrationRefused(
            f"Postgres at {place(database.dsn)} is {server['version']}, and {OLDEST_SERVER} or newer is "
            "needed: upgrade the server, or use another one."
        )


async def _apply(database: Database, known: list[Migration]) -> list[str]:
    async with database.transaction() as connection:
        await connection.run(_LOCK, {"key": _LOCK_KEY})
        await connection.run(_CREATE)
        missing = await _pending(connection, known)
        for each in missing:
            # Without parameters a text may hold several statements, and any %.
            await connection.run(each.sql)
            row = {"version": each.version, "name": each.name, "sha256": each.sha256}
            await connection.run(_RECORD, row)
        await give_rights(connection)
        return [each.name for each in missing]


async def _pending(connection: Connection, known: list[Migration]) -> list[Migration]:
    """Give the known migrations that are not applied, once what is applied is proved to fit."""
    applied = await connection.all(_APPLIED)
    if len(applied) > len(known):
        raise MigrationRefused(
            f"The database has the migration {applied[-1]['name']}, which this version of the harness does "
            "not know: upgrade subagent-harness, or use another database."
        )
    for row, each in zip(applied, known, strict=False):
        if (row["version"], row["sha256"]) != (each.version, each.sha256):
            raise MigrationRefused(
                f"The migration {each.name} is not the text that was applied to this database as "
                f"{row['name']}: reinstall the harness it was made with, or use another database."
            )
    return known[len(applied) :]
