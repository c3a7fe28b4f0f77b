"""Delivering a session's spans while the session is at work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from harness.beside import end
from harness.errors import StoreError
from harness.export.address import address
from harness.settings import Settings
from harness.store.database import Database
from harness.store.spans import Outbox

log = logging.getLogger(__name__)

LAST_S = 5.0
"""Seconds that a session's end may wait for its last spans to be delivered."""

LAST_WHEN_DOWN_S = 1.0
"""The same when the receiver did not take the ones before."""


@asynccontextmanager
async def exporting(settings: Settings, database: Database, session_id: str) -> AsyncIterator[None]:
    """Deliver the session's spans while in this block, and what is left at its end, in bounded time.

    Nothing at all happens when no receiver is set, or exporting is switched off.
    """
    to = address(settings) if settings.tracing.enabled and settings.tracing.export else None
    if to is None:
        yield
        return
    from harness.export.receiver import Receiver  # here, for those who export nothing
    from harness.export.shipper import Shipper

    outbox = Outbox(database, settings.tenant, session_id)
    async with Receiver(to) as receiver:
        shipper = Shipper(outbox, receiver, settings.tracing.environment)
        work = asyncio.create_task(shipper.run(), name=f"export {session_id}")
        try:
            yield
        finally:
            try:
                await shipper.drain(LAST_WHEN_DOWN_S if shipper.down else LAST_S)
            finally:
                await end(work)
            await _tell(outbox, session_id)


async def _tell(outbox: Outbox, session_id: str) -> None:
    """Say what is left, and how it is sent."""
    try:
        left = (await outbox.standing()).waiting
    except StoreError as problem:
        log.debug("how many spans are left is not known: %s", problem)
        return
    if left:
        log.warning("Spans that are kept and not sent yet: %d; run: harness trace flush %s", left, session_id)
