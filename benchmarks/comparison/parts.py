"""The parts of the comparison, in the order in which they run."""

from __future__ import annotations

from benchmarks.comparison import checkpoints, faults, members, overhead, resuming, task_cost, waste
from benchmarks.comparison.figures import Part

PARTS: tuple[Part, ...] = (
    waste.PART,
    faults.PART,
    checkpoints.PART,
    overhead.PART,
    resuming.PART,
    members.PART,
    task_cost.PART,
)
