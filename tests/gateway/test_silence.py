"""A service that says nothing: how long a call waits, and what its session and its watchdog hear of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from harness.gateway.trouble import Trouble
from harness.liveness import CALL_S, Pulse, Silent
from harness.records import Usage
from harness.store.database import Database
from tests.kit.gateways import SPENT, Bench, bench_on, step
from tests.kit.scripted_api import Reply, ScriptedApi, text

SILENT_S = 0.6


@pytest.fixture
async def bench(database: Database, api: ScriptedApi) -> AsyncIterator[Bench]:
    async with bench_on(database, api, silent_s=SILENT_S) as opened:
        yield opened


async def test_a_call_that_is_silent_is_given_up_once(bench: Bench) -> None:
    """It is lost, made no second time, and the session hears why."""
    bench.api.script = lambda request: Reply(fault="hang")
    answer = await bench.send()
    problem = f"The model service at {bench.api.base_url} gave no sign of life for {SILENT_S:g} s."
    assert (answer.status_code, answer.json()["error"]["message"]) == (402, problem)
    assert bench.door.trouble == Trouble("service", problem)
    assert len(bench.api.calls.messages()) == 1
    assert bench.run.usage == Usage(attempts=1, unattributed_calls=1)
    assert await bench.kinds() == ["model.requested", "model.failed"]


async def test_silence_within_an_answer_is_the_same(bench: Bench) -> None:
    """The client sees its answer break off, and what it asks then is not sent."""
    bench.api.script = lambda request: Reply([text("a"), text("b")], between_blocks_s=60)
    with pytest.raises(httpx.RemoteProtocolError):
        await bench.send()
    assert bench.door.trouble is not None
    assert "no sign of life" in bench.door.trouble.problem
    answer = await bench.send(step(stream=False))
    assert (answer.status_code, "no sign of life" in answer.text) == (402, True)
    assert len(bench.api.calls.messages()) == 1


async def test_a_slow_answer_that_gives_signs_is_waited_for(bench: Bench) -> None:
    """Each of its events is one, however long all of it takes."""
    bench.api.script = lambda request: Reply(
        [text("a" * 90)], usage=SPENT, deltas=9, between_deltas_s=SILENT_S / 3
    )
    began = time.monotonic()
    assert (await bench.send()).status_code == 200
    assert time.monotonic() - began > SILENT_S


async def test_the_call_is_known_for_as_long_as_it_is_on_the_wire(
    database: Database, api: ScriptedApi
) -> None:
    """From its first attempt to the end of its answer the process behind it is not called silent."""
    pulse, doing = Pulse(silent_s=SILENT_S, tool_s=9), list[int]()
    async with bench_on(database, api) as bench:
        bench.door.calling = pulse.calling
        api.script = lambda request: Reply([text("a")], first_token_s=2 * SILENT_S)
        pulse.beat("thinking")
        async with pulse.watched():
            asking = asyncio.create_task(bench.send())
            await asyncio.sleep(SILENT_S / 2)
            doing.append(pulse._calls)
            assert (await asking).status_code == 200
            doing.append(pulse._calls)
    assert doing == [1, 0]


async def test_a_process_that_does_not_take_its_answer_is_silent_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The gateway ends the service's silence; a longer one is the process's own."""
    monkeypatch.setattr("harness.liveness.CALL_S", 0.1)
    assert CALL_S > 30  # longer than the longest pause between two attempts
    pulse = Pulse(silent_s=0.1, tool_s=9)
    pulse.beat("thinking")
    began = time.monotonic()
    with pytest.raises(Silent, match=r"for 0\.3 s"):
        await _call_within(pulse)
    assert time.monotonic() - began >= 0.3


async def _call_within(pulse: Pulse) -> None:
    async with pulse.watched():
        with pulse.calling():
            await asyncio.sleep(9)
