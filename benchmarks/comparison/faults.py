"""How many tasks end right when everything goes wrong, and nobody is there to help.

Each task is a lead with two subagents, troubled as `trouble` says. A supervisor starts its program again, by
the system's own resume, when it has ended with an error, was killed or has not ended in time; so often, and
then gives it up. A program that ends well is believed, and its report compared with the right one.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.comparison.figures import Cannot, Finding, Part, Series
from benchmarks.comparison.prompt import tokens_of
from benchmarks.comparison.running import Office, office
from benchmarks.comparison.systems import HARNESS, SYSTEMS, System, configurations
from benchmarks.comparison.trouble import CALL_SHARE, CALLS, POISONS, Trouble
from benchmarks.comparison.work import Work
from harness.settings import Settings
from harness.store.open import open_store
from tests.kit.ledgers import mistakes

TASKS = 300
SUBJECTS, STEPS = 2, 2
SIDE_BY_SIDE = 3
CALL_S = 0.1
TOOL_S = 3.0
PATIENCE_S = 90.0
RESUMES = 5

PLAYS = "benchmarks.comparison.trouble:plays"


@dataclass(frozen=True)
class Done:
    """How a task ended: done and right, done and wrong, or given up with what the program said last."""

    number: int
    code: int
    right: bool
    killed: bool
    resumes: int
    wall_s: float
    problem: str

    @property
    def reason(self) -> str | None:
        """One sentence of why it was given up, if the program said one."""
        lines = self.problem.strip().splitlines()
        return None if self.code == 0 or not lines or "Traceback" in self.problem else lines[-1]


def measure(short: bool, seed: int, dsn: str) -> Finding:
    tasks = 2 if short else TASKS
    series: list[Series] = []
    cannot: list[Cannot] = []
    notes: list[str] = []
    for system in SYSTEMS:
        with office(system, dsn, {"seed": seed, "call_s": CALL_S}, script=PLAYS) as opened:
            # Alone, for its time, and so that tables that a system makes for itself are there for all others.
            usual_s = _done(opened, Trouble(None), tasks, 0.0).wall_s
            before = len(opened.api.calls().messages())
            done = _all_done(opened, Trouble(seed), tasks, usual_s)
            calls = opened.api.calls().messages()[before:]
            tokens = sum(tokens_of(call.request) for call in calls)
            series += _series(system, done, tokens)
            notes += _said(system, done)
            if system is HARNESS:
                wrong = asyncio.run(_miscounted(opened.dsn))
                series.append(_one(system, "mistakes in the ledger", "", len(wrong)))
            else:
                reason = "it keeps no ledger"
                cannot.append(Cannot(system=system.name, figure="mistakes in the ledger", reason=reason))
    return Finding(
        part="faults",
        title="Tasks that end right when everything goes wrong",
        about=(
            f"{tasks} tasks of a lead with {SUBJECTS} subagents of {STEPS} steps: "
            f"{_troubles(Trouble(seed), tasks)}."
        ),
        systems=tuple(system.name for system in SYSTEMS),
        series=tuple(series),
        cannot=tuple(cannot),
        configurations=configurations(SYSTEMS),
        notes=tuple(notes),
        seed=seed,
    )


def _all_done(opened: Office, trouble: Trouble, tasks: int, usual_s: float) -> list[Done]:
    with ThreadPoolExecutor(SIDE_BY_SIDE) as supervisors:
        return list(supervisors.map(lambda number: _done(opened, trouble, number, usual_s), range(tasks)))


def _done(opened: Office, trouble: Trouble, number: int, usual_s: float) -> Done:
    """See a task through."""
    plain = Work(number, SUBJECTS, STEPS)
    slow = tuple(name for name in plain.names if trouble.slow(name))
    with opened.desk(Work(number, SUBJECTS, STEPS, slow, TOOL_S)) as at:
        began = time.monotonic()
        program = at.start()
        killed = False
        if share := trouble.kill(number):
            program.kill_after(share * usual_s)
            killed = program.process.returncode == -signal.SIGKILL
        resumes = 0
        while (ended := program.wait(PATIENCE_S)).code != 0 and resumes < RESUMES:
            resumes += 1
            program = at.start(resume=True)
        took = time.monotonic() - began
        return Done(number, ended.code, at.right(ended), killed, resumes, took, ended.said)


def _series(system: System, done: Sequence[Done], tokens: float) -> Iterator[Series]:
    right = sum(each.right for each in done)
    given_up = [each for each in done if each.code != 0]
    wrong = len(done) - right - len(given_up)
    yield _one(system, "completed right", "%", 100 * right / len(done))
    yield _one(system, "said to be done, and wrong", "%", 100 * wrong / len(done))
    yield _one(system, "given up", "%", 100 * len(given_up) / len(done))
    yield _one(system, "given up without a reason", "", sum(each.reason is None for each in given_up))
    yield _one(system, "killed at work", "", sum(each.killed for each in done))
    yield _many(system, "resumes a task", "", [each.resumes for each in done])
    yield _many(system, "seconds a task", "s", [each.wall_s for each in done])
    yield _one(system, "tokens sent for each right one", "", tokens / max(right, 1))


def _said(system: System, done: Sequence[Done]) -> Iterator[str]:
    for each in done:
        if each.code != 0:
            why = each.reason or "it said nothing that is a reason"
            yield f"{system.name} gave task {each.number} up: {why}"
        elif not each.right:
            yield f"{system.name} said that task {each.number} is done, with a wrong report"


def _one(system: System, figure: str, unit: str, value: float) -> Series:
    return Series(system=system.name, figure=figure, unit=unit, samples=(value,))


def _many(system: System, figure: str, unit: str, values: Sequence[float]) -> Series:
    return Series(system=system.name, figure=figure, unit=unit, samples=tuple(values))


def _troubles(trouble: Trouble, tasks: int) -> str:
    names = [name for number in range(tasks) for name in Work(number, SUBJECTS, STEPS).names]
    killed = sum(trouble.kill(number) is not None for number in range(tasks))
    poisoned = [trouble.poison(name) for name in names]
    poisons = ", ".join(f"{poisoned.count(kind)} {kind}" for kind in POISONS)
    return (
        f"{killed} programs to be killed, should they still be at work at a moment of their usual time "
        f"alone, {sum(map(trouble.slow, names))} tools that hang, "
        f"{sum(map(trouble.rambling, names))} answers in prose, poisoned subagents ({poisons}), "
        f"and one of {len(CALLS)} faults in {CALL_SHARE:.0%} of the steps, at the first model call of each"
    )


async def _miscounted(dsn: str) -> list[str]:
    async with open_store(Settings.model_validate({"dsn": dsn})) as database:
        return await mistakes(database)


PART = Part("faults", measure)
