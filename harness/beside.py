"""Work that goes on beside a block of code, for as long as the block lasts, and how tasks are ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

log = logging.getLogger(__name__)

AGAIN_S = 2.0
"""After which a task that goes on is cancelled again."""

WITH_PROCESSES_S = 30.0
"""The same for tasks that first end processes, which a second cancellation would cut short."""


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Let `work` go on in this block, in a task of this name, and end it with the block.

    An error of the work does not stop the block; it is logged when the work ends of it.
    """
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_log_error)
    try:
        yield
    finally:
        await end(task)


async def end(*tasks: asyncio.Task[Any], again_s: float = AGAIN_S) -> list[Any]:
    """Cancel tasks and wait until they have ended; give what each has returned or raised.

    Before Python 3.12 `asyncio.wait_for`, with which the driver of Postgres waits, loses a cancellation that
    comes as what it waits for is done (python/cpython issue 86296). So whoever goes on is cancelled again.
    """
    while going := [task for task in tasks if not task.done()]:
        for task in going:
            task.cancel()
        await asyncio.wait(going, timeout=again_s)
    return await asyncio.gather(*tasks, return_exceptions=True)


def _log_error(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("The task %r has ended of an error.", task.get_name(), exc_info=error)
