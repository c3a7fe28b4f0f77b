"""The file of an exported session: gzip, and in it one JSON value a line.

The first line names the format, its version and the session. Then each table comes with its columns, followed
by its rows: arrays of texts, each as Postgres writes the value, so that json stays byte for byte and bytea is
hex, which packs as well as base64 does. The last line counts the rows.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Self

from pydantic import Field, ValidationError

from harness.errors import BadSessionFile
from harness.records import Record

FORMAT = "harness session"
VERSION = 1

_ROWS_AT_ONCE = 500
_CHARS_AT_ONCE = 4_000_000

Row = list[str | None]


class Header(Record):
    """What a file says of itself.

    `events` is the number of the newest event, `schema_version` that of the store's newest migration.
    """

    format: str = FORMAT
    version: int = VERSION
    schema_version: int
    session_id: str = Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
    tenant: str
    events: int
    exported_at: datetime


class SessionWriter:
    """Writes the lines of a session, packed, into an open file. It is a context manager."""

    def __init__(self, file: IO[bytes], header: Header) -> None:
        # Without a name: that of the open file is not the one it will have.
        self._packed = gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6)
        self.rows = 0
        self._line(header.model_dump(mode="json"))

    def table(self, name: str, columns: Sequence[str]) -> None:
        """Begin a table."""
        self._line({"table": name, "columns": list(columns)})

    def row(self, values: Sequence[str | None]) -> None:
        """Add a row of the table that was begun last."""
        self.rows += 1
        self._line(list(values))

    def _line(self, value: Any) -> None:
        self._packed.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write the last line, unless something went wrong: then the file is seen to be cut off."""
        if kind is None:
            self._line({"rows": self.rows})
        self._packed.close()


class SessionReader:
    """Reads the file of a session. Every method raises BadSessionFile when it is none, or is not whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._whole(), gzip.open(path) as packed:
            first = json.loads(packed.readline())
        if not isinstance(first, dict) or first.get("format") != FORMAT:
            raise BadSessionFile(f"{path} is no session that harness export wrote; give one that is.")
        if first.get("version", 0) != VERSION:
            raise BadSessionFile(
                f"{path} is in version {first.get('version')} of the format, and this harness reads "
                f"version {VERSION}; upgrade subagent-harness."
            )
        try:
            self.header = Header.model_validate(first)
        except ValidationError as problem:
            raise self.broken("its first line lacks something") from problem

    def batches(self) -> Iterator[tuple[str, list[str], list[Row]]]:
        """Give the rows, some at a time, with their table and its columns; the file is then proved whole."""
        table, columns, rows, count, size = "", list[str](), list[Row](), 0, 0
        with self._whole(), gzip.open(self._path) as packed:
            packed.readline()
            for line in packed:
                value = json.loads(line)
                if isinstance(value, list):
                    if not table or len(value) != len(columns):
                        raise self.broken("a row has other columns than its table")
                    rows.append([_text(each) for each in value])
                    size += len(line)
                    if len(rows) < _ROWS_AT_ONCE and size < _CHARS_AT_ONCE:
                        continue
                if rows:
                    yield table, columns, rows
                count, rows, size = count + len(rows), [], 0
                if isinstance(value, dict) and "table" in value:
                    table, columns = str(value["table"]), [str(name) for name in value["columns"]]
                elif not isinstance(value, list):
                    table = ""
                    if value != {"rows": count}:
                        raise self.broken("rows are missing")
        if table or not count:
            raise self.broken("its end is missing")

    def broken(self, what: str) -> BadSessionFile:
        """Say what is wrong with the file."""
        return BadSessionFile(f"{self._path} is broken ({what}); export the session again.")

    @contextmanager
    def _whole(self) -> Iterator[None]:
        try:
            yield
        except (gzip.BadGzipFile, EOFError, zlib.error) as problem:
            if isinstance(problem, gzip.BadGzipFile) and "Not a gzipped file" in str(problem):
                raise BadSessionFile(
                    f"{self._path} is no session that harness export wrote; give one that is."
                ) from problem
            raise self.broken("it is cut off, or was changed on its way") from problem
        except OSError as problem:
            raise BadSessionFile(
                f"{self._path} cannot be read: {problem.strerror}; correct the path."
            ) from problem
        except (ValueError, LookupError, TypeError) as problem:
            raise self.broken("a line of it cannot be read") from problem


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError("a value is a text or null")
    return value
