"""Several tool calls in one turn: who is asked first, who runs, and what a deferral leaves of the others."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any

import pytest
from claude_agent_sdk import HookContext, HookInput, HookJSONOutput, HookMatcher

from tests.kit.script import Block
from tests.kit.scripted_api import Reply, in_turn, text, tool_use
from tests.kit.sdk import DELEGATE, ECHO, LOOK, Bench, Decision, Firing, Gate, Run, answer, blocks


def use(name: str, value: str) -> Block:
    return tool_use(name, {"value": value}, id=f"toolu_{value}")


async def suspended_with(bench: Bench, uses: list[Block], gate: Gate, **reply: Any) -> Run:
    bench.api.script = in_turn(Reply(uses, **reply), Reply([text("done")]))
    return await bench.run(gate=gate)


def history(bench: Bench) -> list[tuple[str, str, bool]]:
    results = bench.api.calls.messages()[-1].request.tool_results()
    return [(result.id, result.text, result.is_error) for result in results]


def deferring(value: str, others: Decision) -> Gate:
    return Gate(lambda firing: "defer" if firing.input["value"] == value else others, "joined to the first")


@pytest.mark.parametrize(("deferred", "denied"), [("a", "b"), ("b", "a")])
async def test_one_deferred_and_one_denied_both_survive(bench: Bench, deferred: str, denied: str) -> None:
    """Of two delegations one deferred and one denied both reach the resumed model, with result and reason."""
    gate = deferring(deferred, "deny")
    run = await suspended_with(bench, [use(DELEGATE, "a"), use(DELEGATE, "b")], gate)
    assert [firing.id for firing in gate.fired] == ["toolu_a", "toolu_b"]
    assert run.result.deferred_tool_use is not None
    assert run.result.deferred_tool_use.id == f"toolu_{deferred}"
    again = Gate()
    await bench.run(None, gate=again, resume=run.session)
    assert [firing.id for firing in again.fired] == [f"toolu_{deferred}"]
    assert history(bench) == [
        (f"toolu_{denied}", f"PreToolUse:{DELEGATE} hook error: joined to the first", True),
        (f"toolu_{deferred}", f"delegate: {deferred}", False),
    ]


async def test_of_two_deferred_calls_only_the_last_survives(bench: Bench) -> None:
    """With two deferrals in a turn the last is reported and re-run; the first vanishes from the history."""
    calls = [use(DELEGATE, "a"), use(DELEGATE, "b")]
    run = await suspended_with(bench, calls, Gate(lambda firing: "defer"))
    assert run.result.deferred_tool_use is not None
    assert run.result.deferred_tool_use.id == "toolu_b"
    await bench.run(None, gate=Gate(), resume=run.session)
    assert [call.id for call in bench.api.calls.messages()[-1].request.tool_uses()] == ["toolu_b"]


@pytest.mark.parametrize("sibling", [ECHO, LOOK])
@pytest.mark.parametrize("first", ["deferred", "sibling"])
async def test_sibling_of_a_deferred_call_runs_to_its_end(bench: Bench, sibling: str, first: str) -> None:
    """An allowed call beside a deferred one runs before the run ends, in either order, and not again."""
    calls = [use(DELEGATE, "d"), use(sibling, "s")]
    bench.tool_delay_s = 0.2
    gate = deferring("d", "allow")
    run = await suspended_with(bench, calls if first == "deferred" else calls[::-1], gate)
    assert run.result.terminal_reason == "tool_deferred"
    assert [(firing.tool, firing.ended is not None) for firing in bench.ran] == [(sibling, True)]
    again = Gate()
    await bench.run(None, gate=again, resume=run.session)
    assert (again.names, [firing.tool for firing in bench.ran]) == ([DELEGATE], [sibling, DELEGATE])
    assert history(bench) == [
        ("toolu_s", f"{sibling.removeprefix('mcp__t__')}: s", False),
        ("toolu_d", "delegate: d", False),
    ]


async def test_call_after_a_deferred_one_is_still_streamed_and_run(bench: Bench) -> None:
    """A deferral does not break off the model's message: a later block is read, and its call runs."""
    calls = [use(DELEGATE, "d"), use(ECHO, "s")]
    await suspended_with(bench, calls, deferring("d", "allow"), between_blocks_s=0.5)
    assert [firing.tool for firing in bench.ran] == [ECHO]
    assert bench.api.calls.messages()[0].outcome == "completed"


async def test_calls_that_may_write_run_one_after_another(bench: Bench) -> None:
    """Without readOnlyHint the order is hook, tool, hook, tool: each waits for the end of the one before."""
    bench.tool_delay_s = 0.2
    gate = Gate(delay_s=0.2)
    await suspended_with(bench, [use(ECHO, "a"), use(ECHO, "b")], gate)
    steps = [gate.fired[0], bench.ran[0], gate.fired[1], bench.ran[1]]
    assert all(before.ended and before.ended <= after.began for before, after in itertools.pairwise(steps))


async def test_read_only_calls_run_at_once(bench: Bench) -> None:
    """With readOnlyHint all hooks are open at the same time, and so are all the tools."""
    gate = Gate(delay_s=0.3)
    bench.tool_delay_s = 0.3
    await suspended_with(bench, [use(LOOK, "a"), use(LOOK, "b")], gate)
    assert overlap(*gate.fired)
    assert overlap(*bench.ran)


def overlap(first: Firing, second: Firing) -> bool:
    assert first.ended
    assert second.ended
    return first.began < second.ended and second.began < first.ended


async def test_call_that_may_write_waits_for_read_only_ones(bench: Bench) -> None:
    """Between read-only calls one that may write is a barrier in both directions."""
    bench.tool_delay_s = 0.2
    calls = [use(LOOK, "a"), use(ECHO, "b"), use(LOOK, "c")]
    gate = Gate()
    await suspended_with(bench, calls, gate)
    assert [firing.id for firing in gate.fired] == ["toolu_a", "toolu_b", "toolu_c"]
    assert not overlap(bench.ran[0], bench.ran[1])
    assert not overlap(bench.ran[1], bench.ran[2])


async def test_hook_fires_before_the_model_has_ended(bench: Bench) -> None:
    """A hook fires while its message is still streamed, and the store has no tool_use entry at that time."""
    release = threading.Event()
    kept: list[int] = []

    async def look_at_store(data: HookInput, tool_use_id: str | None, context: HookContext) -> HookJSONOutput:
        await asyncio.sleep(0.5)
        kept.append(len(blocks(bench.store.kept[data["session_id"], ""], "tool_use")))
        release.set()
        return answer("allow")

    bench.api.script = in_turn(
        Reply([use(ECHO, "a"), text("And more.")], hold=release, hold_after=1), Reply([text("done")])
    )
    run = await bench.run(hooks={"PreToolUse": [HookMatcher(hooks=[look_at_store])]})
    assert kept == [0]
    assert len(blocks(bench.store.transcript(run.session), "tool_use")) == 1
