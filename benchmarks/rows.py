"""One line of the benchmarks' table, and the table: Markdown, so that it can be pasted into a document."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

TimeUnit = Literal["s", "ms", "µs"]
Unit = TimeUnit | Literal["MB"]

_IN_A_SECOND: dict[TimeUnit, float] = {"s": 1.0, "ms": 1e3, "µs": 1e6}

HEADINGS = ("benchmark", "what", "target", "median", "spread", "ratio", "note")


@dataclass(frozen=True)
class Row:
    """A measured figure in `unit`: the median of its samples, and their 5th and 95th percentile.

    `ratio` is the figure over its peer's, where there is a peer; `target` is the most the median should be.
    """

    benchmark: str
    what: str
    unit: Unit
    median: float
    low: float
    high: float
    target: float | None = None
    ratio: float | None = None
    note: str = ""

    @classmethod
    def of(
        cls,
        benchmark: str,
        what: str,
        seconds: Sequence[float],
        unit: TimeUnit,
        *,
        target: float | None = None,
        ratio: float | None = None,
        note: str = "",
    ) -> Self:
        """Sum up samples that were taken in seconds; `target` is in `unit`."""
        scale = _IN_A_SECOND[unit]
        low, middle, high = (scale * value for value in spread(seconds))
        return cls(benchmark, what, unit, middle, low, high, target, ratio, note)

    def cells(self) -> tuple[str, ...]:
        """What the table says."""
        return (
            self.benchmark,
            self.what,
            "" if self.target is None else f"{_short(self.target)} {self.unit}",
            f"{_short(self.median)} {self.unit}",
            f"{_short(self.low)} to {_short(self.high)}",
            "" if self.ratio is None else f"{self.ratio:.2f}",
            self.note,
        )


def spread(samples: Sequence[float]) -> tuple[float, float, float]:
    """Give the 5th percentile, the median and the 95th percentile."""
    if len(samples) == 1:
        return samples[0], samples[0], samples[0]
    parts = statistics.quantiles(samples, n=20, method="inclusive")
    return parts[0], statistics.median(samples), parts[-1]


def table(rows: Iterable[Row]) -> str:
    """Write rows as one Markdown table with even columns."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    written = [
        " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
    ]
    written.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" for line in written)


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
