"""The table of a campaign of kills: one line for each flow and victim, summed over all its kills."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Literal

from tests.e2e.counting import Row

PROPERTY = "kill"
"""The property of a test's report that holds a kill.

Reports travel from workers to where they are printed."""

Missed = Literal["not reached", "nobody there"]
"""The moment never came while there was a session; or no process of the victim's kind was alive at it."""

Tally = Callable[[str, str, Row | Missed], None]
"""Adds what came of one kill to the table: flow, victim, and its row or why there is none."""

COLUMNS = {
    "kills": "kills",
    "on_the_wire": "calls on the wire",
    "repeated": "calls repeated",
    "repeated_on_the_wire": "of them on the wire",
    "further_turns": "further turns",
    "runs_repeated": "runs repeated",
    "orphan_calls": "orphan calls",
    "events_lost": "events lost",
    "unsettled_tokens": "tokens unsettled",
    "gaps": "gaps",
    "nobody there": "nobody there",
    "not reached": "not reached",
}
"""What is summed, and its heading."""


def kill_property(flow: str, victim: str, what: Row | Missed) -> dict[str, Any]:
    """One kill, in the plain types that reports can carry."""
    if not isinstance(what, Row):
        return {"flow": flow, "victim": victim, what: 1}
    counted = asdict(what) | {"repeated_on_the_wire": what.repeated - what.off_the_wire}
    return {"flow": flow, "victim": victim, "kills": 1, **counted, "gaps": len(what.gaps)}


def table(kills: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The lines of the table."""
    sums: dict[tuple[str, str], dict[str, int]] = {}
    for kill in kills:
        line = sums.setdefault((kill["flow"], kill["victim"]), dict.fromkeys(COLUMNS, 0))
        for name in COLUMNS:
            line[name] += kill.get(name, 0)
    rows = [("flow", "killed", *COLUMNS.values())]
    rows += [(*key, *(str(value) for value in line.values())) for key, line in sorted(sums.items())]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    for row in rows:
        words = zip(row, widths, strict=True)
        yield " | ".join(w.ljust(width) if n < 2 else w.rjust(width) for n, (w, width) in enumerate(words))
