"""All that is stored of a session, as text, to see whether anything of it was changed."""

from __future__ import annotations

import psycopg

_TABLES = {
    "session": ("id", "id"),
    "event": ("session_id", "seq"),
    "transcript": ("scope", "seq"),
    "span": ("session_id", "span_id"),
    "session_document": ("session_id", "number"),
    "result": ("session_id", "reference"),
    "kept_response": ("session_id", "conversation"),
}
"""Each table with the column that names the session, and the one its rows are ordered by."""


def rows_of(dsn: str, session_id: str) -> dict[str, list[str]]:
    """Every row of a session, by table."""
    with psycopg.connect(dsn) as connection:
        return {
            table: [
                row[0]
                for row in connection.execute(
                    f"SELECT t::text FROM {table} t WHERE {key}::text = %s ORDER BY {order}".encode(),
                    (session_id,),
                )
            ]
            for table, (key, order) in _TABLES.items()
        }
