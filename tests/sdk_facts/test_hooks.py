"""What becomes of a tool call when its PreToolUse hook fails; the call is a real shell command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import pytest
from claude_agent_sdk import HookContext, HookInput, HookJSONOutput, HookMatcher

from tests.kit.script import ToolResult
from tests.kit.scripted_api import Reply, in_turn, structured, text, tool_use
from tests.kit.sdk import SHELL, Bench, Gate

Hook = Callable[[HookInput, str | None, HookContext], Awaitable[HookJSONOutput]]

NOT_RUN_IN_TIME = "PreToolUse hook did not respond before its timeout"


async def raises(data: HookInput, tool_use_id: str | None, context: HookContext) -> HookJSONOutput:
    raise RuntimeError("broken")


async def gives_nothing(data: HookInput, tool_use_id: str | None, context: HookContext) -> HookJSONOutput:
    nothing: Any = None
    result: HookJSONOutput = nothing
    return result


async def gives_nonsense(data: HookInput, tool_use_id: str | None, context: HookContext) -> HookJSONOutput:
    nonsense: Any = {"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": "Deny"}}
    result: HookJSONOutput = nonsense
    return result


async def is_cancelled(data: HookInput, tool_use_id: str | None, context: HookContext) -> HookJSONOutput:
    raise asyncio.CancelledError


async def hangs(data: HookInput, tool_use_id: str | None, context: HookContext) -> HookJSONOutput:
    await asyncio.Event().wait()
    return {}


async def no_opinion(data: HookInput, tool_use_id: str | None, context: HookContext) -> HookJSONOutput:
    return {}


async def call_behind(
    hook: Hook,
    bench: Bench,
    *,
    on_failure: Literal["continue", "block"] | None = None,
    timeout: float | None = None,
) -> tuple[bool, ToolResult]:
    """Let the shell make a file behind this hook; give whether it is there, and what the model was told."""
    made = bench.home / "made"
    bench.api.script = in_turn(Reply([tool_use("Bash", {"command": f"touch {made}"})]), Reply([text("done")]))
    matcher = HookMatcher(hooks=[hook], on_failure=on_failure, timeout=timeout)
    run = await bench.run(hooks={"PreToolUse": [matcher]}, **SHELL)
    assert run.result.result == "done"
    (result,) = bench.api.calls.messages()[-1].request.tool_results()
    return made.exists(), result


@pytest.mark.parametrize("hook", [raises, gives_nothing, gives_nonsense])
async def test_tool_runs_when_its_hook_fails(bench: Bench, hook: Hook) -> None:
    """By default a hook that raises, returns None or returns an unknown value lets the tool run."""
    made, result = await call_behind(hook, bench)
    assert made
    assert not result.is_error


@pytest.mark.parametrize("hook", [raises, gives_nothing, gives_nonsense])
async def test_block_on_failure_stops_the_tool(bench: Bench, hook: Hook) -> None:
    """With on_failure="block" the same failures stop the tool, tell the model, and the session goes on."""
    made, result = await call_behind(hook, bench, on_failure="block")
    assert not made
    assert result.is_error
    assert 'failed; blocking because onFailure is "block"' in result.text
    assert "broken" not in result.text


async def test_block_on_failure_leaves_a_hook_without_opinion_alone(bench: Bench) -> None:
    """With on_failure="block" an empty answer still lets the tool run."""
    made, _ = await call_behind(no_opinion, bench, on_failure="block")
    assert made


@pytest.mark.parametrize("hook", [hangs, is_cancelled])
@pytest.mark.parametrize("on_failure", [None, "block"])
async def test_hook_that_never_answers_stops_the_tool(
    bench: Bench, hook: Hook, on_failure: Literal["block"] | None
) -> None:
    """A hook that hangs or is cancelled never answers: the tool is stopped at the matcher's timeout."""
    made, result = await call_behind(hook, bench, on_failure=on_failure, timeout=1)
    assert not made
    assert result.is_error
    assert result.text.startswith(NOT_RUN_IN_TIME)


async def test_late_hook_is_cancelled(bench: Bench) -> None:
    """At the matcher's timeout the hook's own coroutine is cancelled."""
    ended = asyncio.Event()

    async def late(data: HookInput, tool_use_id: str | None, context: HookContext) -> HookJSONOutput:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return {}

    made, _ = await call_behind(late, bench, timeout=1)
    assert not made
    assert ended.is_set()


async def test_typed_answer_passes_the_hook_too(bench: Bench) -> None:
    """PreToolUse fires for StructuredOutput as for any other tool."""
    bench.api.script = in_turn(Reply([structured({"n": 1})]))
    gate = Gate()
    await bench.run(gate=gate, output_format={"type": "json_schema", "schema": {"type": "object"}})
    assert gate.names == ["StructuredOutput"]
