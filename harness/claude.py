"""The one file that drives the SDK's client: one CLI process, one conversation, one typed ending."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from claude_agent_sdk import (
    AssistantMessage,
    ClaudeAgentOptions,
    ClaudeSDKClient,
    ClaudeSDKError,
    CLIJSONDecodeError,
    HookMatcher,
    Message,
    MirrorErrorMessage,
    ResultMessage,
    SessionStore,
    SystemMessage,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
)
from claude_agent_sdk.types import EffortLevel, HookEvent, McpServerConfig

from harness.attempt import AttemptFolder, write_private
from harness.bundles.bundle import WORK_ELSEWHERE
from harness.gateway.bodies import ErrorBody
from harness.gateway.trouble import Trouble, concern_of
from harness.mcp_servers import ExternalServers, last_words, write_servers
from harness.records import MAX_REQUEST_BYTES

LONGEST_LINE = 4 * MAX_REQUEST_BYTES
"""Bytes of the longest line that is read of the CLI. One line holds a tool's result twice, in the message and
beside it, with pictures in base64. So a result that fills a request takes half of this; the rest is room."""

_AWAY = ("failed", "pending", "needs-auth")
"""States of an MCP server that has no tools to offer; the CLI waits half a minute for one to start."""

_MEND_SERVER = "see that it starts, and that harness.toml has its right command or url"

_OVERLONG = "exceeded maximum buffer size"
"""What the SDK says of a line that is too long, and not of one that is no JSON."""

_LAST_OUTPUT_S = 5
"""Seconds in which what a process has written at its end is read; a child of its own may hold the pipe."""


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
    external_servers: ExternalServers = field(default_factory=dict)
    alive: Callable[[str], None] = lambda doing: None
    on_stop: Callable[[], None] = lambda: None


EndingKind = Literal[
    "answered",
    "deferred",
    "max_turns",
    "budget",
    "bad_output",
    "too_large",
    "silent",
    "api_error",
    "mirror_error",
    "server_away",
    "died",
]


@dataclass(frozen=True)
class Ending:
    """How a conversation ended. `api_status` is the HTTP status of the model call that ended it.

    After `too_large` it would end in the same way again, after `server_away` until the server is there.
    """

    kind: EndingKind
    text: str | None = None
    structured: Any = None
    deferred_id: str | None = None
    api_status: int | None = None
    problem: str | None = None

    def trouble(self) -> Trouble | None:
        """Why the model call that ended it has no answer, where no gateway has seen it."""
        if self.api_status is None:
            return None
        said = self.problem or f"The model service answered with HTTP {self.api_status}."
        return Trouble(concern_of(self.api_status, ErrorBody("", said)), said)


async def converse(talk: Conversation, on_process: Callable[[int], Awaitable[None]]) -> Ending:
    """Run one CLI process to its end; `on_process` gets its process id once it has started."""
    errors: list[str] = []
    calls = _OpenCalls()
    try:
        client = ClaudeSDKClient(_options(talk, errors))
        async with _connected(client, talk.on_stop):
            await on_process(_pid(talk.folder.pid_file))
            if talk.prompt is not None:
                await client.query(talk.prompt)
            return await _listen(client, talk, errors, calls)
    except CLIJSONDecodeError as problem:
        if _OVERLONG not in str(problem):
            return Ending("died", problem=f"The agent's CLI process wrote what cannot be read: {problem}")
        return Ending("too_large", problem=calls.too_large())
    except (ClaudeSDKError, OSError, RuntimeError) as problem:
        said = errors[-1] if errors else str(problem)
        return Ending("died", problem=f"The agent's CLI process ended unexpectedly: {said.strip()[:300]}")


@contextlib.asynccontextmanager
async def _connected(client: ClaudeSDKClient, on_stop: Callable[[], None]) -> AsyncIterator[None]:
    await client.connect()
    # The SDK has no public way to it. Once its own reader is gone nobody reads on, and over a full pipe the
    # process could not end, nor Python close the pipe before its loop is gone.
    output = getattr(getattr(client._transport, "_process", None), "stdout", None)
    reader_is_gone = False
    try:
        yield
    except CLIJSONDecodeError:
        reader_is_gone = True
        raise
    finally:
        # A process has seconds to end in, and nobody to ask for its tools any more: it must not call a model.
        on_stop()
        # Shielded: a cancelled run must not leave its process behind.
        await asyncio.shield(_left(client, output, at_once=reader_is_gone))


async def _left(client: ClaudeSDKClient, output: AsyncIterable[bytes] | None, *, at_once: bool) -> None:
    """End the process, and read its output to the end: `at_once`, or when the SDK has stopped reading it."""
    rest = asyncio.ensure_future(_drained(output)) if at_once else None
    await client.disconnect()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(rest or _drained(output), _LAST_OUTPUT_S)


async def _drained(output: AsyncIterable[bytes] | None) -> None:
    if output is not None:
        async for _ in output:
            pass


async def _listen(
    client: ClaudeSDKClient, talk: Conversation, errors: list[str], calls: _OpenCalls
) -> Ending:
    async for message in client.receive_messages():
        talk.alive("thinking")
        calls.note(message)
        if isinstance(message, MirrorErrorMessage):
            return Ending("mirror_error", problem="The transcript could not be stored; the run was stopped.")
        if isinstance(message, ResultMessage):
            return _ending(message)
        if isinstance(message, SystemMessage) and (away := _servers_away(message)):
            words = last_words(talk.folder, away[0])
            said = f" The last it said: {words}" if words else ""
            problem = f"The MCP server '{away[0]}' cannot be reached; {_MEND_SERVER}.{said}"
            return Ending("server_away", problem=problem)
    said = errors[-1].strip()[:300] if errors else "it ended without a result"
    return Ending("died", problem=f"The agent's CLI process ended unexpectedly: {said}")


class _OpenCalls:
    """The tool calls of a conversation whose results have not come yet."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def note(self, message: Message) -> None:
        """Hear of a message: of the assistant's, or of one that brings results."""
        content = message.content if isinstance(message, AssistantMessage | UserMessage) else ()
        for block in content if isinstance(content, list) else ():
            if isinstance(block, ToolUseBlock):
                self._names[block.id] = block.name
            elif isinstance(block, ToolResultBlock):
                self._names.pop(block.tool_use_id, None)

    def too_large(self) -> str:
        """Say which result no request could hold."""
        named = " or ".join(f"'{name}'" for name in dict.fromkeys(self._names.values()))
        most = f"{MAX_REQUEST_BYTES // 1_000_000} MB"
        return (
            f"The result of {f'the tool {named}' if named else 'a tool'} is too large to be given to a model "
            f"(a request holds {most} at most); let the tool give less."
        )


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
        problem = result.result or "; ".join(result.errors or ()) or f"The run ended as {result.subtype}."
        return Ending("api_error", api_status=result.api_error_status, problem=problem)
    return Ending("answered", text=result.result, structured=result.structured_output)


def _options(talk: Conversation, errors: list[str]) -> ClaudeAgentOptions:
    """Say how the CLI is started. What is long or secret goes by files: arguments are short and public."""
    schema, folder = talk.output_schema, talk.folder
    write_private(folder.prompt, talk.system_prompt)
    servers = write_servers(folder, talk.external_servers) if talk.external_servers else None
    return ClaudeAgentOptions(
        session_id=None if talk.resume else talk.claude_session_id,
        resume=talk.claude_session_id if talk.resume else None,
        system_prompt={"type": "file", "path": str(folder.prompt)},
        model=talk.model,
        effort=talk.effort,
        tools=list(talk.builtin_tools),
        allowed_tools=list(talk.allowed_tools),
        disallowed_tools=list(WORK_ELSEWHERE),
        mcp_servers=dict(talk.mcp_servers),
        extra_args={"mcp-config": str(servers)} if servers else {},
        strict_mcp_config=True,
        max_buffer_size=LONGEST_LINE,
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
        cli_path=folder.launcher,
        cwd=folder.workspace,
        env=dict(talk.environment),
        stderr=errors.append,
    )


def _pid(file: Path) -> int:
    return int(file.read_text())
