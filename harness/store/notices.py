"""Hints from Postgres that something is to be done. Nothing depends on them: whoever listens polls as well.

They need a connection of their own to the server itself; behind a transaction pooler none arrives.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import psycopg
from psycopg import sql

from harness.beside import beside
from harness.log_fields import about
from harness.store.database import conninfo

log = logging.getLogger(__name__)

CHANNEL = "harness"

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0


def listening(dsn: str, hear: Callable[[str], None]) -> AbstractAsyncContextManager[None]:
    """Call `hear` in this block: with a session that is to stop, or with "" when one has come to be due."""
    return beside(_listen(dsn, hear), name="notices")


async def _listen(dsn: str, hear: Callable[[str], None]) -> None:
    pause = _FIRST_PAUSE_S
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(
                conninfo(dsn), autocommit=True, application_name="harness notices"
            ) as connection:
                await connection.execute(sql.SQL("listen {}").format(sql.Identifier(CHANNEL)))
                pause = _FIRST_PAUSE_S
                async for notice in connection.notifies():
                    hear(notice.payload)
        except psycopg.Error as problem:
            log.debug("no notices for now: %s", problem, extra=about("notices_away"))
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_S)
