"""Signs of life of an agent run's process, and the watchdog that ends one which gives none any more.

What a run is doing is told by its journal (`standing`), so that any process can show it. Between two events a
stream still moves: those signs are kept in memory only (`Pulse`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from harness.state import RunState

Doing = Literal["starting", "model", "retrying", "tool", "thinking", "waiting", "checking", "idle"]


@dataclass(frozen=True)
class Standing:
    """What an agent run is doing, on what, and since when."""

    doing: Doing
    what: str
    since: datetime


def standing(run: RunState) -> Standing:
    """Read from the journal's fold what an agent run is doing."""
    tools = [call for call in run.tools.values() if not (call.finished or call.denied)]
    if run.status == "suspended":
        return Standing("waiting", "its tasks", run.last_at)
    if run.status == "checking":
        return Standing("checking", run.gate.verifier if run.gate else "", run.last_at)
    if run.status != "running":
        return Standing("idle", run.status, run.last_at)
    if run.open_calls:
        newest = list(run.open_calls.values())[-1]
        if newest.attempts > 1:
            return Standing("retrying", f"attempt {newest.attempts} of a model call", run.last_at)
        return Standing("model", newest.model, newest.requested_at)
    if tools:
        return Standing("tool", tools[-1].tool, tools[-1].requested_at)
    return Standing("thinking" if run.steps else "starting", "", run.last_at)


START_S = 60.0
"""How long a process may take to its first sign of life; one that gives none has not started."""

CALL_S = 60.0
"""Beside the silence that the gateway ends itself: a pause before another attempt may take half of it."""

_STARTING = "starting"


class Silent(Exception):
    """A process gave no sign of life for too long; the text says what it was doing."""

    def __init__(self, problem: str, *, started: bool) -> None:
        super().__init__(problem)
        self.started = started


class Pulse:
    """The signs of life of one process: `beat` with what it does now.

    A process may be silent for `silent_s` seconds, and for `tool_s` while a tool runs: that has a timeout of
    its own, and this is only for one whose timeout fails. A model call on the wire has one, too: it may be
    silent for `silent_s` before the gateway gives it up, and this is only for what does not take its answer.
    """

    def __init__(self, silent_s: float, tool_s: float) -> None:
        self._silent_s = silent_s
        self._tool_s = tool_s
        self._tools: dict[str, str] = {}
        self._calls = 0
        self._doing = _STARTING
        self._limit: asyncio.Timeout | None = None

    def beat(self, doing: str) -> None:
        """Note a sign of life."""
        self._doing = doing
        self._wind()

    def tool_began(self, tool_use_id: str, tool: str) -> None:
        """Note that a tool runs. Resumed at a call, a CLI gives no other sign until the tool has ended."""
        self._tools[tool_use_id] = tool
        self.beat("thinking")

    def tool_ended(self, tool_use_id: str) -> None:
        """Note that a tool has ended."""
        self._tools.pop(tool_use_id, None)
        self._wind()

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Note that a model call is on the wire, whose silence is the service's."""
        self._calls += 1
        self._wind()
        try:
            yield
        finally:
            self._calls -= 1
            self._wind()

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """End what is done meanwhile when it gives no sign of life.

        Raises:
            Silent: it was ended.
        """
        limit = self._limit = asyncio.timeout(None)
        try:
            async with limit:
                self._wind()
                yield
        except TimeoutError as problem:
            if not limit.expired():
                raise
            doing = f"running {', '.join(self._tools.values())}" if self._tools else self._doing
            raise Silent(
                f"It gave no sign of life for {self._allowed_s:g} s ({doing}) and was ended.",
                started=self._doing != _STARTING,
            ) from problem
        finally:
            # An answer that is still being read for the ended process goes on to give signs.
            self._limit = None

    @property
    def _allowed_s(self) -> float:
        if self._tools:
            return self._tool_s
        if self._calls:
            return 2 * self._silent_s + CALL_S
        return START_S if self._doing == _STARTING else self._silent_s

    def _wind(self) -> None:
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + self._allowed_s)
