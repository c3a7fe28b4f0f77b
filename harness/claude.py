"""The one file that drives the SDK's client: one CLI process, one conversation, one typed ending."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    ClaudeSDKError,
    HookMatcher,
    MirrorErrorMessage,
    ResultMessage,
    SessionStore,
    SystemMessage,
)
from claude_agent_sdk.types import EffortLevel, HookEvent, McpServerConfig

from harness.attempt import AttemptFolder
from harness.bundles.bundle import WORK_ELSEWHERE

_AWAY = ("failed", "pending", "needs-auth")
"""States of an MCP server that has no tools to offer; the CLI waits half a minute for one to start."""

_MEND_SERVER = "see that it starts, and that harness.toml has its right command or url"


@dataclass(frozen=True)
class Conversation:
    """Everything one CLI process needs. `prompt` None: resume at a deferred call.

    `alive` hears of each sign of life, `on_stop` that the conversation is left, before its process has ended.
    """

    claude_session_id: str
    resume: bool
    prompt: str | None
    system_prompt: str
    model: str
    effort: EffortLevel | None
    builtin_tools: tuple[str, ...]
    allowed_tools: tuple[str, ...]
    mcp_servers: Mapping[str, McpServerConfig]
    output_schema: Mapping[str, Any] | None
    store: SessionStore
    hooks: dict[HookEvent, list[HookMatcher]]
    folder: AttemptFolder
    max_turns: int | None
    max_budget_usd: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    alive: Callable[[str], None] = lambda doing: None
    on_stop: Callable[[], None] = lambda: None


EndingKind = Literal[
    "answered", "deferred", "max_turns", "budget", "bad_output", "silent", "api_error", "mirror_error", "died"
]


@dataclass(frozen=True)
class Ending:
    """How a conversation ended. `api_status` is the HTTP status of the model call that ended it."""

    kind: EndingKind
    text: str | None = None
    structured: Any = None
    deferred_id: str | None = None
    api_status: int | None = None
    problem: str | None = None


async def converse(talk: Conversation, on_process: Callable[[int], Awaitable[None]]) -> Ending:
    """Run one CLI process to its end; `on_process` gets its process id once it has started."""
    errors: list[str] = []
    client = ClaudeSDKClient(_options(talk, errors))
    try:
        async with _connected(client, talk.on_stop):
            await on_process(_pid(talk.folder.pid_file))
            if talk.prompt is not None:
                await client.query(talk.prompt)
            return await _listen(client, errors, talk.alive)
    except (ClaudeSDKError, OSError, RuntimeError) as problem:
        said = errors[-1] if errors else str(problem)
        return Ending("died", problem=f"The agent's CLI process ended unexpectedly: {said.strip()[:300]}")


@contextlib.asynccontextmanager
async def _connected(client: ClaudeSDKClient, on_stop: Callable[[], None]) -> AsyncIterator[None]:
    await client.connect()
    try:
        yield
    finally:
        # A process has seconds to end in, and nobody to ask for its tools any more: it must not call a model.
        on_stop()
        # Shielded: a cancelled run must not leave its process behind.
        await asyncio.shield(client.disconnect())


async def _listen(client: ClaudeSDKClient, errors: list[str], alive: Callable[[str], None]) -> Ending:
    async for message in client.receive_messages():
        alive("thinking")
        if isinstance(message, MirrorErrorMessage):
            return Ending("mirror_error", problem="The transcript could not be stored; the run was stopped.")
        if isinstance(message, ResultMessage):
            return _ending(message)
        if isinstance(message, SystemMessage) and (away := _servers_away(message)):
            return Ending("died", problem=f"The MCP server '{away[0]}' cannot be reached; {_MEND_SERVER}.")
    said = errors[-1].strip()[:300] if errors else "it ended without a result"
    return Ending("died", problem=f"The agent's CLI process ended unexpectedly: {said}")


def _servers_away(message: SystemMessage) -> list[str]:
    """Name the MCP servers that the CLI has begun without; its agent would work without their tools."""
    servers = message.data.get("mcp_servers") or () if message.subtype == "init" else ()
    return [str(each.get("name")) for each in servers if each.get("status") in _AWAY]


def _ending(result: ResultMessage) -> Ending:
    if result.deferred_tool_use is not None:
        return Ending("deferred", deferred_id=result.deferred_tool_use.id)
    if result.subtype == "error_max_turns":
        return Ending("max_turns", problem="The limit of steps is spent.")
    if result.subtype == "error_max_budget_usd":
        return Ending("budget", problem="The budget is spent.")
    if result.subtype == "error_max_structured_output_retries":
        return Ending("bad_output", problem="The agent's typed output was wrong again and again.")
    if result.is_error:
        # A compaction that failed in passing is reported as refused for good; another try tells them apart.
        passing = result.terminal_reason == "prompt_too_long"
        problem = result.result or "; ".join(result.errors or ()) or f"The run ended as {result.subtype}."
        status = None if passing else result.api_error_status
        return Ending("api_error", api_status=status, problem=problem)
    return Ending("answered", text=result.result, structured=result.structured_output)


def _options(talk: Conversation, errors: list[str]) -> ClaudeAgentOptions:
    schema = talk.output_schema
    return ClaudeAgentOptions(
        session_id=None if talk.resume else talk.claude_session_id,
        resume=talk.claude_session_id if talk.resume else None,
        system_prompt=talk.system_prompt,
        model=talk.model,
        effort=talk.effort,
        tools=list(talk.builtin_tools),
        allowed_tools=list(talk.allowed_tools),
        disallowed_tools=list(WORK_ELSEWHERE),
        mcp_servers=dict(talk.mcp_servers),
        strict_mcp_config=True,
        permission_mode="dontAsk",
        setting_sources=[],
        skills=[],
        verbatim_prompts=True,
        output_format={"type": "json_schema", "schema": dict(schema)} if schema else None,
        session_store=talk.store,
        session_store_flush="eager",
        hooks=talk.hooks,
        max_turns=talk.max_turns,
        max_budget_usd=talk.max_budget_usd,
        cli_path=talk.folder.launcher,
        cwd=talk.folder.workspace,
        env=dict(talk.environment),
        stderr=errors.append,
    )


def _pid(file: Path) -> int:
    return int(file.read_text())
