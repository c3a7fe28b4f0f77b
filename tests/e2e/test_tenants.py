"""Budgets of tenants with the real CLI: never overspent, exact after kills, and once raised, no obstacle."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from harness.store.database import Database
from tests.e2e.running import Command, Desk
from tests.e2e.scripts import ALONE, alone
from tests.kit.ledgers import mistakes
from tests.kit.processes import until_sync
from tests.kit.script import Reply, Request, Tokens
from tests.kit.scripted_api import ScriptedProcess, scripted_process
from tests.kit.seeds import run_seed

T = TypeVar("T")

MOST_OF_A_CALL = 1.3
"""About what is reserved for a call of the real CLI, in US dollars."""

ASKED = ("How?", "--sources", "notes.md", "--flow", "single", "--tenant", "acme")


def dear_and_slow(request: Request) -> Reply:
    """An analyst whose every call costs about a fifth of a dollar, and is on the wire for a moment."""
    return replace(alone(request), usage=Tokens(900, 20_000), first_token_s=0.3)


@pytest.fixture
def api(home: Path) -> Iterator[ScriptedProcess]:
    with scripted_process("tests.e2e.test_tenants:dear_and_slow", home / "calls.jsonl") as played:
        yield played


def read(desk: Desk, work: Callable[[Database], Awaitable[T]]) -> T:
    async def reading() -> T:
        async with await Database.open(desk.dsn or "") as database:
            return await work(database)

    return asyncio.run(reading())


def rows(desk: Desk) -> list[dict[str, Any]]:
    """How each session stands, and whether anything is to be done about it now."""

    async def work(database: Database) -> list[dict[str, Any]]:
        return await database.all(
            "SELECT status, due_at <= clock_timestamp() OR lease_until > clock_timestamp() AS busy"
            " FROM session"
        )

    return read(desk, work)


def settle(desk: Desk) -> list[str]:
    """Wait until nothing is to be done, and give how the sessions stand."""
    until_sync(lambda: not any(row["busy"] for row in rows(desk)), "all to rest", timeout_s=240)
    return sorted(row["status"] for row in rows(desk))


def until_open_or_over(desk: Desk, api: ScriptedProcess) -> bool:
    """Wait until a call is on the wire; False when there is none because all has come to rest."""

    def seen() -> str:
        if any(call.outcome == "open" for call in api.calls().messages()):
            return "open"
        found = rows(desk)
        return "" if any(row["busy"] for row in found) else "over"

    return until_sync(seen, "a call to be on the wire", timeout_s=240) == "open"


def used(desk: Desk) -> tuple[float, float]:
    """What the tenant has used today in US dollars: settled, and at most."""
    code, tenant = desk.run("tenants", "show", "acme")
    assert code == 0
    today = tenant["today"]
    return today["usd"], today["usd"] + today["unattributed_usd"] + today["reserved_usd"]


def last_dollars(desk: Desk, api: ScriptedProcess, workers: int, sessions: int, kills: int) -> None:
    """Let workers spend all that there is, kill some, then raise the limit."""
    print(f"repeat with HARNESS_TEST_SEED={run_seed()}")
    dice, limit = random.Random(run_seed()), (kills + 1) * MOST_OF_A_CALL + 0.6
    assert desk.run("tenants", "set", "acme", "--daily-usd", str(limit))[0] == 0
    ids = [desk.run("submit", *ASKED)[1]["session_id"] for _ in range(sessions)]

    def begin() -> Command:
        return desk.start("worker", "--concurrency", "2")

    at_work = [begin() for _ in range(workers)]
    killed = 0
    while killed < kills and until_open_or_over(desk, api):
        at_work.pop(dice.randrange(len(at_work))).kill(clis_too=True)
        at_work.append(begin())
        killed += 1
        time.sleep(dice.uniform(0.5, 3))
    assert killed, "nobody was killed while there was money"
    standing = settle(desk)
    assert "queued" in standing, "nobody was put off: the limit was never met"
    settled, most = used(desk)
    assert settled > 0
    assert most <= limit
    assert read(desk, mistakes) == []

    assert desk.run("tenants", "set", "acme", "--daily-usd", "none")[0] == 0
    assert settle(desk) == ["done"] * sessions
    assert {desk.run("show", session_id, "--tenant", "acme")[1]["report"] for session_id in ids} == {ALONE}
    for command in at_work:
        command.process.send_signal(signal.SIGTERM)
        assert command.wait(60) == 0, "".join(command.errors)
    assert read(desk, mistakes) == []


@pytest.mark.timeout(400)
def test_workers_that_are_killed_never_overspend_a_tenants_last_dollars(
    desk: Desk, api: ScriptedProcess
) -> None:
    """Three of them; what does not fit waits for the next day, and goes on when the limit is taken away."""
    last_dollars(desk, api, workers=3, sessions=5, kills=1)


@pytest.mark.campaign
@pytest.mark.timeout(1200)
def test_eight_workers_that_are_killed_never_overspend(desk: Desk, api: ScriptedProcess) -> None:
    """The same with eight workers, and five kills."""
    last_dollars(desk, api, workers=8, sessions=20, kills=5)


def test_a_run_whose_tenant_has_spent_its_budget_waits_for_a_person(desk: Desk, api: ScriptedProcess) -> None:
    """It is suspended with what to do, which works, and no call is made twice."""
    desk.run("tenants", "set", "acme", "--monthly-usd", "0.55", "--flows", "single")
    code, ended = desk.run("run", *ASKED)
    assert (code, ended["status"]) == (3, "suspended")
    assert "harness tenants set acme --monthly-usd AMOUNT" in ended["problem"]
    assert f"harness resume {ended['session_id']}" in ended["problem"]
    assert used(desk)[1] <= 0.55
    desk.run("tenants", "set", "acme", "--monthly-usd", "5")
    code, ended = desk.run("resume", ended["session_id"], "--tenant", "acme")
    assert (code, ended["report"]) == (0, ALONE)
    assert len(api.calls().messages()) == 3
    assert used(desk)[0] == pytest.approx(ended["cost_usd"])
    assert read(desk, mistakes) == []
