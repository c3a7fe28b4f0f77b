"""What a checkpoint costs: one event of about 2 kB committed under the session's lease, fsync on.

Beside it stands what the disk alone takes: the server cannot commit sooner than its log is on disk.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path

from benchmarks.places import running_store, session
from benchmarks.rows import Row, spread
from harness import events as ev
from harness.store.journal import Journal

TARGET_MS = 1.0
PAUSE_S = 0.01
BLOCK = b"x" * 8192

_DURABLE = "select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit"
_INPUT = {"query": "tides and winds " * 120}


def measure(short: bool) -> list[Row]:
    with running_store() as home:
        return asyncio.run(_measure(home, 400 if short else 2000))


async def _measure(home: Path, events: int) -> list[Row]:
    async with session(home, 4) as (journal, runs):
        durable = await journal.database.one(_DURABLE)
        assert durable is not None, "settings are always there"
        await append(journal, runs[0], 50)
        alone = await append(journal, runs[0], events)
        sparse = await append(journal, runs[0], events // 4, PAUSE_S)
        began = time.perf_counter()
        together = await asyncio.gather(*(append(journal, run, events // 4) for run in runs))
        each_ms = (time.perf_counter() - began) * 1000 / events
    disk = _synced(home, 100)
    on = f"fsync {durable['fsync']}, synchronous_commit {durable['commit']}"
    ratio = spread(alone)[1] / spread(disk)[1]
    return [
        _row("1 agent run, without pause", alone, target=TARGET_MS, ratio=ratio, note=on),
        _row("1 agent run, 10 ms between events", sparse),
        _row(
            "4 agent runs at once, without pause",
            [one for run in together for one in run],
            note=f"{each_ms:.2f} ms for each event of the session",
        ),
        _row("the disk alone: fdatasync of 8 kB", disk),
    ]


def _row(
    what: str, taken: list[float], *, target: float | None = None, ratio: float | None = None, note: str = ""
) -> Row:
    return Row.of("journal_append", what, taken, "ms", target=target, ratio=ratio, note=note)


async def append(journal: Journal, run_id: str, count: int, pause_s: float = 0.0) -> list[float]:
    """Append tool calls one after the other and give how long each took, in seconds."""
    taken = []
    for _ in range(count):
        payload = ev.ToolRequested(
            tool_use_id=f"toolu_{journal.state.head}_{run_id}",
            tool="mcp__corpus__search",
            input=_INPUT,
            call_id=None,
            replay="read_only",
        )
        began = time.perf_counter()
        await journal.append(payload, run_id=run_id)
        taken.append(time.perf_counter() - began)
        if pause_s:
            await asyncio.sleep(pause_s)
    return taken


def _synced(home: Path, count: int) -> list[float]:
    """Write blocks into a file that has its size already, and give how long the disk took for each."""
    taken = []
    with tempfile.TemporaryFile(dir=home) as file:
        file.write(BLOCK * count)
        os.fsync(file.fileno())
        for number in range(count):
            os.pwrite(file.fileno(), BLOCK, number * len(BLOCK))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    return taken
