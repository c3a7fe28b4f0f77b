"""How long the embedded Postgres takes until it answers a first query: cold, warm, and when it runs already.

Cold makes the database in an empty folder, warm starts the server on it, attached finds it running, and stop
is what the last user waits for when leaving.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psycopg

from benchmarks.rows import Row
from harness.store.embedded import EmbeddedServer
from tests.kit.homes import new_home

T = TypeVar("T")

TARGETS_S = {"cold": 1.5, "warm": 0.3}


def measure(short: bool) -> list[Row]:
    samples: dict[str, list[float]] = {"cold": [], "warm": [], "attached": [], "stop": []}
    for _ in range(3 if short else 10):
        with new_home() as home:
            _one_life(home, samples)
    return [
        Row.of("embedded_start", name, taken, "s", target=TARGETS_S.get(name))
        for name, taken in samples.items()
    ]


def _one_life(home: Path, samples: dict[str, list[float]]) -> None:
    with _timed(samples["cold"], lambda: _answering(home)):
        pass
    with _timed(samples["warm"], lambda: _answering(home)) as last:
        with _timed(samples["attached"], lambda: _answering(home)):
            pass
        _timed(samples["stop"], last.release)


def _answering(home: Path) -> EmbeddedServer:
    server = EmbeddedServer.acquire(home)
    try:
        with psycopg.connect(server.dsn) as connection:
            connection.execute("SELECT 1")
    except BaseException:
        server.release()
        raise
    return server


def _timed(samples: list[float], action: Callable[[], T]) -> T:
    begun = time.perf_counter()
    result = action()
    samples.append(time.perf_counter() - begun)
    return result
