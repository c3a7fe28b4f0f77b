"""Reaching the store: the embedded server on demand, or the person's own Postgres, migrated and open."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from harness.beside import beside
from harness.errors import HarnessError
from harness.log_fields import about
from harness.settings import Settings
from harness.store.database import Database
from harness.store.embedded import EmbeddedServer
from harness.store.migrate import migrate

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Database]:
    """Open the database of the settings, its schema up to date; an embedded server is started and kept up.

    Raises:
        StoreUnavailable: no server answers.
        MigrationRefused: the database belongs to another version.
    """
    if settings.dsn is not None:
        dsn = settings.dsn.get_secret_value()
        await migrate(dsn)
        async with await Database.open(dsn) as database:
            yield database
        return
    server = await asyncio.to_thread(EmbeddedServer.acquire, settings.home)
    try:
        await migrate(server.dsn)
        # Nobody stands between us and our own server, so that statements may stay prepared on it.
        async with (
            await Database.open(server.dsn, prepare_threshold=3) as database,
            beside(_keep_up(server), name="embedded server"),
        ):
            yield database
    finally:
        await asyncio.to_thread(server.release)


async def _keep_up(server: EmbeddedServer) -> None:
    """Start the server again should somebody end it while it is in use."""
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        try:
            await asyncio.to_thread(server.ensure_running)
        except HarnessError as problem:
            log.warning("the embedded server is not up yet: %s", problem, extra=about("server_down"))
