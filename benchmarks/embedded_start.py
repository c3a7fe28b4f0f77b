"""How long the embedded Postgres takes until it answers a first query: cold, warm, and when it runs already.

    python benchmarks/embedded_start.py [runs]

Cold makes the database in an empty folder, warm starts the server on it, attached finds it running, and stop
is what the last user waits for when leaving.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psycopg

from harness.store.embedded import EmbeddedServer

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One measured figure, in seconds over `runs` runs."""

    name: str
    median_s: float
    fastest_s: float
    slowest_s: float
    runs: int


def measure(runs: int = 10) -> list[Row]:
    """Run every case `runs` times, each on a folder of its own, and give a row for each case."""
    samples: dict[str, list[float]] = {"cold": [], "warm": [], "attached": [], "stop": []}
    for _ in range(runs):
        home = Path(tempfile.mkdtemp(prefix="harness-bench-"))
        # Root's server runs as another account, which must be able to come in.
        home.chmod(0o755)
        try:
            _one_life(home, samples)
        finally:
            shutil.rmtree(home, ignore_errors=True)
    return [
        Row(name, statistics.median(taken), min(taken), max(taken), runs) for name, taken in samples.items()
    ]


def _one_life(home: Path, samples: dict[str, list[float]]) -> None:
    with _timed(samples["cold"], lambda: _answering(home)):
        pass
    with _timed(samples["warm"], lambda: _answering(home)):
        with _timed(samples["attached"], lambda: _answering(home)):
            pass
        last = EmbeddedServer.acquire(home)
    _timed(samples["stop"], last.release)


def _answering(home: Path) -> EmbeddedServer:
    server = EmbeddedServer.acquire(home)
    with psycopg.connect(server.dsn) as connection:
        connection.execute("SELECT 1")
    return server


def _timed(samples: list[float], action: Callable[[], T]) -> T:
    begun = time.perf_counter()
    result = action()
    samples.append(time.perf_counter() - begun)
    return result


def main() -> None:
    rows = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
    print(f"{'case':<10}{'median s':>10}{'fastest':>10}{'slowest':>10}{'runs':>6}")
    for row in rows:
        print(f"{row.name:<10}{row.median_s:>10.3f}{row.fastest_s:>10.3f}{row.slowest_s:>10.3f}{row.runs:>6}")


if __name__ == "__main__":
    main()
