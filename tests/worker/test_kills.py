"""Workers killed at random and a Postgres that restarts, under a crowd of sessions: each ends as it would."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import pytest

from tests.kit.outages import OwnPostgres
from tests.kit.processes import until_sync
from tests.kit.seeds import run_seed
from tests.worker.outcome import check_all, check_nothing_left, doctor_agrees
from tests.worker.service import KINDS, LEAD, LINE, SINGLE, Kind, Service

pytestmark = pytest.mark.timeout(300)

WORKERS = 3
RESTARTS = 2
"""Of Postgres, stopped as by `pg_ctl stop -m immediate`."""

STUCK_S = 90
"""After so long without any event, something hangs."""

Victim = Literal["worker", "postgres"]
WORKER: Victim = "worker"
POSTGRES: Victim = "postgres"


@dataclass(frozen=True)
class Blow:
    """What is killed when all sessions together have committed `calls` model calls."""

    calls: int
    victim: Victim


def test_a_dozen_sessions_over_killed_workers(own_service: Service, store: OwnPostgres) -> None:
    """Four kills and two restarts: every session ends once, as if nothing had happened."""
    _survived(own_service, store, [*[LEAD] * 2, *[LINE] * 3, *[SINGLE] * 7], kills=4)


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_two_hundred_sessions_over_killed_workers(own_service: Service, store: OwnPostgres) -> None:
    """The same at length: a kill for every four sessions."""
    _survived(own_service, store, [KINDS[number % 3] for number in range(200)], kills=50, concurrency=3)


def _survived(
    service: Service, store: OwnPostgres, kinds: list[Kind], *, kills: int, concurrency: int = 2
) -> None:
    dice = random.Random(run_seed())
    print(f"repeat with HARNESS_TEST_SEED={run_seed()}")
    began = time.monotonic()
    dice.shuffle(kinds)
    blows = _planned(dice, sum(kind.calls for kind in kinds), kills)
    for _ in range(WORKERS):
        service.worker(concurrency)
    with ThreadPoolExecutor(1) as clerk:
        submitted = clerk.submit(service.submit, *kinds)
        until_sync(lambda: service.sessions, "a submission", timeout_s=60)
        watched, kind = next(iter(service.sessions.items()))
        watcher = service.desk.start("tail", watched)
        until_sync(lambda: watcher.lines, "the watcher to see something", timeout_s=60)
        for blow in blows:
            _until_committed(service, blow.calls)
            time.sleep(dice.uniform(0, 0.5))
            print(f"{time.monotonic() - began:.1f} s: {blow}", flush=True)
            if blow.victim == POSTGRES:
                # One that starts while the store is away ends with a sentence, as any command does.
                until_sync(service.at_work, "all workers to have started", timeout_s=60)
                with service.submitting, store.stopped():
                    time.sleep(dice.uniform(0, 1.5))
            else:
                _killed_and_started(service, dice, concurrency)
        submitted.result()
    service.until_done(still_s=STUCK_S)
    assert watcher.wait() == 0, watcher.errors
    assert watcher.finished is not None
    assert watcher.finished["report"] == kind.report
    took = time.monotonic() - began
    service.drained()
    sums = check_all(service)
    check_nothing_left(service)
    doctor_agrees(service, dice.sample(sorted(service.sessions), 1))
    print(f"SUMS {kills} kills, {RESTARTS} restarts, {took:.0f} s: {sums}")
    assert sums.taken_up > 0, "no kill hit a session"


def _planned(dice: random.Random, calls: int, kills: int) -> list[Blow]:
    """Blows at random moments, while there is still work for all workers."""
    victims = [*[WORKER] * kills, *[POSTGRES] * RESTARTS]
    dice.shuffle(victims)
    moments = sorted(dice.sample(range(1, max(calls * 3 // 4, len(victims) + 1)), len(victims)))
    return [Blow(moment, victim) for moment, victim in zip(moments, victims, strict=True)]


def _until_committed(service: Service, calls: int) -> None:
    seen, since = -1, time.monotonic()
    while (now := service.calls()) < calls:
        if now > seen:
            seen, since = now, time.monotonic()
        assert time.monotonic() - since < STUCK_S, f"{now} model calls, and no more"
        time.sleep(0.05)


def _killed_and_started(service: Service, dice: random.Random, concurrency: int) -> None:
    victim = dice.choice(service.workers)
    assert victim.process.poll() is None, victim.errors
    victim.kill()
    service.workers.remove(victim)
    time.sleep(dice.uniform(0, 1))
    service.worker(concurrency)
