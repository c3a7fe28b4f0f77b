"""Run the benchmarks and print one table: `python -m benchmarks [--short] [NAME ...]`, from the checkout.

Nothing here asserts on time. Work is timed on whatever machine this is, so compare ratios before seconds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping

from benchmarks import (
    agent_run_cpu,
    dispatch,
    embedded_start,
    gateway,
    isolation,
    journal_append,
    observing,
    offline_run,
    rate_limits,
    resume_time,
    sleeping,
)
from benchmarks.rows import Row, table

BENCHMARKS: Mapping[str, Callable[[bool], list[Row]]] = {
    "journal_append": journal_append.measure,
    "isolation": isolation.measure,
    "embedded_start": embedded_start.measure,
    "gateway": gateway.measure,
    "rate_limits": rate_limits.measure,
    "agent_run_cpu": agent_run_cpu.measure,
    "offline_run": offline_run.measure,
    "observing": observing.measure,
    "resume_time": resume_time.measure,
    "dispatch": dispatch.measure,
    "sleeping": sleeping.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the harness.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all by default"
    )
    parser.add_argument("--short", action="store_true", help="fewer samples: all of it in under 90 s")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"there is no benchmark {unknown[0]!r}; choose from {', '.join(BENCHMARKS)}")
    rows: list[Row] = []
    for name in options.names or BENCHMARKS:
        began = time.monotonic()
        rows += BENCHMARKS[name](options.short)
        print(f"{name}: measured in {time.monotonic() - began:.0f} s", file=sys.stderr)
    print(table(rows))


if __name__ == "__main__":
    main()
