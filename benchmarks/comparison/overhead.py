"""What a system adds to the model's time: wall, CPU and memory, with few and many subagents side by side.

The model answers at once, and then at the pace of a real one. CPU is that of the program, its children and
the server of Postgres; memory the most that the program and its children had together, per subagent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from benchmarks.comparison.figures import Finding, Part, Series
from benchmarks.comparison.running import desk
from benchmarks.comparison.systems import (
    BARE,
    CREWAI,
    CREWAI_CANNOT,
    DEEPAGENTS,
    HARNESS,
    SESSIONS,
    System,
    configurations,
)
from benchmarks.comparison.work import Work
from tests.kit.processes import tree

SYSTEMS = (HARNESS, SESSIONS, BARE, DEEPAGENTS)
SIZES = (1, 4, 16, 32)
STEPS = 3
REPEATS = 5

PACES: Mapping[str, Mapping[str, float]] = {
    "model at once": {},
    "real pace": {"first_token_s": 1.5, "tokens": 60, "tokens_a_second": 60},
}


@dataclass(frozen=True)
class Cost:
    """What a run cost: seconds, CPU seconds of the system and of the server, and megabytes."""

    wall_s: float
    cpu_s: float
    server_s: float
    pss_mb: float


def measure(short: bool, seed: int, dsn: str) -> Finding:
    costs: dict[tuple[str, str, int], list[Cost]] = {}
    sizes = (2,) if short else SIZES
    paces = [*PACES][:1] if short else [*PACES]
    for _ in range(1 if short else REPEATS):
        for size in sizes:
            for pace in paces:
                for system in SYSTEMS:
                    cost = _cost(system, Work(subjects=size, steps=STEPS), dsn, PACES[pace])
                    costs.setdefault((system.name, pace, size), []).append(cost)
    return Finding(
        part="overhead",
        title="What a system adds to the model's time",
        about=(
            f"A lead and so many subagents side by side, {STEPS} steps each; the model answers at once, or "
            "after 1.5 s with 60 tokens at 60 a second."
        ),
        systems=tuple(system.name for system in SYSTEMS),
        series=tuple(each for where, found in costs.items() for each in _series(*where, found)),
        axis="subagents",
        configurations=configurations(SYSTEMS),
        notes=(
            "CPU is that of the program, its children and the server of Postgres; memory is PSS of the "
            "program and its children, looked at during the run for at most a twentieth of its time.",
            f"{CREWAI.name} is left out: {CREWAI_CANNOT['more than 8']}.",
        ),
        seed=seed,
    )


def _series(system: str, pace: str, size: int, costs: list[Cost]) -> Iterator[Series]:
    for figure, unit, samples in (
        (f"wall, {pace}", "s", [cost.wall_s for cost in costs]),
        (f"CPU per subagent, {pace}", "s", [(cost.cpu_s + cost.server_s) / size for cost in costs]),
        (f"memory per subagent, {pace}", "MB", [cost.pss_mb / size for cost in costs]),
    ):
        yield Series(system=system, figure=figure, unit=unit, samples=tuple(samples), at=size)


def _cost(system: System, work: Work, dsn: str, pace: Mapping[str, float]) -> Cost:
    with desk(system, work, dsn, **pace) as at:
        before = _server_cpu_s(dsn)
        ended = at.undisturbed(memory=True)
        return Cost(ended.wall_s, ended.cpu_s, _server_cpu_s(dsn) - before, ended.pss_mb)


def _server_cpu_s(dsn: str) -> float:
    """CPU seconds that the server has used so far, with those of its processes that have ended."""
    with psycopg.connect(dsn) as server:
        row = server.execute("show data_directory").fetchone()
    assert row is not None, "it has one"
    top = psutil.Process(int((Path(row[0]) / "postmaster.pid").read_text().split()[0]))
    live = sum(map(_own_cpu_s, (top, *tree(top.pid))))
    ended = top.cpu_times()
    return float(live + ended.children_user + ended.children_system)


def _own_cpu_s(process: psutil.Process) -> float:
    """What a process has used itself; nothing once it has ended, for then its parent has it."""
    try:
        used = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(used.user + used.system)


PART = Part("overhead", measure)
