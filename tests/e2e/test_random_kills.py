"""Killed at any moment of streams as real models send them: seconds to the first token, blocks apart."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.counting import Row, after_kill_of_another, after_kill_of_harness
from tests.e2e.running import Desk
from tests.kit.processes import kill, until_sync
from tests.kit.scripted_api import ScriptedProcess, scripted_process
from tests.kit.seeds import run_seed

LONGEST_S = 25.0
"""About as long as an undisturbed run of the slow play takes; a later kill finds it finished."""


@pytest.fixture
def api(home: Path) -> Iterator[ScriptedProcess]:
    given = {"size": 2, "slow": True}
    with scripted_process("tests.e2e.scripts:expedition", home / "calls.jsonl", given=given) as played:
        yield played


@pytest.mark.parametrize("number", range(2))
def test_killed_at_a_random_moment(embedded_desk: Desk, api: ScriptedProcess, number: int) -> None:
    """Only what was on the wire is asked for again, and usage adds up."""
    _kill_at_random(embedded_desk, api, number)


@pytest.mark.campaign
@pytest.mark.parametrize("number", range(100, 200))
def test_killed_at_a_hundred_random_moments(embedded_desk: Desk, api: ScriptedProcess, number: int) -> None:
    """The same, a hundred times."""
    _kill_at_random(embedded_desk, api, number)


def test_with_only_a_cli_killed_in_mid_stream_no_call_is_repeated(
    embedded_desk: Desk, api: ScriptedProcess
) -> None:
    """The gateway reads the answer to its end, keeps it, and gives it to the CLI that comes after."""
    command = embedded_desk.start("run", "How?", "--sources", "notes.md")
    until_sync(lambda: len(api.calls().completed()) == 1, "the lead's first answer", timeout_s=60)
    until_sync(lambda: any(c.outcome == "open" for c in api.calls().messages()), "a call to be on the wire")
    kill(*command.clis())
    row = after_kill_of_another(embedded_desk, api, command)
    row.check()
    assert row.repeated == 0


def _kill_at_random(desk: Desk, api: ScriptedProcess, number: int) -> None:
    dice = random.Random(run_seed() * 1000 + number)
    moment = dice.uniform(0.5, LONGEST_S)
    print(f"killed after {moment:.2f} s; repeat with HARNESS_TEST_SEED={run_seed()}")
    command = desk.start("run", "How?", "--sources", "notes.md")
    deadline = time.monotonic() + moment
    while time.monotonic() < deadline and command.process.poll() is None:
        time.sleep(0.01)
    row: Row | None = after_kill_of_harness(desk, api, command)
    print("ROW", f"{moment:.2f} s", row)
    if row is not None:
        row.check()
