"""From which size on a tool's result is kept from the model, and what it is told instead."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk import HookMatcher, create_sdk_mcp_server, tool

from harness.attempt import MCP_TOKENS
from harness.settings import Settings
from tests.checkout import ROOT
from tests.kit.scripted_api import Reply, in_turn, text, tool_use
from tests.kit.sdk import ECHO, SHELL, Bench, Run

MCP_LIMIT, SHELL_LIMIT = 50_000, 30_000
"""Characters of one result that still reach the model, of an MCP tool and of the built-in shell."""

DIVERTED = "<persisted-output>\nOutput too large"


async def result_of(bench: Bench, size: int, *, count: int = 1) -> tuple[Run, list[str]]:
    """Let an in-process tool answer so many characters; give the run and what the model saw."""

    @tool("echo", "Answers at length.", {"value": str})
    async def echo(args: dict[str, Any]) -> dict[str, Any]:
        return {"content": [{"type": "text", "text": "x" * size}]}

    calls = [tool_use(ECHO, {"value": "a"}, id=f"toolu_{n}") for n in range(count)]
    bench.api.script = in_turn(Reply(calls), Reply([text("done")]))
    run = await bench.run(mcp_servers={"t": create_sdk_mcp_server("t", tools=[echo])})
    return run, [result.text for result in bench.api.calls.messages()[-1].request.tool_results()]


def where(seen: str) -> Path:
    """Read the path the model is told."""
    return Path(seen.partition("saved to: ")[2].partition("\n")[0])


async def test_a_result_at_the_limit_is_given_whole(bench: Bench) -> None:
    """50,000 characters of an MCP tool's result reach the model, in several results of a turn too."""
    _, seen = await result_of(bench, MCP_LIMIT, count=4)
    assert [len(each) for each in seen] == [MCP_LIMIT] * 4


async def test_a_result_over_the_limit_goes_to_a_file(bench: Bench) -> None:
    """One character more, and the model gets the first 2,000, and a path in the CLI's own folder."""
    _, (seen,) = await result_of(bench, MCP_LIMIT + 1)
    assert seen.startswith(DIVERTED)
    assert "x" * 1_900 in seen
    assert "x" * 2_001 not in seen
    path = where(seen)
    assert path.is_relative_to(bench.home / "config")
    assert path.name == "toolu_0.json"


async def test_the_file_is_gone_after_a_resume_elsewhere(bench: Bench) -> None:
    """The store has the whole beside the message, but the resumed model sees the old pointer to nothing."""
    run, _ = await result_of(bench, MCP_LIMIT + 1)
    shutil.rmtree(bench.home / "config")
    await bench.run("Go on.", resume=run.session)
    (entry,) = [e for e in bench.store.transcript(run.session) if "toolUseResult" in e]
    assert entry["toolUseResult"][0]["text"] == "x" * (MCP_LIMIT + 1)
    (seen,) = [result.text for result in bench.api.calls.messages()[-1].request.tool_results()]
    assert seen.startswith(DIVERTED)
    assert not where(seen).exists()


async def test_a_hook_can_give_another_result(bench: Bench) -> None:
    """With MAX_MCP_OUTPUT_TOKENS raised it sees a long one whole, and the transcript holds what it gives.

    A list of content blocks is answered by a list; a picture in it stays a picture.
    """
    file = bench.home / "mcp.json"
    server = {
        "command": sys.executable,
        "args": ["-m", "tests.toolsets.mcp_large"],
        "env": {"PYTHONPATH": str(ROOT)},
    }
    file.write_text(json.dumps({"mcpServers": {"large": server}}))
    seen: list[int] = []

    async def shorten(given: Any, _id: str | None, _: Any) -> Any:
        blocks = given["tool_response"]
        seen.append(sum(len(block.get("text", "")) for block in blocks))
        short = [{"type": "text", "text": "short"}, *(b for b in blocks if b["type"] != "text")]
        return {"hookSpecificOutput": {"hookEventName": "PostToolUse", "updatedToolOutput": short}}

    options: dict[str, Any] = {
        "extra_args": {"mcp-config": str(file)},
        "allowed_tools": ["mcp__large"],
        "max_buffer_size": 10_000_000,
        "env": {"MAX_MCP_OUTPUT_TOKENS": MCP_TOKENS},
        "hooks": {"PostToolUse": [HookMatcher(hooks=[shorten])]},
    }
    call = tool_use("mcp__large__show", {"side": 400, "characters": 400_000})
    bench.api.script = in_turn(Reply([call]), Reply([text("done")]))
    run = await bench.run(**options)
    await bench.run("Go on.", resume=run.session, **options)
    assert len(seen) == 1
    assert seen[0] > 400_000
    for sent in bench.api.calls.messages()[1:]:
        (result,) = [b for m in sent.request.messages for b in m["content"] if b["type"] == "tool_result"]
        assert [part["type"] for part in result["content"][:2]] == ["text", "image"]
        assert result["content"][0]["text"].strip() == "short"


def test_our_own_limit_is_below_the_clis() -> None:
    """What the harness gives by default is never diverted, not even if each character counts twice."""
    assert Settings.model_fields["result_limit"].default * 2 < MCP_LIMIT


@pytest.mark.parametrize("more", [0, 1])
async def test_the_shell_has_a_limit_of_its_own(bench: Bench, more: int) -> None:
    """Bash's output is diverted from 30,000 characters on."""
    command = f"head -c {SHELL_LIMIT + more} /dev/zero | tr '\\0' x"
    bench.api.script = in_turn(Reply([tool_use("Bash", {"command": command})]), Reply([text("done")]))
    await bench.run(**SHELL)
    (seen,) = [result.text for result in bench.api.calls.messages()[-1].request.tool_results()]
    assert seen.startswith(DIVERTED) == bool(more)
