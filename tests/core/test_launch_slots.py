"""Turns at launching: so many at once, in the order they were asked for, and none is lost."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from harness import launch_slots
from harness.launch_slots import launch_slot, slots_here


async def _begin(launched: list[str], name: str, up: asyncio.Event, ended: asyncio.Event) -> None:
    async with launch_slot() as slot:
        launched.append(name)
        await up.wait()
        slot.free()
        slot.free()
        await ended.wait()


async def _rest() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_next_one_is_launched_when_one_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at a time; it is enough that one is up, and need not have ended."""
    monkeypatch.setattr(launch_slots, "slots_here", lambda: 2)
    launched: list[str] = []
    up = {name: asyncio.Event() for name in "abcde"}
    ended = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for name, event in up.items():
            tasks.create_task(_begin(launched, name, event, ended))
        for name, expected in (("a", "abc"), ("c", "abcd"), ("b", "abcde")):
            up[name].set()
            await _rest()
            assert launched == [*expected]
        for event in (*up.values(), ended):
            event.set()


async def test_a_launch_that_fails_or_is_given_up_keeps_no_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an error nor a cancellation, at work or while it waits, takes a slot with it."""
    monkeypatch.setattr(launch_slots, "slots_here", lambda: 1)
    with pytest.raises(OSError, match="no such file"):
        async with launch_slot():
            raise OSError("no such file")
    launched: list[str] = []
    never = asyncio.Event()
    works, waits = (asyncio.create_task(_begin(launched, name, never, never)) for name in "ab")
    await _rest()
    waits.cancel()
    works.cancel()
    await asyncio.wait({works, waits})
    async with asyncio.timeout(1), launch_slot():
        assert launched == ["a"]


async def test_a_launch_that_hangs_holds_nobody_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for something other than CPU."""
    monkeypatch.setattr(launch_slots, "slots_here", lambda: 1)
    monkeypatch.setattr(launch_slots, "LONGEST_S", 0.05)
    async with launch_slot(), asyncio.timeout(5), launch_slot():
        pass


def test_each_loop_has_slots_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library is used in one loop after the other."""
    monkeypatch.setattr(launch_slots, "slots_here", lambda: 1)

    async def contend() -> None:
        launched: list[str] = []
        event = asyncio.Event()
        event.set()
        await asyncio.gather(*(_begin(launched, name, event, event) for name in "abc"))
        assert launched == ["a", "b", "c"]

    asyncio.run(contend())
    asyncio.run(contend())


@pytest.mark.parametrize(("cores", "slots"), [(1, 1), (2, 1), (8, 7)])
def test_one_core_is_left_if_there_are_more(monkeypatch: pytest.MonkeyPatch, cores: int, slots: int) -> None:
    """Of those that this process may use, not of all that the machine has; there is always a slot."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    assert slots_here() == slots
