"""The live tree on a terminal. It is drawn on stderr, so that stdout keeps the report."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from harness.cli.tree import table
from harness.events import now
from harness.progress import AgentRunChanged, Result, SessionStarted
from harness.state import SessionState

FRAMES_PER_S = 4

_OTHER_LINES = 4
"""Lines of the terminal kept free: the table's head, its sum, what is left out, the cursor."""


_ECHO = 3
"""Columns kept free: a terminal writes "^C" where the cursor is, and a full line would break at it."""


def can_draw() -> bool:
    """Say whether the terminal on stderr can move its cursor."""
    return not Console(stderr=True).is_dumb_terminal


class LiveTree:
    """Draws the session's state a few times a second, from the event loop that changes it."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._state: SessionState | None = None
        self._live = Live(self, console=self._console, auto_refresh=False)
        self._drawing: asyncio.Task[None] | None = None
        self._moving = True
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        self._drawing = asyncio.create_task(self._draw(), name="live tree")
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the whole tree standing as it was last."""
        if self._drawing is not None:
            self._drawing.cancel()
        self._moving = False
        self._live.vertical_overflow = "visible"
        self._live.refresh()
        self._live.stop()

    def started(self, line: SessionStarted, state: SessionState) -> None:
        """Take the state that is drawn from here on."""
        self._state = state

    def changed(self, line: AgentRunChanged, state: SessionState) -> None:
        """The next frame shows it."""

    def finished(self, result: Result) -> None:
        """The last frame shows it."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw one frame."""
        if self._state is not None and self._state.runs:
            yield table(
                self._state,
                now(),
                room=max(1, console.height - _OTHER_LINES) if self._moving else None,
                moving=self._moving,
                width=options.max_width - _ECHO,
                took_s=time.monotonic() - self._began,
            )
        elif self._moving:
            yield Text("Starting ...", style="dim")

    async def _draw(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                self._live.refresh()
                await asyncio.sleep(1 / FRAMES_PER_S)
