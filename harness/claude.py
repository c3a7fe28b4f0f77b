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
)
from claude_agent_sdk.types import EffortLevel, HookEvent, McpServerConfig

from harness.attempt import AttemptFolder

FIRST_MESSAGE_S = 60.0
"""A CLI that says nothing at all for this long has not started."""


@dataclass(frozen=True)
class Conversation:
    """Everything one CLI process needs. `prompt` None: resume at a deferred call."""

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


EndingKind = Literal[
    "answered", "deferred", "max_turns", "budget", "bad_output", "api_error", "mirror_error", "died"
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
        async with _connected(client):
            await on_process(_pid(talk.folder.pid_file))
            if talk.prompt is not None:
                await client.query(talk.prompt)
            return await _listen(client, errors)
    except (ClaudeSDKError, OSError, RuntimeError) as problem:
        said = errors[-1] if errors else str(problem)
        return Ending("died", problem=f"The agent's CLI process ended unexpectedly: {said.strip()[:300]}")


@contextlib.asynccontextmanager
async def _connected(client: ClaudeSDKClient) -> AsyncIterator[None]:
    await client.connect()
    try:
        yield
    finally:
        # Shielded: a cancelled run must not leave its process behind.
        await asyncio.shield(client.disconnect())


async def _listen(client: ClaudeSDKClient, errors: list[str]) -> Ending:
    messages = client.receive_messages()
    async with asyncio.timeout(FIRST_MESSAGE_S) as patience:
        async for message in messages:
            patience.reschedule(None)
            if isinstance(message, MirrorErrorMessage):
                return Ending(
                    "mirror_error", problem="The transcript could not be stored; the run was stopped."
                )
            if isinstance(message, ResultMessage):
                return _ending(message)
    said = errors[-1].strip()[:300] if errors else "it ended without a result"
    return Ending("died", problem=f"The agent's CLI process ended unexpectedly: {said}")


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
        problem = result.result or "; ".join(result.errors or ()) or f"The run ended as {result.subtype}."
        return Ending("api_error", api_status=result.api_error_status, problem=problem)
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
