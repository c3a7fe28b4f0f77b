"""The store's part of the metrics: read on request, one reading at a time, in bounded time."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from harness.errors import StoreError
from harness.metrics import catalogue as its
from harness.metrics.exposition import Sample
from harness.store.database import Database
from harness.store.gauges import Gauges, read_gauges

FRESH_S = 5.0
"""How long a reading is given again to whoever asks."""

WAIT_S = 3.0
"""How long somebody waits for a reading; Prometheus itself waits ten seconds for all."""

READ_S = 15.0
"""How long a reading may take before it is given up, so that a connection is not lost to it."""


@dataclass(frozen=True)
class Reading:
    """What the store said, or why it said nothing."""

    gauges: Gauges | None
    problem: str | None = None

    def samples(self) -> list[Sample]:
        """Give it as values; of a store that is away only that."""
        found = [Sample(its.STORE_UP, (), self.gauges is not None)]
        if self.gauges is None:
            return found
        for each in self.gauges.sessions:
            place = (each.tenant, each.queue)
            for standing in ("due", "later", "at_work", "person"):
                found.append(Sample(its.SESSIONS, (*place, standing), getattr(each, standing)))
            found.append(Sample(its.OLDEST_DUE, place, each.oldest_s))
            found.append(Sample(its.MOST_CLAIMS, place, each.claims))
        if self.gauges.spans_waiting is not None:
            found.append(Sample(its.SPANS_WAITING, (), self.gauges.spans_waiting))
        return [*found, Sample(its.STORE_SIZE, (), self.gauges.size_bytes)]


class Readings:
    """Reads the store when it is asked; several who ask at once share one reading."""

    def __init__(self, database: Database, *, spans: bool) -> None:
        """With `spans` those that wait for their receiver are counted too."""
        self._database = database
        self._spans = spans
        self._task: asyncio.Task[Reading] | None = None
        self._begun = 0.0

    async def newest(self) -> Reading:
        """Give how the store stands, or in `WAIT_S` that it does not answer. Never raises for the store."""
        stale = time.monotonic() - self._begun > FRESH_S
        if self._task is None or (self._task.done() and (stale or self._task.result().gauges is None)):
            self._begun = time.monotonic()
            self._task = asyncio.create_task(self._read(), name="metrics")
        await asyncio.wait({self._task}, timeout=WAIT_S)
        if self._task.done():
            return self._task.result()
        return Reading(None, f"Postgres has not answered within {WAIT_S:g} s; check that it runs.")

    async def close(self) -> None:
        """Give up a reading that is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=WAIT_S)

    async def _read(self) -> Reading:
        try:
            async with asyncio.timeout(READ_S):
                return Reading(await read_gauges(self._database, spans=self._spans))
        except TimeoutError:
            return Reading(None, f"Postgres has not answered within {READ_S:g} s; check that it runs.")
        except StoreError as problem:
            return Reading(None, str(problem))
