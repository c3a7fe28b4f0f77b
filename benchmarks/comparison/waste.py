"""What a crash wastes: the program is killed with SIGKILL at seeded moments, and resumed by its own means.

Moments are shares of the time between an undisturbed run's first model call and its end, the same for every
system. Whatever a killed program leaves behind lives on, as it would; three seconds later the resume starts,
and again after each resume that ends without the report.

Repeated are the model calls beyond those of an undisturbed run, and their tokens: bytes of requests over
four. On the wire were the calls that were being answered at the kill. Calls of orphans come after the kill
from what the killed program started, which is told by its key.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from benchmarks.comparison.figures import Finding, Part, Series
from benchmarks.comparison.played import stage_of
from benchmarks.comparison.prompt import tokens_of
from benchmarks.comparison.running import Desk, Ended, desk
from benchmarks.comparison.systems import SYSTEMS, System, configurations
from benchmarks.comparison.work import Work
from benchmarks.rows import spread
from tests.kit.calls import Call

CALL_S = 0.4
"""How long the model takes for an answer."""

PAUSE_S = 3.0
RESUMES = 5
"""After so many a run is given up."""

UNDISTURBED = 5
MOMENTS = 30


@dataclass(frozen=True)
class Undisturbed:
    """Runs without a kill: seconds until the first model call and until the end, model calls and tokens."""

    first_s: float
    end_s: float
    calls: float
    tokens: float

    @classmethod
    def middle(cls, runs: Sequence[Undisturbed]) -> Undisturbed:
        """What is usual."""
        return cls(*(spread([getattr(run, each.name) for run in runs])[1] for each in fields(cls)))


@dataclass(frozen=True)
class Crashed:
    """What became of a killed run. Seconds lost are those beyond an undisturbed run, without the pauses."""

    right: bool
    resumes: int
    repeated: float
    on_the_wire: int
    tokens: float
    again: int
    orphans: int
    lost_s: float


def measure(short: bool, seed: int, dsn: str) -> Finding:
    work = Work(subjects=2, steps=2) if short else Work()
    dice = random.Random(seed)
    shares = [dice.uniform(0.02, 0.98) for _ in range(1 if short else MOMENTS)]
    series: list[Series] = []
    for system in SYSTEMS:
        before = [_undisturbed(system, work, dsn) for _ in range(1 if short else UNDISTURBED)]
        usual = Undisturbed.middle(before)
        crashed = [_crashed(system, work, dsn, usual, share) for share in shares]
        series += _series(system.name, before, crashed)
    return Finding(
        part="waste",
        title="What a crash wastes",
        about=(
            f"A lead with {work.subjects} subagents of {work.steps} steps each, every model call {CALL_S} s; "
            f"killed with SIGKILL at {len(shares)} moments, then resumed after {PAUSE_S:g} s."
        ),
        systems=tuple(system.name for system in SYSTEMS),
        series=tuple(series),
        configurations=configurations(SYSTEMS),
        seed=seed,
    )


def _series(system: str, before: list[Undisturbed], crashed: list[Crashed]) -> Iterable[Series]:
    def of(figure: str, unit: str, samples: Iterable[float]) -> Series:
        return Series(system=system, figure=figure, unit=unit, samples=tuple(samples))

    tokens = Undisturbed.middle(before).tokens
    yield of("undisturbed run", "s", (run.end_s for run in before))
    yield of("runs that ended right", "%", [100 * sum(run.right for run in crashed) / len(crashed)])
    yield of("resumes needed", "", (run.resumes for run in crashed))
    yield of("model calls repeated", "", (run.repeated for run in crashed))
    yield of("on the wire at the kill", "", (run.on_the_wire for run in crashed))
    yield of("tokens repeated, of an undisturbed run's", "%", (100 * run.tokens / tokens for run in crashed))
    yield of("finished subagents run again", "", (run.again for run in crashed))
    yield of("model calls of orphans", "", (run.orphans for run in crashed))
    yield of("seconds lost", "s", (run.lost_s for run in crashed))


def _undisturbed(system: System, work: Work, dsn: str) -> Undisturbed:
    with desk(system, work, dsn, first_token_s=CALL_S) as at:
        began = time.time()
        ended = at.undisturbed()
        calls = at.calls()
        first_s = calls[0].received_at - began
        return Undisturbed(first_s, ended.wall_s, len(calls), sum(tokens_of(call.request) for call in calls))


def _crashed(system: System, work: Work, dsn: str, usual: Undisturbed, share: float) -> Crashed:
    with desk(system, work, dsn, first_token_s=CALL_S) as at:
        began = time.monotonic()
        program = at.start()
        killed = program.kill_after(usual.first_s + share * (usual.end_s - usual.first_s))
        worked_s = time.monotonic() - began
        resumes: list[Ended] = []
        while len(resumes) < RESUMES and not (resumes and at.right(resumes[-1])):
            time.sleep(PAUSE_S)
            resumes.append(at.start(resume=True).wait())
        return _outcome(at, usual, killed, resumes, worked_s)


def _outcome(at: Desk, usual: Undisturbed, killed: float, resumes: list[Ended], worked_s: float) -> Crashed:
    calls = at.calls()
    return Crashed(
        right=at.right(resumes[-1]),
        resumes=len(resumes),
        repeated=len(calls) - usual.calls,
        on_the_wire=sum(_on_the_wire(call, killed) for call in calls),
        tokens=sum(tokens_of(call.request) for call in calls) - usual.tokens,
        again=_again(at.work, calls, killed),
        orphans=sum(call.received_at > killed and call.request.api_key.endswith("-start") for call in calls),
        lost_s=worked_s + sum(run.wall_s for run in resumes) - usual.end_s,
    )


def _again(work: Work, calls: list[Call], killed: float) -> int:
    """How many subagents had finished before the kill and began once more after it."""
    last, first = f", step {work.steps}", ", step 0"
    stages = [(stage_of(call.request), call) for call in calls]
    done = {
        stage.removesuffix(last)
        for stage, call in stages
        if stage.endswith(last) and call.ended_at is not None and call.ended_at < killed
    }
    begun = {
        stage.removesuffix(first)
        for stage, call in stages
        if stage.endswith(first) and call.received_at > killed
    }
    return len(done & begun)


def _on_the_wire(call: Call, killed: float) -> bool:
    return call.received_at < killed and (call.ended_at is None or call.ended_at > killed)


PART = Part("waste", measure)
