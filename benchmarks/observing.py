"""What spans cost: the same work with them and without them, in turn, in one run.

A span is a model call's here: its checkpoint with 8 kB of newly told messages, its end with 2 kB of answer.
In a run of many calls the conversation grows by both with each. Without spans the same events are committed.
CPU is that of this process and of the store's server together. That of an export is this process's: from
rows to the bodies of requests.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import psutil

from benchmarks.offline_run import documents, run_once
from benchmarks.places import running_store, session
from benchmarks.rows import Row, spread
from harness import events as ev
from harness.export.parcels import body, pack, piles
from harness.records import Usage
from harness.store.embedded import status
from harness.store.journal import Journal
from harness.store.spans import read_ended
from harness.tracing.chat import Answered, Asked
from harness.tracing.content import Keeper
from harness.tracing.describe import Shown
from tests.kit.homes import new_home

MOST_CPU_MS = 1.0
BATCH = 100
"""Calls between two looks at the clocks: the system tells a process its CPU in steps of 10 ms."""

RUNS = (50, 100, 200)
"""Calls of an agent run: what one of them adds must not grow with them."""

_SEED = 7


def _words(random: Random, chars: int) -> str:
    """Text that compresses like text: words of a vocabulary, in no order."""
    syllables = ("ti", "de", "win", "ds", "mo", "on", "sal", "ty", "ri", "ver", "de", "lta", "cur", "rent")
    words: list[str] = []
    while sum(map(len, words)) + len(words) < chars:
        words.append("".join(random.choices(syllables, k=random.randint(1, 4))))
    return " ".join(words)[:chars]


_TEXTS = [_words(Random(f"{_SEED}/{number}"), 8192) for number in range(max(RUNS))]
_TOLD = [{"role": "user", "content": [{"type": "text", "text": text}]} for text in _TEXTS]
_ANSWER = [{"type": "text", "text": _words(Random(_SEED), 2048)}]


def measure(short: bool) -> list[Row]:
    return [*_cpu(short), *_growing(short), *_wall(short)]


def _cpu(short: bool) -> list[Row]:
    with running_store() as home:
        on, off = asyncio.run(_spans(home, 5 if short else 30))
    added = [with_ - without for with_, without in zip(on, off, strict=True)]
    return [
        Row.of("observing", "CPU of a model call's two events, no span", off, "ms"),
        Row.of("observing", "CPU that its span adds", added, "ms", target=MOST_CPU_MS),
    ]


async def _spans(home: Path, batches: int) -> tuple[list[float], list[float]]:
    """CPU seconds for each call, batch after batch, with spans and without them in turn."""
    async with session(home, 1) as (journal, (run_id,)):

        async def batch(where: Journal, number: int) -> None:
            for each in range(BATCH):
                await _call(where, run_id, f"{number}.{each}", [_TOLD[each]])

        return await _in_turn(home, journal, batches, BATCH, batch)


async def _in_turn(
    home: Path, journal: Journal, rounds: int, calls: int, work: Callable[[Journal, int], Awaitable[None]]
) -> tuple[list[float], list[float]]:
    """CPU seconds for each call of a round, with spans and without; the first rounds do not count."""
    server = psutil.Process(status(home).pid)
    silent = Journal(journal.database, journal.lease, journal.state, keeper=None)
    seen = Journal(journal.database, journal.lease, journal.state, keeper=Keeper())
    taken: dict[bool, list[float]] = {True: [], False: []}
    for number in range(2 * rounds + 2):
        kept = number % 2 == 0
        began = _cpu_of(server)
        await work(seen if kept else silent, number)
        taken[kept].append((_cpu_of(server) - began) / calls)
    return taken[True][1:], taken[False][1:]


def _growing(short: bool) -> list[Row]:
    rows = []
    for calls in RUNS[:1] if short else RUNS:
        with running_store() as home:
            added, stored, sent = asyncio.run(_runs(home, calls, 1 if short else 5))
        rows += [
            Row.of("observing", f"CPU that a span adds, of {calls} in one run", added, "ms"),
            Row.of("observing", f"CPU of a span's export, of {calls} in one run", [sent.cpu_s / calls], "ms"),
            _megabytes(f"stored for the spans of {calls} calls", stored),
            _megabytes(f"sent for {calls} calls, before compression", sent.plain_bytes),
            _megabytes(f"sent for {calls} calls, gzipped", sent.gzipped_bytes),
        ]
    return rows


def _megabytes(what: str, size: float) -> Row:
    return Row("observing", what, "MB", size / 1e6, size / 1e6, size / 1e6)


@dataclass(frozen=True)
class _Sent:
    """What the export of a run took."""

    cpu_s: float
    plain_bytes: int
    gzipped_bytes: int


async def _sent(journal: Journal, calls: int) -> _Sent:
    """Export the newest run: its spans as the bodies of requests, which nobody gets."""
    ended = (await read_ended(journal.database, journal.session_id))[-calls:]
    assert len(ended) == calls, "every call has a span that has ended"
    began = time.process_time()
    parcels, spoilt = pack(ended, "default")
    bodies = [body(pile, "default") for pile in piles(parcels)]
    cpu_s = time.process_time() - began
    assert not spoilt
    return _Sent(cpu_s, sum(len(gzip.decompress(each)) for each in bodies), sum(map(len, bodies)))


async def _runs(home: Path, calls: int, runs: int) -> tuple[list[float], float, _Sent]:
    """CPU seconds that spans add to each call of a run, run after run, bytes of a run's spans, its export."""
    async with session(home, 1) as (journal, (run_id,)):

        async def run(where: Journal, number: int) -> None:
            told: list[dict[str, Any]] = []
            for each in range(calls):
                told.append(_TOLD[each])
                await _call(where, run_id, f"{number}.{each}", told)
                told.append({"role": "assistant", "content": _ANSWER})

        on, off = await _in_turn(home, journal, runs, calls, run)
        row = await journal.database.one(
            "select sum(pg_column_size(opened) + pg_column_size(closed)) from span"
        )
        assert row is not None
        added = [with_ - without for with_, without in zip(on, off, strict=True)]
        return added, float(row["sum"]) / (runs + 1), await _sent(journal, calls)


async def _call(journal: Journal, run_id: str, call_id: str, told: list[dict[str, Any]]) -> None:
    asked = ev.ModelRequested(
        call_id=call_id, request_hash=call_id, ordinal=0, auxiliary=False, model="claude-sonnet-5-5"
    )
    await journal.append(asked, run_id=run_id, shown=Shown(input=Asked({"messages": told})))
    answered = ev.ModelFinished(
        call_id=call_id,
        auxiliary=False,
        model="claude-sonnet-5-5",
        message_id=f"msg_{call_id}",
        stop_reason="tool_use",
        usage=Usage(input_tokens=2000, output_tokens=500, model_calls=1, attempts=1),
        cost_usd=0.01,
        first_token_s=0.5,
    )
    await journal.append(answered, run_id=run_id, shown=Shown(output=Answered(_ANSWER)))


def _cpu_of(server: psutil.Process) -> float:
    """CPU seconds of this process and of every process of the server."""
    used = time.process_time()
    for process in (server, *server.children(recursive=True)):
        times = process.cpu_times()
        used += times.user + times.system
    return used


def _wall(short: bool) -> list[Row]:
    """Whole offline runs from the command line, with spans and without them in turn."""
    taken: dict[bool, list[float]] = {True: [], False: []}
    with new_home() as home:
        documents(home)
        for kept in (True, False):
            (home / str(kept)).mkdir()
            (home / str(kept) / "harness.toml").write_text(f"tracing.enabled = {str(kept).lower()}\n")
        for number in range(4 if short else 22):
            kept = number % 2 == 0
            began = time.perf_counter()
            run_once(home, "--project", str(home / str(kept)))
            taken[kept].append(time.perf_counter() - began)
    on, off = taken[True][1:], taken[False][1:]
    # The median of the pairs' ratios: what else the machine does changes slowly.
    ratio = spread([a / b for a, b in zip(on, off, strict=True)])[1]
    return [
        Row.of("observing", "harness run --offline without spans", off, "s"),
        Row.of("observing", "harness run --offline with spans", on, "s", ratio=ratio, note="target 1.03"),
    ]
