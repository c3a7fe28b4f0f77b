"""Roles of Postgres that own nothing and may do nothing until they are granted something."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import make_conninfo


@contextmanager
def plain_role(server_dsn: str, options: str = "login") -> Iterator[str]:
    """Make a role and give its name. It is the server's: databases that grant to it must be gone first."""
    name = f"plain_{uuid.uuid4().hex[:12]}"
    _execute(server_dsn, f"create role {name} {options}")
    try:
        yield name
    finally:
        _execute(server_dsn, f"drop owned by {name}")
        _execute(server_dsn, f"drop role {name}")


def as_role(dsn: str, role: str) -> str:
    """The same database for another role."""
    return make_conninfo(dsn, user=role)


def _execute(dsn: str, sql: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.encode())
