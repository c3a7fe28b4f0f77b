"""Turns at launching CLIs: a launch is all CPU, and when many are launched at once, all of them are late."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

LONGEST_S = 5.0
"""How long a launch keeps its slot; one that takes longer waits for something else, perhaps an MCP server."""

# Cores belong to the process and not to a session; and a semaphore can only be waited for in one loop.
_SLOTS: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


class LaunchSlot:
    """The right to launch a CLI now."""

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots: asyncio.Semaphore | None = slots

    def free(self) -> None:
        """Let the next one launch; a second time does nothing."""
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.release()


@asynccontextmanager
async def launch_slot() -> AsyncIterator[LaunchSlot]:
    """Wait for a turn at launching a CLI, among all sessions of this process.

    The slot is free again when the block ends, or earlier: with `LaunchSlot.free`, or after `LONGEST_S`.
    """
    loop = asyncio.get_running_loop()
    slots = _SLOTS.setdefault(loop, asyncio.Semaphore(slots_here()))
    await slots.acquire()
    slot = LaunchSlot(slots)
    late = loop.call_later(LONGEST_S, slot.free)
    try:
        yield slot
    finally:
        late.cancel()
        slot.free()


def slots_here() -> int:
    """Launches at the same time: one core is left for those at work, if there are more."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, cores - 1)
