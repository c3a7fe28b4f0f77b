"""How a session at work is brought to stop at its next checkpoint, so that nothing is paid for in vain.

Once it is asked to, a model call that arrives at the gateway is held there, before it is committed or sent;
what is on the wire is read to its end. When every agent run is held or has ended, the session is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Stop:
    """Why a session stops, and who goes on with it: a person, or a worker after at least `due_s` seconds.

    `counts` says whether it has cost the session one of its tries with workers.
    """

    reason: str
    waits_for: Literal["person", "worker"] = "person"
    due_s: float = 0.0
    counts: bool = True


OnTrouble = Callable[[str, float | None], Stop]
"""Decides what a problem comes to that the session cannot mend itself; it is told the seconds until that may
have passed, where somebody has said so."""


def for_a_person(problem: str, again_s: float | None) -> Stop:
    """Leave a session that came into trouble to whoever looks after it."""
    return Stop(problem)


class Stopping:
    """Whether a session has been asked to stop, and which of its agent runs are at rest."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.order: Stop | None = None
        self._held: dict[str, int] = {}
        self._moved = asyncio.Event()

    def ask(self, order: Stop) -> None:
        """Ask the session to stop; of several reasons the first one counts."""
        if self.order is None:
            self.order = order
            self.asked.set()
            self._moved.set()

    async def hold(self, run_id: str, closed: asyncio.Event) -> None:
        """Keep an agent run's model call until its door is closed."""
        self._held[run_id] = self._held.get(run_id, 0) + 1
        self._moved.set()
        try:
            await closed.wait()
        finally:
            self._held[run_id] -= 1

    def holds(self, run_id: str) -> bool:
        """Whether a call of this agent run waits for nothing but its end."""
        return self._held.get(run_id, 0) > 0

    async def moved(self) -> None:
        """Return when it has been asked to stop, or one more call is held, since this was last awaited."""
        await self._moved.wait()
        self._moved.clear()
