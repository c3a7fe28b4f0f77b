"""Takes ended spans from the outbox and delivers them, each once as far as a crash allows it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from harness.backoff import pause_s
from harness.errors import StoreError
from harness.export.load import Load, loaded
from harness.export.parcels import Parcel, body, fitting, pack, piles
from harness.export.receiver import Receiver, Verdict
from harness.store.spans import Ended, Outbox
from harness.tracing.span import Span

log = logging.getLogger(__name__)

POLL_S = 2.0
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
LONGEST_ASKED_S = 600.0
"""Seconds of a receiver's Retry-After that are honoured."""

PATIENCE = 3
"""Failures in a row after which a drain gives up."""

SUSPICIOUS = 5
"""Single spans that a receiver may call unfit before it has taken any: then it is no receiver."""

_FIRST_TAKE = 32
"""Spans of the first load; how large they are is known after it."""


@dataclass(frozen=True)
class Drained:
    """What came of a drain: spans delivered, spans refused for good, and what stopped it, if it failed."""

    sent: int
    refused: int
    problem: str = ""


class Shipper:
    """Delivers what an outbox holds to one receiver. No failure of either is raised."""

    def __init__(self, outbox: Outbox, receiver: Receiver, environment: str) -> None:
        self._outbox = outbox
        self._receiver = receiver
        self._environment = environment
        self._turn = asyncio.Lock()
        self._woken = asyncio.Event()
        self._limit = _FIRST_TAKE
        self._failures = 0
        self._asked_s = 0.0
        self._closed = False
        self._problem = ""
        self._suspicions = 0
        self._sent = 0
        self._refused = 0

    @property
    def down(self) -> bool:
        """Whether the last attempt has failed."""
        return self._closed or self._failures > 0

    def wake(self) -> None:
        """Look for spans now."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver what ends, until cancelled, or until the receiver takes nothing before a person acts."""
        while not self._closed:
            limit = self._limit
            taken = await self._round()
            if taken is None:
                await asyncio.sleep(self._pause())
            elif taken < limit:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await self._woken.wait()
                self._woken.clear()

    async def drain(self, seconds: float | None = None) -> Drained:
        """Deliver all that is due, for so many seconds at most, unless it fails several times in a row."""
        sent, refused, failures = self._sent, self._refused, 0
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._closed and failures < PATIENCE:
                    taken = await self._round()
                    if taken == 0:
                        break
                    failures = 0 if taken else failures + 1
                    if 0 < failures < PATIENCE:
                        await asyncio.sleep(self._pause())
        return Drained(self._sent - sent, self._refused - refused, self._problem)

    async def _round(self) -> int | None:
        """Take what is due and deliver it; give how many spans that were, None when it failed."""
        async with self._turn:
            try:
                async with loaded(self._outbox, self._limit) as (load, taken):
                    if not taken or await self._deliver(load, taken):
                        return len(taken)
            except StoreError as problem:
                self._failed(str(problem))
            return None

    async def _deliver(self, load: Load, taken: Sequence[Ended]) -> bool:
        parcels, spoilt = await asyncio.to_thread(pack, taken, self._environment)
        await self._refuse(load, spoilt)
        self._limit = fitting(parcels)
        left = list(piles(parcels))
        unfit: list[tuple[Span, str]] = []
        while left and load.fresh and not self._suspects(unfit):
            pile = left.pop(0)
            request = await asyncio.to_thread(body, pile, self._environment)
            verdict = await load.post(self._receiver, pile, request)
            match verdict.kind:
                case "taken" | "partly":
                    self._delivered(pile, verdict)
                case "unfit" if len(pile) > 1:
                    half = len(pile) // 2
                    left[:0] = [pile[:half], pile[half:]]
                case "unfit":
                    unfit.append((pile[0].span, verdict.problem))
                case "again" | "unreachable":
                    return self._failed(verdict.problem, verdict.retry_after_s)
                case "closed":
                    return self._close(verdict.problem)
        return await self._judge(load, unfit)

    def _suspects(self, unfit: Sequence[object]) -> bool:
        return not self._sent and self._suspicions + len(unfit) >= SUSPICIOUS

    async def _judge(self, load: Load, unfit: Sequence[tuple[Span, str]]) -> bool:
        """Refuse what is unfit, if the receiver is one: a server of another kind calls everything unfit."""
        if self._sent or not unfit:
            await self._refuse(load, unfit)
            return True
        problem = unfit[-1][1]
        if self._suspects(unfit):
            return self._close(f"{problem}, whatever it is sent; correct its address")
        self._suspicions += len(unfit)
        return self._failed(problem)

    async def _refuse(self, load: Load, unfit: Sequence[tuple[Span, str]]) -> None:
        for span, problem in unfit:
            await load.refuse(span, problem)
        if unfit:
            self._refused += len(unfit)
            log.warning("Spans that will not be sent again: %d; %s", len(unfit), unfit[-1][1])

    def _delivered(self, pile: Sequence[Parcel], verdict: Verdict) -> None:
        if self._failures:
            log.info("spans are delivered again")
        if verdict.refused:
            counts = verdict.refused, len(pile)
            log.warning("The receiver refused %d of %d spans: %s", *counts, verdict.problem)
        self._refused += verdict.refused
        self._sent += len(pile) - verdict.refused
        self._failures, self._asked_s, self._problem = 0, 0.0, ""

    def _failed(self, problem: str, asked_s: float | None = None) -> Literal[False]:
        if not self._failures:
            why = problem.rstrip(".")
            log.warning("Spans cannot be delivered now; they are kept, and sent later: %s.", why)
        self._failures += 1
        self._asked_s, self._problem = asked_s or 0.0, problem
        return False

    def _close(self, problem: str) -> Literal[False]:
        log.error("Spans are not delivered any more, but kept: %s, then run: harness trace flush", problem)
        self._closed, self._problem = True, problem
        return False

    def _pause(self) -> float:
        """Seconds until the next attempt: longer each time, and at least as long as the receiver asks for."""
        grown = pause_s(self._failures, FIRST_PAUSE_S, LONGEST_PAUSE_S)
        return max(grown, min(self._asked_s, LONGEST_ASKED_S))
