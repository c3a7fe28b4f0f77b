from __future__ import annotations

import asyncio
import logging

import pytest

from harness.beside import beside, end


async def test_work_ends_with_its_block() -> None:
    """What goes on beside a block is over when the block is."""
    steps: list[str] = []

    async def work() -> None:
        try:
            steps.append("begun")
            await asyncio.Event().wait()
        finally:
            steps.append("ended")

    async with beside(work(), name="work"):
        await asyncio.sleep(0)
        assert steps == ["begun"]
    assert steps == ["begun", "ended"]


async def test_an_error_is_logged_and_does_not_stop_the_block(caplog: pytest.LogCaptureFixture) -> None:
    """Work that fails says so in the log at once, with its name, and the block goes on."""

    async def work() -> None:
        raise RuntimeError("A defect.")

    with caplog.at_level(logging.ERROR):
        async with beside(work(), name="housekeeping"):
            for _ in range(3):
                await asyncio.sleep(0)
            assert "'housekeeping'" in caplog.text
            assert "A defect." in caplog.text


async def test_an_end_in_time_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """Work that is cut off by the end of its block, or has ended before it, is not in the log."""

    async def short() -> None:
        return

    async def long() -> None:
        await asyncio.Event().wait()

    async with beside(short(), name="short"), beside(long(), name="long"):
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not caplog.records


async def test_who_has_missed_a_cancellation_is_cancelled_again() -> None:
    """As a wait of the database's driver may, when what it waits for is done at that moment."""
    missed: list[bool] = []

    async def work() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if missed:
                    raise
                missed.append(True)

    async with asyncio.timeout(10):
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        await end(task, again_s=0.05)
    assert missed == [True]
