"""What the shared view of the rate limits adds to a model call: a statement before, in and after it.

Nothing is short, so nobody waits. The peer is the shortest statement there is.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable

from benchmarks.places import running_store
from benchmarks.rows import Row, spread
from harness.settings import Settings
from harness.store.database import Database
from harness.store.open import open_store
from harness.store.rates import Bucket, Heard, Kind, Need, Rates

TARGET_MS = 0.5
AT_ONCE = 32
PLENTY: dict[Kind, Bucket] = {kind: Bucket(1e9, 1e9, 1e7) for kind in ("requests", "input", "output")}
NEED = Need(input=2000, output=500)


def measure(short: bool) -> list[Row]:
    with running_store() as home:
        return asyncio.run(_measure(Settings(home=home), 300 if short else 2000))


async def _measure(settings: Settings, calls: int) -> list[Row]:
    async with open_store(settings) as database:
        rates = Rates(database, "http://127.0.0.1", "key", "tenant")
        await rates.heard("m", uuid.uuid4(), Heard(200, PLENTY))
        tickets = [uuid.uuid4() for _ in range(calls)]

        async def ask(call: uuid.UUID) -> None:
            if not (await rates.ask("m", call, NEED)).granted:
                raise RuntimeError("There was no room.")

        steps: dict[str, Callable[[uuid.UUID], Awaitable[None]]] = {
            "asking for room": ask,
            "noting what the headers say": lambda call: rates.heard("m", call, Heard(200, PLENTY)),
            "settling what was written": lambda call: rates.settle("m", call, 300),
        }
        await _in_turn(ask, [uuid.uuid4() for _ in range(50)])
        shortest = await _in_turn(lambda _: _nothing(database), tickets)
        taken: dict[str, list[float]] = {what: [] for what in steps}
        for call in tickets:
            for what, step in steps.items():
                taken[what] += await _in_turn(step, [call])
        began = time.perf_counter()
        together = await asyncio.gather(
            *(_in_turn(ask, [uuid.uuid4() for _ in range(calls // AT_ONCE)]) for _ in range(AT_ONCE))
        )
        each_ms = 1000 * (time.perf_counter() - began) / sum(map(len, together))
    peer = spread(shortest)[1]
    rows = [
        Row.of("rate_limits", what, each, "ms", target=TARGET_MS, ratio=spread(each)[1] / peer)
        for what, each in taken.items()
    ]
    crowd = [each for line in together for each in line]
    note = f"{each_ms:.2f} ms for each"
    return [*rows, Row.of("rate_limits", f"asking for room, {AT_ONCE} at once", crowd, "ms", note=note)]


async def _nothing(database: Database) -> None:
    await database.one("select 1 as one")


async def _in_turn(step: Callable[[uuid.UUID], Awaitable[None]], calls: list[uuid.UUID]) -> list[float]:
    """Take a step for one call after the other, and give how long each took, in seconds."""
    taken = []
    for call in calls:
        began = time.perf_counter()
        await step(call)
        taken.append(time.perf_counter() - began)
    return taken
