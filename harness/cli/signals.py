"""The command line's one entry into the event loop, and the only place that hears signals.

The first SIGINT or SIGTERM cancels the work in hand, which stops at its last checkpoint; further ones change
nothing, so an impatient second Ctrl-C does not undo a clean stop.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from harness.cli.stderr import say

T = TypeVar("T")

_STOPPING = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Whether a person or the system has asked to stop, what is stopped by it, and what is said to that."""

    def __init__(self) -> None:
        self.received = False
        self.notice = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._call: Callable[[], None] | None = None

    @contextmanager
    def calling(self, call: Callable[[], None]) -> Iterator[None]:
        """Let a signal call this while in this block, instead of cancelling anything."""
        self._loop, self._call = asyncio.get_running_loop(), call
        if self.received:
            self._cancel()
        try:
            yield
        finally:
            self._call = None

    @contextmanager
    def cancelling(self) -> Iterator[None]:
        """Let a signal cancel the current task while in this block; outside it is only remembered."""
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self.received:
            self._cancel()
        try:
            yield
        finally:
            self._task = None

    def heard(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal, between any two steps of the main thread."""
        if self.received:
            return
        self.received = True
        if self._loop is not None and not self._loop.is_closed():
            # From within the loop: only there is it certain at which await the task is.
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._task is None and self._call is None:
            return
        if self.notice:
            say(self.notice)
        if self._call is not None:
            self._call()
        if self._task is not None:
            self._task.cancel()


def run(work: Callable[[Interrupts], Coroutine[Any, Any, T]]) -> T:
    """Run a command's coroutine to its exit code, or what else it gives.

    Signals are handled until the loop is closed and after:
    `signal.signal` and not `loop.add_signal_handler`, whose handlers are gone before the loop is.
    """
    interrupts = Interrupts()
    before = [signal.signal(number, interrupts.heard) for number in _STOPPING]
    try:
        return asyncio.run(work(interrupts))
    finally:
        for number, handler in zip(_STOPPING, before, strict=True):
            # Once asked to stop, the process only ends; nothing that comes now may make a traceback of it.
            signal.signal(number, signal.SIG_IGN if interrupts.received else handler)


def run_whole(work: Coroutine[Any, Any, T]) -> T:
    """Run a command that a signal may cancel anywhere."""

    async def whole(interrupts: Interrupts) -> T:
        with interrupts.cancelling():
            return await work

    return run(whole)
