"""The CLI's own ways to start agents, timers and background commands; no agent of ours has them."""

from __future__ import annotations

from typing import Any

import pytest
from claude_agent_sdk import SystemMessage

from harness import attempt
from harness.bundles.bundle import WORK_ELSEWHERE
from harness.claude import Conversation, converse
from tests.kit.script import Request
from tests.kit.scripted_api import Reply, in_turn, text, tool_use
from tests.kit.sdk import Bench

ALL: dict[str, Any] = {"tools": {"type": "preset", "preset": "claude_code"}}
"""Options of an agent with every tool that the CLI has."""

PLACEHOLDER = "DeferredToolPlaceholder"
"""Stands on offer to newer models, for tools that are added later."""


async def known_tools(bench: Bench, **options: Any) -> set[str]:
    """Name all tools of a session, those that the model would have to search for, too."""
    bench.api.script = in_turn(Reply([text("done")]))
    run = await bench.run(model="claude-opus-5-5", **ALL, **options)
    return next(
        set(message.data["tools"])
        for message in run.messages
        if isinstance(message, SystemMessage) and message.subtype == "init"
    )


async def test_variables_alone_leave_them(bench: Bench) -> None:
    """Without agent types and background tasks the CLI still offers forks of itself, messages and timers."""
    told = {"CLAUDE_AGENT_SDK_DISABLE_BUILTIN_AGENTS": "1", "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1"}
    known = await known_tools(bench, env=told)
    assert {"Task", "SendMessage", "Workflow", "CronCreate", "ScheduleWakeup", "Monitor"} <= known
    assert bench.api.calls.messages()[-1].request.offers("Agent")


async def test_disallowing_takes_them_away(bench: Bench) -> None:
    """What remains is a known set: a tool that a newer CLI brings is seen here."""
    known = await known_tools(bench, disallowed_tools=list(WORK_ELSEWHERE))
    assert {name for name in known if not name.startswith("mcp__")} == {
        "Bash", "Edit", "EnterWorktree", "ExitWorktree", "NotebookEdit", "Read", "ReportFindings", "Skill",
        "ToolSearch", "WebFetch", "WebSearch", "Write",
    }  # fmt: skip


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-opus-5-5"])
async def test_no_agent_of_the_harness_has_them(bench: Bench, model: str) -> None:
    """Even one that is given all their names; what it calls by name is refused, and nothing is started."""
    marker = bench.home / "started"
    bench.api.script = in_turn(
        Reply(
            [
                tool_use("Agent", {"description": "d", "prompt": "p", "subagent_type": "fork"}, id="toolu_a"),
                tool_use("SendMessage", {"to": "main", "message": "m"}, id="toolu_b"),
                tool_use("Bash", {"command": f"touch {marker}", "run_in_background": True}, id="toolu_c"),
            ]
        ),
        Reply([text("done")]),
    )
    ending = await converse(_with_all(bench, model), _ignore)
    assert (ending.kind, ending.text) == ("answered", "done")
    first, second = (call.request for call in bench.api.calls.messages())
    assert {*first.tools} - {PLACEHOLDER} == {"Bash"}
    assert "run_in_background" not in first.input_schema("Bash")["properties"]
    assert [said.split(":")[0] for said in _refusals(second)] == ["Error", "Error", "InputValidationError"]
    assert not marker.exists()


def _refusals(request: Request) -> list[str]:
    results = request.tool_results()
    assert all(result.is_error for result in results)
    return [result.text.removeprefix("<tool_use_error>") for result in results]


def _with_all(bench: Bench, model: str) -> Conversation:
    folder = attempt.make(bench.home, "session", "run", 1)
    attempt.write_launcher(folder, [])
    tools = ("Bash", *WORK_ELSEWHERE)
    return Conversation(
        claude_session_id="6f8de1a6-3a0b-4a52-9a5b-2f61d6c1f001",
        resume=False,
        prompt="Begin.",
        system_prompt="You are the agent of a test.",
        model=model,
        effort=None,
        builtin_tools=tools,
        allowed_tools=tools,
        mcp_servers={},
        output_schema=None,
        store=bench.store,
        hooks={},
        folder=folder,
        max_turns=None,
        environment=attempt.environment(folder, (bench.api.base_url, "sk-ant-test-dummy"), model),
    )


async def _ignore(pid: int) -> None:
    """The process ends by itself."""
