"""Which tables hold the sessions: what is exported, imported and pruned with one is said here, and only here.

A test finds every table of the database that names a session and fails when it does not stand in this list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg.sql import Identifier

from harness.store.database import Connection
from harness.store.queries import queries, trusted

_SQL = queries("housekeeping")


@dataclass(frozen=True)
class Table:
    """A table with rows of sessions; `key` is the column that names the session, of this `type`.

    `shared` rows are those of several sessions, and found through the table named there, by its column or
    columns `found_by`. What is not `exported` stays where it is, what is not `pruned` outlives its session.
    """

    name: LiteralString
    key: LiteralString = "session_id"
    type: LiteralString = "uuid"
    shared: LiteralString | None = None
    found_by: LiteralString = "document"
    exported: bool = True
    pruned: bool = True

    @property
    def of_sessions(self) -> LiteralString:
        """The condition that finds the rows of the sessions `%(ids)s`."""
        if self.shared is not None:
            shared = f"select {self.found_by} from {self.shared} where session_id = any(%(ids)s::uuid[])"
            return f"{self.key} in ({shared})"
        return f"{self.key} = any(%(ids)s::{self.type}[])"


SESSION_TABLES = (
    Table("session", key="id"),
    Table("event"),
    Table("transcript", key="scope", type="text"),
    Table("document", key="id", shared="session_document"),
    Table("passage", key="document", shared="session_document"),
    Table("session_document"),
    Table(
        "bundle_version",
        key="(tenant, name, version)",
        shared="session_bundle",
        found_by="tenant, name, version",
    ),
    Table("session_bundle"),
    Table("result"),
    Table("kept_response"),
    Table("span"),
    Table("score"),
    Table("recording"),
    Table("rollout_session", exported=False),
    Table("reservation", exported=False),
)
"""Each refers only to those before it."""

OWN = tuple(table for table in SESSION_TABLES if table.shared is None)
"""The tables whose rows belong to one session each."""


@dataclass(frozen=True)
class Column:
    """A column as the database has it; an `identity` is given out by the database. `place`: in the key."""

    name: str
    identity: bool
    place: int | None


Columns = Mapping[str, Sequence[Column]]
"""The columns of each table, without those that are computed from others."""


async def read_columns(connection: Connection) -> Columns:
    """Read which columns the tables of sessions have."""
    found: dict[str, list[Column]] = {}
    for row in await connection.all(_SQL["columns"], {"tables": [table.name for table in SESSION_TABLES]}):
        found.setdefault(row["table"], []).append(Column(row["name"], row["identity"], row["place"]))
    return found


def select_as_text(table: Table, columns: Sequence[Column]) -> LiteralString:
    """The statement that gives the rows of the sessions `%(ids)s`, in order, with values as text."""
    values = ", ".join(f"{quoted(each.name)}::text" for each in columns)
    key = sorted((each.place, each.name) for each in columns if each.place is not None)
    order = ", ".join(f"{table.name}.{quoted(name)}" for _, name in key)
    return trusted(f"select {values} from {table.name} where {table.of_sessions} order by {order}")


def insert(table: Table, names: Sequence[str]) -> LiteralString:
    """The statement that adds a row, its values numbered from 0; Postgres reads each as it wrote it."""
    columns = ", ".join(map(quoted, names))
    values = ", ".join(f"%({number})s" for number in range(len(names)))
    return trusted(f"insert into {table.name} ({columns}) values ({values})")


def delete(table: Table) -> LiteralString:
    """The statement that deletes the rows of the sessions `%(ids)s`."""
    return trusted(f"delete from {table.name} where {table.of_sessions}")


def versions(table: Table) -> LiteralString:
    """The statement that tells how many rows each of the sessions `%(ids)s` has, and which.

    The number `versions` is another one as soon as a row is changed, added or gone.
    """
    return trusted(
        f"select {table.key}::text as session_id, count(*) as rows, "
        "sum(hashtextextended(ctid::text || ' ' || xmin::text, 0)) as versions "
        f"from {table.name} where {table.of_sessions} group by 1"
    )


def quoted(name: str) -> str:
    """A name as it stands in a statement."""
    return Identifier(name).as_string()
