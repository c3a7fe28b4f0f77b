"""A process that gives no sign of life is ended, one that works is not; the journal tells what it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from harness import events as ev
from harness import liveness
from harness.liveness import Pulse, Silent, standing
from harness.records import Usage
from tests.kit.hooked import at_work
from tests.kit.journals import tool_requested


async def watched(pulse: Pulse, work: Callable[[], Awaitable[None]]) -> None:
    """Do some work under a pulse's watch."""
    async with pulse.watched():
        await work()


async def test_silence_ends_it_and_says_what_it_did() -> None:
    """The text names the time and the last thing it was known to do."""
    pulse = Pulse(silent_s=0.05, tool_s=9)

    async def work() -> None:
        pulse.beat("waiting for the first token")
        await asyncio.sleep(5)

    with pytest.raises(Silent, match=r"for 0\.05 s \(waiting for the first token\)"):
        await watched(pulse, work)


async def test_signs_of_life_keep_it_going() -> None:
    """Each one winds the clock up again."""
    pulse = Pulse(silent_s=0.2, tool_s=9)
    async with pulse.watched():
        for _ in range(6):
            await asyncio.sleep(0.08)
            pulse.beat("reading")


async def test_a_running_tool_has_a_time_of_its_own() -> None:
    """Of several at once the last to end counts; after it the short time holds again."""
    pulse = Pulse(silent_s=0.1, tool_s=9)

    async def work() -> None:
        pulse.tool_began("1", "Bash")
        pulse.tool_began("2", "Read")
        pulse.tool_ended("2")
        await asyncio.sleep(0.3)
        pulse.beat("thinking")
        pulse.tool_ended("1")
        await asyncio.sleep(5)

    with pytest.raises(Silent, match=r"for 0\.1 s"):
        await watched(pulse, work)


async def test_a_tool_that_never_ends_is_named() -> None:
    """The tool's own time is over as well."""
    pulse = Pulse(silent_s=9, tool_s=0.05)

    async def work() -> None:
        pulse.tool_began("1", "Bash")
        await asyncio.sleep(5)

    with pytest.raises(Silent, match="running Bash"):
        await watched(pulse, work)


async def test_a_process_that_never_starts_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a time of its own, and may be tried again; one that fell silent later may not."""
    monkeypatch.setattr(liveness, "START_S", 0.05)

    async def work() -> None:
        await asyncio.sleep(5)

    with pytest.raises(Silent, match=r"for 0\.05 s \(starting\)") as silent:
        await watched(Pulse(silent_s=9, tool_s=9), work)
    assert not silent.value.started


async def test_signs_after_the_end_do_no_harm() -> None:
    """An answer is read to its end for a process that has been ended, and goes on to give signs."""
    pulse = Pulse(silent_s=0.05, tool_s=9)
    async with pulse.watched():
        pulse.beat("reading")
    pulse.beat("reading")
    pulse.tool_ended("1")
    await asyncio.sleep(0.1)


async def test_another_timeout_is_not_mistaken_for_silence() -> None:
    """An error of the work itself passes through."""
    with pytest.raises(TimeoutError):
        async with Pulse(silent_s=9, tool_s=9).watched():
            raise TimeoutError


def test_the_journal_tells_what_a_run_does() -> None:
    """The model, another attempt, a tool, or waiting for its tasks."""
    run = at_work()
    assert standing(run.run).doing == "model"
    retried = ev.ModelRetried(
        call_id="call-1", auxiliary=False, status=529, problem="Busy.", lost=False, pause_s=1
    )
    run.book.add(retried, run.run_id)
    assert (standing(run.run).doing, standing(run.run).what) == ("retrying", "attempt 2 of a model call")
    run.book.add(
        ev.ModelFailed(call_id="call-1", auxiliary=False, status=529, problem="Busy.", usage=Usage()),
        run.run_id,
    )
    run.book.add(tool_requested("toolu_1"), run.run_id)
    assert standing(run.run).doing == "tool"
    run.book.add(ev.AgentRunSuspended(tool_use_id="toolu_1", work_s=1), run.run_id)
    assert standing(run.run).doing == "waiting"
