"""What a checkpoint costs: one event of about 2 kB committed under the session's lease, fsync on."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from benchmarks.places import running_store, session
from benchmarks.rows import Row
from harness import events as ev
from harness.store.journal import Journal

TARGET_MS = 1.0
DURABLE = "select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit"

_INPUT = {"query": "tides and winds " * 120}


def measure(short: bool) -> list[Row]:
    with running_store() as home:
        return asyncio.run(_measure(home, 300 if short else 2000))


async def _measure(home: Path, events: int) -> list[Row]:
    rows = []
    for at_once in (1, 4):
        async with session(home, at_once) as (journal, runs):
            durable = await journal.database.one(DURABLE)
            await asyncio.gather(*(_append(journal, run, 50) for run in runs))
            began = time.perf_counter()
            taken = await asyncio.gather(*(_append(journal, run, events // at_once) for run in runs))
            each_ms = (time.perf_counter() - began) * 1000 / events
        assert durable is not None, "settings are always there"
        on = f"fsync {durable['fsync']}, synchronous_commit {durable['commit']}"
        rows.append(
            Row.of(
                "journal_append",
                f"{at_once} agent run{'s' if at_once > 1 else ''} appending without pause",
                [one for run in taken for one in run],
                "ms",
                target=TARGET_MS if at_once == 1 else None,
                note=on if at_once == 1 else f"{each_ms:.2f} ms for each event of the session",
            )
        )
    return rows


async def _append(journal: Journal, run_id: str, count: int) -> list[float]:
    """Append tool calls one after the other and give how long each took, in seconds."""
    taken = []
    for number in range(count):
        payload = ev.ToolRequested(
            tool_use_id=f"toolu_{run_id}_{number}",
            tool="mcp__corpus__search",
            input=_INPUT,
            call_id=None,
            replay="read_only",
        )
        began = time.perf_counter()
        await journal.append(payload, run_id=run_id)
        taken.append(time.perf_counter() - began)
    return taken
