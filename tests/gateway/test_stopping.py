"""Stopping at the next checkpoint: what is on the wire is read to its end, and nothing new begins."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from harness.stopping import Stop, Stopping
from harness.store.database import Database
from tests.kit.gateways import Bench, bench_on, step
from tests.kit.processes import until
from tests.kit.scripted_api import Reply, ScriptedApi, text

ENOUGH = Stop("Enough.", "worker")


@pytest.fixture
def go() -> threading.Event:
    """Lets the played model go on after its first block."""
    return threading.Event()


@pytest.fixture
def stopping() -> Stopping:
    return Stopping()


@pytest.fixture
async def bench(database: Database, go: threading.Event, stopping: Stopping) -> AsyncIterator[Bench]:
    held = Reply([text("Begun."), text("Ended.")], hold=go, hold_after=1)
    with ScriptedApi(lambda request: held) as played:
        async with bench_on(database, played, stopping=stopping) as opened:
            yield opened
        go.set()


async def test_an_answer_on_the_wire_is_read_to_its_end_and_settled(
    bench: Bench, stopping: Stopping, go: threading.Event
) -> None:
    """It has been paid for: the client gets it whole, and it is committed."""
    answer = asyncio.create_task(bench.send())
    await until(lambda: bench.api.calls.messages(), "the call to be sent")
    stopping.ask(ENOUGH)
    await asyncio.sleep(0.1)
    assert bench.gateway.on_the_wire(bench.run.id)
    go.set()
    assert (await answer).text.count("content_block_stop") >= 2
    assert await bench.kinds() == ["model.requested", "model.finished"]
    assert not bench.gateway.on_the_wire(bench.run.id)


async def test_a_call_that_comes_then_is_neither_committed_nor_sent(bench: Bench, stopping: Stopping) -> None:
    """It waits at the door until its agent run has been ended, and the agent run is at rest meanwhile."""
    stopping.ask(ENOUGH)
    assert not stopping.holds(bench.run.id)
    call = asyncio.create_task(bench.send())
    await until(lambda: stopping.holds(bench.run.id), "the call to be held")
    assert not bench.gateway.on_the_wire(bench.run.id)
    bench.gateway.close_door(bench.token)
    assert (await call).status_code == 402
    assert await bench.kinds() == []
    assert bench.api.calls.messages() == []


async def test_what_the_cli_asks_beside_its_steps_does_not_tell_that_it_is_at_rest(
    bench: Bench, stopping: Stopping
) -> None:
    """A tool may be at work meanwhile."""
    stopping.ask(ENOUGH)
    call = asyncio.create_task(bench.send(step(tools=())))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await asyncio.shield(call)
    assert not stopping.holds(bench.run.id)
    bench.gateway.close_door(bench.token)
    assert (await call).status_code == 402


async def test_of_several_reasons_the_first_one_counts(stopping: Stopping) -> None:
    """A drained worker's session that is paused afterwards goes to another worker, who hears of the pause."""
    stopping.ask(ENOUGH)
    stopping.ask(Stop("It was paused."))
    assert stopping.order == ENOUGH
    async with asyncio.timeout(1):
        await stopping.moved()
