"""The state that a flow's agents share: typed writes, brought together by each field's reducer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import Any

from harness.flow import StateField
from harness.flow.shared import reduce

_NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True)
class Write:
    """A value that an agent run wrote to a field: by which event, and where in the session."""

    seq: int
    path: str
    field: str
    value: Any

    @cached_property
    def place(self) -> list[list[float]]:
        """The run's place in the order of the flow: after whatever it waited for, and all below it."""
        steps = [[float(number) for number in _NUMBERS.findall(step)] for step in self.path.split("/")]
        return [*(step or [inf] for step in steps), [inf, inf]]


def values(state: Mapping[str, StateField], written: Iterable[Write]) -> dict[str, Any]:
    """Every declared field's value.

    Writes count in the order of the flow, not in which their agent runs were created or ended: of runs that
    work side by side it does not matter who is first.
    """
    of: dict[str, list[Any]] = {name: [] for name in state}
    for write in sorted(written, key=lambda write: (write.place, write.seq)):
        if write.field in of:
            of[write.field].append(write.value)
    return {name: reduce(field, of[name]) for name, field in state.items()}
