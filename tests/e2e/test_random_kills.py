"""Killed at any moment of streams as real models send them: seconds to the first token, blocks apart."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.counting import after_kill_of_another, after_kill_of_harness
from tests.e2e.plays import SLOW, Scene, anew
from tests.e2e.running import Desk
from tests.e2e.table import Tally
from tests.kit.processes import kill, until_sync
from tests.kit.scripted_api import ScriptedProcess, scripted_process
from tests.kit.seeds import run_seed

LONGEST_S = 14.0
"""A little less than an undisturbed run of the slow play takes: a later kill would find it finished."""


@pytest.fixture
def api(home: Path) -> Iterator[ScriptedProcess]:
    with scripted_process(SLOW.script, home / "calls.jsonl", given=SLOW.given) as played:
        yield played


@pytest.fixture
def scene(embedded_desk: Desk, api: ScriptedProcess, holds: Path) -> Scene:
    return Scene(SLOW, embedded_desk, api, holds)


def test_killed_at_a_random_moment(scene: Scene, tally: Tally) -> None:
    """Only what was on the wire is asked for again, and usage adds up."""
    _kill_at_random(scene, 0, tally)


@pytest.mark.campaign
@pytest.mark.parametrize("number", range(100, 200))
def test_killed_at_a_hundred_random_moments(scene: Scene, number: int, tally: Tally) -> None:
    """The same, a hundred times."""
    _kill_at_random(scene, number, tally)


def test_with_only_a_cli_killed_in_mid_stream_no_call_is_repeated(scene: Scene, tally: Tally) -> None:
    """The gateway reads the answer to its end, keeps it, and gives it to the CLI that comes after."""
    command = scene.desk.start(*anew()(scene))
    until_sync(lambda: len(scene.api.calls().completed()) == 1, "the lead's first answer", timeout_s=60)
    until_sync(scene.open_stages, "a call to be on the wire")
    kill(*command.clis())
    row = after_kill_of_another(scene.desk, scene.api, command, SLOW)
    tally(SLOW.flow, "cli", row)
    row.check()
    assert row.repeated == 0


def _kill_at_random(scene: Scene, number: int, tally: Tally) -> None:
    dice = random.Random(run_seed() * 1000 + number)
    moment = dice.uniform(0.5, LONGEST_S)
    print(f"killed after {moment:.2f} s; repeat with HARNESS_TEST_SEED={run_seed()}")
    command = scene.desk.start(*anew()(scene))
    deadline = time.monotonic() + moment
    while time.monotonic() < deadline and command.process.poll() is None:
        time.sleep(0.01)
    at_work = command.process.poll() is None
    row = after_kill_of_harness(scene.desk, scene.api, command, SLOW) if at_work else None
    print("ROW", f"{moment:.2f} s", row)
    tally(SLOW.flow, "harness", row or "not reached")
    if row is not None:
        row.check()
