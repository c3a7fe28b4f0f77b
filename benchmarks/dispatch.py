"""Dispatch alone: how many sessions workers take up, how soon, and what it matters how many wait.

No session is advanced: a worker claims one, commits its end and gives the lease back. The peer is
procrastinate on the same server, with a job for each session and workers of the same concurrency, in turn
with ours. It goes by priority and age, whosever a job is; what that means for a tenant with a single session
is measured too.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

from benchmarks.dispatch_queues import Ours, Procrastinate, Starts, Waiting, fresh, worker
from benchmarks.dispatching import END, POLL_S, procrastinate_app
from benchmarks.rows import Row, spread
from harness.store.embedded import EmbeddedServer
from harness.store.queue import Queue
from tests.kit.homes import new_home

TARGET_MS = 3.0
SIZES = (100, 1_000, 10_000, 100_000)
TENANTS = (1, 200)
CONCURRENCY = 4
BEHIND = 500
WORK_S = 0.02

Taken = dict[str, list[float]]
"""Seconds, by the kind of queue."""


def measure(short: bool) -> list[Row]:
    random.seed(6)
    with new_home() as home, EmbeddedServer.acquire(home) as server:
        return asyncio.run(_measure(home, server.dsn, short))


async def _measure(home: Path, dsn: str, short: bool) -> list[Row]:
    rows = await _by_size(home, dsn, SIZES[:3:2] if short else SIZES, 20 if short else 60)
    async with AsyncExitStack() as stack:
        queues: list[Waiting] = [await stack.enter_async_context(Ours(fresh(dsn, "ours")))]
        if procrastinate_app(dsn) is not None:
            queues.append(await stack.enter_async_context(Procrastinate(fresh(dsn, "peer"))))
        for processes in (1, 3):
            rows += await _throughput(home, queues, processes, 200 if short else 1_000, 1 if short else 3)
        rows += await _latency(home, queues, 30 if short else 200, notices=True)
        rows += await _latency(home, queues, 5 if short else 40, notices=False)
        rows += await _neighbours(home, queues, 1 if short else 3)
    return rows


async def _by_size(home: Path, dsn: str, sizes: Sequence[int], times: int) -> list[Row]:
    """Claims and starts, in turn on databases with ever more queued sessions: all meet the same machine."""
    claims: dict[str, list[float]] = {}
    served: dict[str, list[float]] = {}
    starts: dict[str, list[float]] = {}
    async with AsyncExitStack() as stack:
        filled: dict[str, Ours] = {}
        for tenants in TENANTS:
            for sessions in sizes:
                queue = await stack.enter_async_context(Ours(fresh(dsn, f"filled_{tenants}_{sessions}")))
                await queue.fill_mixed(sessions, tenants)
                filled[f"{sessions:,} queued of {tenants} tenant{'s' * (tenants > 1)}"] = queue
        for _ in range(times):
            for name, queue in filled.items():
                claims.setdefault(name, []).append(await _claim(queue))
                served.setdefault(name, []).append(await queue.served())
        workers = {}
        for name, queue in filled.items():
            await queue.put_off()
            workers[name] = stack.enter_context(worker(home, queue, until_empty=False))
            await workers[name].ready()
            workers[name].begin()
        for _ in range(times // 2):
            for name, queue in filled.items():
                starts.setdefault(name, []).append(await _start(workers[name], queue))
    return [
        *_growing("claim", claims, TARGET_MS),
        *_growing("the server's part of a claim", served),
        *_growing("enqueue to start, all others begin later", starts),
    ]


async def _claim(queue: Ours) -> float:
    """Claim a session, and end it; gives the seconds of the claim."""
    began = time.perf_counter()
    claimed = await Queue(queue.database, ["default"]).claim(30)
    taken = time.perf_counter() - began
    assert claimed is not None, "more are due than are claimed"
    await queue.database.run(END, {"id": claimed.session_id, "token": claimed.lease.token})
    await claimed.lease.release()
    return taken


async def _start(starts: Starts, queue: Waiting, *, notice: bool = True) -> float:
    """Let a waiting worker start one, and give the seconds from before it was enqueued."""
    await asyncio.sleep(random.uniform(0.02, 0.06) if notice else random.uniform(0, POLL_S))
    asked = time.monotonic()
    await queue.enqueue("t0", notice=notice)
    _, at = await starts.next()
    return at - asked


def _growing(what: str, taken: Mapping[str, list[float]], target: float | None = None) -> Iterator[Row]:
    """Give rows with the ratio to the smallest queue of as many tenants."""
    for name, seconds in taken.items():
        least = next(few for other, few in taken.items() if other.split("of")[1] == name.split("of")[1])
        ratio = spread(seconds)[1] / spread(least)[1]
        yield _row(f"{what}; {name}", seconds, ratio=ratio, target=target)


async def _throughput(
    home: Path, queues: Sequence[Waiting], processes: int, sessions: int, times: int
) -> Iterator[Row]:
    """Let workers empty a queue: seconds for each session, from the first start to the last."""
    taken: Taken = {queue.kind: [] for queue in queues}
    for _ in range(times):
        for queue in queues:
            await queue.fill(sessions)
            with ExitStack() as stack:
                own = [
                    stack.enter_context(worker(home, queue, concurrency=CONCURRENCY))
                    for _ in range(processes)
                ]
                await asyncio.gather(*(each.ready() for each in own))
                for each in own:
                    each.begin()
                started = [at for lines in await asyncio.gather(*(w.rest() for w in own)) for _, at in lines]
            assert len(started) == sessions, f"{len(started)} of {sessions} were started by {queue.kind}"
            taken[queue.kind].append((max(started) - min(started)) / (sessions - 1))
    what = f"each session, {processes} worker process{'es' * (processes > 1)}"
    notes = {kind: f"{1 / spread(seconds)[1]:.0f} a second" for kind, seconds in taken.items()}
    return _compared(what, taken, notes)


async def _latency(home: Path, queues: Sequence[Waiting], times: int, *, notices: bool) -> Iterator[Row]:
    """Enqueue one at a time for a worker that waits."""
    taken: Taken = {queue.kind: [] for queue in queues}
    with ExitStack() as stack:
        waiting = []
        for queue in queues:
            await queue.fill(0)
            own = stack.enter_context(worker(home, queue, notices=notices, until_empty=False))
            await own.ready()
            own.begin()
            waiting.append(own)
        await asyncio.sleep(POLL_S)
        for _ in range(times):
            for queue, own in zip(queues, waiting, strict=True):
                taken[queue.kind].append(await _start(own, queue, notice=notices))
    what = f"enqueue to start, {'with notices' if notices else f'polling every {POLL_S:g} s'}"
    return _compared(what, taken, {})


async def _neighbours(home: Path, queues: Sequence[Waiting], times: int) -> Iterator[Row]:
    """Enqueue one tenant's only session behind hundreds of another's, each of which takes a while."""
    taken: Taken = {queue.kind: [] for queue in queues}
    before: dict[str, list[int]] = {queue.kind: [] for queue in queues}
    for _ in range(times):
        for queue in queues:
            await queue.fill(BEHIND)
            with worker(home, queue, until_empty=False, work_s=WORK_S, concurrency=CONCURRENCY) as own:
                await own.ready()
                own.begin()
                for _ in range(2 * CONCURRENCY):
                    await own.next()
                asked = time.monotonic()
                await queue.enqueue("other")
                begun = [await own.next()]
                while begun[-1][0] != "other":
                    begun.append(await own.next())
            taken[queue.kind].append(begun[-1][1] - asked)
            before[queue.kind].append(sum(at > asked for _, at in begun[:-1]))
    notes = {kind: f"{statistics.median(counts):g} begun before it" for kind, counts in before.items()}
    return _compared(f"a tenant's only session behind {BEHIND} of another's", taken, notes)


def _compared(what: str, taken: Taken, notes: Mapping[str, str]) -> Iterator[Row]:
    """Give ours with its ratio to the peer's, and the peer's."""
    peer = taken.get(Procrastinate.kind)
    for kind, seconds in taken.items():
        if kind == Procrastinate.kind:
            yield _row(f"{what}: procrastinate", seconds, note=notes.get(kind, ""))
            continue
        ratio = spread(seconds)[1] / spread(peer)[1] if peer else None
        note = notes.get(kind, "") + ("" if peer else "; procrastinate is not installed")
        yield _row(what, seconds, ratio=ratio, note=note)


def _row(
    what: str,
    seconds: Sequence[float],
    *,
    ratio: float | None = None,
    target: float | None = None,
    note: str = "",
) -> Row:
    if len(seconds) >= 100:
        note = "; ".join(
            filter(None, (note, f"p99 {1000 * statistics.quantiles(seconds, n=100)[98]:.1f} ms"))
        )
    return Row.of("dispatch", what, seconds, "ms", ratio=ratio, target=target, note=note.lstrip("; "))
