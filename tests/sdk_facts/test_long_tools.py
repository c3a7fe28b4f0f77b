"""Tools that take long: what the CLI does when its own time is up, and when it is heard of again."""

from __future__ import annotations

import time
from typing import Any

import pytest
from claude_agent_sdk import ClaudeSDKClient, HookMatcher

from tests.kit.scripted_api import Reply, in_turn, text, tool_use
from tests.kit.sdk import DELEGATE, SHELL, Bench, Gate

AT_WORK = "for i in 1 2 3 4; do sleep 1; done; echo awake"
"""Four seconds of work in the shell. A longer sleep by itself would be refused."""


async def shell(bench: Bench, input: dict[str, object], **env: str) -> tuple[str, bool]:
    """Run one command in a shell whose time is up after one second; give what the model saw."""
    bench.api.script = in_turn(Reply([tool_use("Bash", input)]), Reply([text("done")]))
    await bench.run(env={"BASH_DEFAULT_TIMEOUT_MS": "1000", **env}, **SHELL)
    (result,) = bench.api.calls.messages()[-1].request.tool_results()
    return result.text, result.is_error


def bash_as_offered(bench: Bench) -> dict[str, Any]:
    """Give the definition of the shell tool that the model was sent."""
    tools = bench.api.calls.messages()[0].request.body["tools"]
    found: dict[str, Any] = next(tool for tool in tools if tool["name"] == "Bash")
    return found


async def test_a_command_whose_time_is_up_goes_on_in_the_background(bench: Bench) -> None:
    """The call ends without an error and without a result, while the command still runs."""
    said, is_error = await shell(bench, {"command": AT_WORK})
    assert said.startswith("Command did not complete within its 1s timeout and was moved to the background")
    assert not is_error


async def test_without_background_tasks_it_is_ended(bench: Bench) -> None:
    """With CLAUDE_CODE_DISABLE_BACKGROUND_TASKS=1 the command is killed, and the model is told."""
    told = await shell(bench, {"command": AT_WORK}, CLAUDE_CODE_DISABLE_BACKGROUND_TASKS="1")
    assert told == ("Exit code 143\nCommand timed out after 1s", True)
    offered = bash_as_offered(bench)
    assert "run_in_background" not in offered["input_schema"]["properties"]


async def test_the_model_may_ask_for_more_time(bench: Bench) -> None:
    """A `timeout` in the call's input replaces the default, up to BASH_MAX_TIMEOUT_MS."""
    assert await shell(bench, {"command": AT_WORK, "timeout": 60_000}) == ("awake", False)
    said, _ = await shell(bench, {"command": AT_WORK, "timeout": 60_000}, BASH_MAX_TIMEOUT_MS="1000")
    assert said.startswith("Command did not complete within its 1s timeout")


async def test_by_default_the_shell_has_two_minutes(bench: Bench) -> None:
    """The tool's description tells the model: 120,000 ms, and 600,000 ms at most."""
    await bench.run(**SHELL)
    offered = bash_as_offered(bench)
    assert "120000" in offered["description"]
    assert "600000" in str(offered["input_schema"]["properties"]["timeout"])


async def test_a_call_fired_again_is_silent_until_its_tool_has_ended(bench: Bench) -> None:
    """Resumed at a deferred call, the CLI's first message of any kind comes after the tool's end."""
    bench.api.script = in_turn(Reply([tool_use(DELEGATE, {"value": "a"})]), Reply([text("done")]))
    run = await bench.run(gate=Gate(lambda firing: "defer"))
    bench.tool_delay_s = 2.0
    options = bench.options(resume=run.session, hooks={"PreToolUse": [HookMatcher(hooks=[Gate()])]})
    async with ClaudeSDKClient(options) as client:
        await anext(client.receive_messages())
        first = time.monotonic()
    (ran,) = bench.ran
    assert ran.ended is not None
    assert ran.ended < first


@pytest.mark.parametrize(
    ("name", "input"),
    [("Bash", {"command": "sleep 30"}), ("mcp__t__unknown", {})],
    ids=["a sleep by itself", "a tool that is not there"],
)
async def test_a_call_the_cli_refuses_itself_fires_no_hook(
    bench: Bench, name: str, input: dict[str, object]
) -> None:
    """The model gets an error result, and PreToolUse has never been asked."""
    bench.api.script = in_turn(Reply([tool_use(name, input)]), Reply([text("done")]))
    gate = Gate()
    await bench.run(gate=gate, **SHELL)
    (result,) = bench.api.calls.messages()[-1].request.tool_results()
    assert (result.text.startswith("<tool_use_error>"), result.is_error) == (True, True)
    assert gate.fired == []
