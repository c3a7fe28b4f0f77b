"""A session as one file: written from one database, and made again, whole or not at all, in another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import IO, Any

from harness.errors import BadSessionFile, NoSuchSession, StoreError, StoreUnavailable
from harness.records import Record
from harness.state import fold
from harness.store.database import Connection, Database
from harness.store.journal import read_events
from harness.store.migrate import FOLDER, load
from harness.store.queries import queries
from harness.store.session_file import Header, Row, SessionReader, SessionWriter
from harness.store.tables import SESSION_TABLES, Columns, insert, read_columns, select_as_text

_SQL = queries("housekeeping")

_TABLES = {table.name: table for table in SESSION_TABLES if table.exported}

_Record = dict[str, str | None]

_ARRIVING: Mapping[str, str | None] = {
    "holder": None,
    "lease_until": "-infinity",
    "due_at": None,
    "stop_requested": None,
}
"""How a session arrives, as far as its table has these columns: nobody holds it, and no worker is to."""


class Transferred(Record):
    """A session that was exported or imported, up to the event `events`; `at_work`: it went on meanwhile."""

    session_id: str
    events: int
    rows: int
    at_work: bool = False


async def export_session(database: Database, session_id: str, file: IO[bytes]) -> Transferred:
    """Write a session as it is at one moment, also while it is at work. Rows come one at a time.

    Raises:
        NoSuchSession: there is none of this id.
    """
    given = {"ids": [session_id]}
    async with database.transaction() as connection:
        await connection.run(_SQL["one_snapshot"])
        await connection.run(_SQL["plain_values"])
        await connection.at_leisure()
        found = await connection.one(_SQL["session_to_export"], {"id": session_id})
        if found is None:
            raise NoSuchSession(f"There is no session {session_id}; list them with: harness sessions")
        header = Header(
            schema_version=found["schema"],
            session_id=session_id,
            tenant=found["tenant"],
            events=found["head"],
            exported_at=datetime.now(UTC),
        )
        columns = await read_columns(connection)
        with SessionWriter(file, header) as written:
            for table in _TABLES.values():
                written.table(table.name, [each.name for each in columns[table.name]])
                statement = select_as_text(table, columns[table.name])
                async with aclosing(connection.each(statement, given)) as rows:
                    async for row in rows:
                        written.row(list(row.values()))
    return Transferred(
        session_id=session_id, events=header.events, rows=written.rows, at_work=found["leased"]
    )


async def import_session(database: Database, tenant: str, file: SessionReader) -> Transferred:
    """Make the session of a file, as one of this tenant; nobody is at work on it then.

    Raises:
        BadSessionFile: it is there already, or the file is broken or does not fit here; nothing was made.
    """
    header = file.header
    if header.schema_version > len(load(FOLDER)):
        raise BadSessionFile(
            f"Session {header.session_id} was exported by a newer version of the harness; "
            "upgrade subagent-harness to import it."
        )
    try:
        async with database.transaction() as connection:
            await connection.at_leisure()
            arrival = _Arrival(connection, tenant, file)
            await arrival.begin()
            for name, columns, rows in file.batches():
                await arrival.take(name, columns, rows)
            await arrival.end()
    except StoreUnavailable:
        raise
    except StoreError as problem:
        raise file.broken(f"the store refuses it: {str(problem).rstrip('.')}") from problem
    except (LookupError, ValueError, TypeError) as problem:
        raise file.broken("a row lacks something") from problem
    return Transferred(session_id=header.session_id, events=header.events, rows=arrival.rows)


class _Arrival:
    """An import within its transaction."""

    def __init__(self, connection: Connection, tenant: str, file: SessionReader) -> None:
        self.rows = 0
        self._connection = connection
        self._tenant = tenant
        self._file = file
        self._id = file.header.session_id
        self._columns: Columns = {}
        self._documents: dict[str | None, str] = {}
        self._new: set[str | None] = set()

    async def begin(self) -> None:
        """Refuse a session that is there, and learn what columns there are."""
        there = await self._there()
        if there is not None and not there["own"]:
            raise BadSessionFile(f"There is a session {self._id} of somebody else's already; nothing to do.")
        if there is not None:
            events, of_file = there["head"], self._file.header.events
            more = (
                f"the same {events} events" if events == of_file else f"{events} events (the file: {of_file})"
            )
            raise BadSessionFile(
                f"Session {self._id} is there already, with {more}; see it with: harness show {self._id}"
            )
        await self._connection.run(_SQL["know_tenant"], {"tenant": self._tenant})
        self._columns = await read_columns(self._connection)

    async def take(self, name: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Store some rows of a table."""
        table, known = _TABLES.get(name), {each.name: each for each in self._columns.get(name, ())}
        if table is None or not set(columns) <= known.keys():
            raise BadSessionFile(
                f"Session {self._id} has what this version of the harness does not know ({name}); "
                "import it with the version that exported it, and upgrade then."
            )
        self.rows += len(rows)
        records: list[_Record] = [dict(zip(columns, row, strict=True)) for row in rows]
        if table.shared is None and any(record[table.key] != self._id for record in records):
            raise self._file.broken("it has rows of another session")
        match name:
            case "session":
                records = [self._arriving(record) for record in records]
            case "event":
                records = [self._of_tenant(record) for record in records]
            case "document":
                return await self._place(records)
            case "bundle_version":
                return await self._keep(records)
            case "session_bundle":
                records = [{**record, "tenant": self._tenant} for record in records]
            case "passage":
                records = [self._linked(record) for record in records if record["document"] in self._new]
            case "session_document":
                records = [self._linked(record) for record in records]
            case _:
                pass
        names = [column for column in columns if not known[column].identity]
        values = [{str(place): record[name] for place, name in enumerate(names)} for record in records]
        if values:
            await self._connection.run_many(insert(table, names), values)
        return None

    async def end(self) -> None:
        """Refuse what could neither be shown nor go on: its row is missing, or its journal is not one."""
        there = await self._there()
        if there is None or there["head"] != self._file.header.events:
            raise self._file.broken("its first row is missing")
        try:
            state = fold(self._id, await read_events(self._connection, self._id))
        except (LookupError, ValueError) as problem:
            raise self._file.broken("its journal cannot be read") from problem
        if state.created is None:
            raise self._file.broken("its journal has no beginning")

    async def _there(self) -> dict[str, Any] | None:
        given = {"id": self._id, "tenant": self._tenant}
        return await self._connection.one(_SQL["session_there"], given)

    def _arriving(self, record: _Record) -> _Record:
        arriving = {name: value for name, value in _ARRIVING.items() if name in record}
        status = "suspended" if record["status"] == "queued" else record["status"]
        return {**record, **arriving, "tenant": self._tenant, "status": status}

    def _of_tenant(self, record: _Record) -> _Record:
        """An event as it is; the first one alone names the tenant, who may be another here."""
        if record["kind"] != "session.created" or self._file.header.tenant == self._tenant:
            return record
        payload = json.loads(record["payload"] or "")
        return {**record, "payload": json.dumps({**payload, "tenant": self._tenant})}

    async def _place(self, records: Sequence[_Record]) -> None:
        """Find or make the documents, which have other numbers in each database."""
        for record in records:
            placed = await self._connection.one(_SQL["place_document"], {**record, "tenant": self._tenant})
            assert placed is not None, "it is inserted or updated"
            self._documents[record["id"]] = placed["id"]
            self._new |= {record["id"]} if placed["made"] else set()

    async def _keep(self, records: Sequence[_Record]) -> None:
        """Keep versions of bundles, but for those that the tenant has already."""
        for record in records:
            await self._connection.run(_SQL["keep_version"], {**record, "tenant": self._tenant})

    def _linked(self, record: _Record) -> _Record:
        return {**record, "document": self._documents[record["document"]]}
