"""Prometheus' text format, version 0.0.4: metrics, their values, and how both are written."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[str, ...]
"""Values of a metric's labels, in their order."""

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})


@dataclass(frozen=True)
class Metric:
    """A number that is measured: its name, what it means, and the names of its labels.

    `buckets` are the upper bounds of a histogram's buckets, ascending.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Labels = ()
    buckets: tuple[float, ...] = ()


class Sample(NamedTuple):
    """One value of a metric."""

    metric: Metric
    labels: Labels
    value: float


class Counter:
    """Values that only grow, one for each set of labels."""

    def __init__(self, metric: Metric, *known: Labels) -> None:
        """Those `known` are there from the beginning, so that their first growth is seen as such."""
        self._metric = metric
        self._values: dict[Labels, float] = dict.fromkeys(known or () if metric.labels else ((),), 0.0)

    def add(self, value: float, *labels: str) -> None:
        """Let one value grow."""
        self._values[labels] = self._values.get(labels, 0.0) + value

    def samples(self) -> list[Sample]:
        """Give every value."""
        return [Sample(self._metric, labels, value) for labels, value in self._values.items()]


class Histogram:
    """How many values lie up to each bound, and their sum."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._counts = [0] * (len(metric.buckets) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self.metric.buckets, value)] += 1
        self._sum += value

    def lines(self) -> list[str]:
        """Give what is written of it; its buckets are cumulative."""
        name, counts = self.metric.name, list(itertools.accumulate(self._counts))
        bounds = [*map(_number, self.metric.buckets), "+Inf"]
        lines = [
            f'{name}_bucket{{le="{bound}"}} {count}' for bound, count in zip(bounds, counts, strict=True)
        ]
        return [
            *_heading(self.metric),
            *lines,
            f"{name}_sum {_number(self._sum)}",
            f"{name}_count {counts[-1]}",
        ]


def written(samples: Iterable[Sample], histograms: Iterable[Histogram] = ()) -> str:
    """Write samples, in whatever order, and histograms; each metric gets its heading."""
    by_metric: dict[str, tuple[Metric, list[str]]] = {}
    for metric, values, value in samples:
        named = ",".join(
            f'{name}="{text.translate(_ESCAPES)}"' for name, text in zip(metric.labels, values, strict=True)
        )
        line = f"{metric.name}{{{named}}} {_number(value)}" if named else f"{metric.name} {_number(value)}"
        by_metric.setdefault(metric.name, (metric, []))[1].append(line)
    lines = [line for metric, its in by_metric.values() for line in (*_heading(metric), *its)]
    lines += [line for histogram in histograms for line in histogram.lines()]
    return "\n".join(lines) + "\n"


def _heading(metric: Metric) -> tuple[str, str]:
    return (f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
