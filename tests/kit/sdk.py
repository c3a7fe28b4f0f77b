"""Agents on the real CLI against the scripted API: isolated options, a store in memory, recorded hooks."""

from __future__ import annotations

import asyncio
import copy
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import pytest
from claude_agent_sdk import (
    AssistantMessage,
    ClaudeAgentOptions,
    ClaudeSDKClient,
    HookContext,
    HookInput,
    HookJSONOutput,
    HookMatcher,
    Message,
    ResultMessage,
    SdkMcpTool,
    SessionStore,
    ToolAnnotations,
    create_sdk_mcp_server,
    tool,
)
from claude_agent_sdk.types import McpSdkServerConfig, SessionKey, SessionListSubkeysKey, SessionStoreEntry

from tests.kit.processes import clean_env
from tests.kit.scripted_api import ScriptedApi

Entry = dict[str, Any]
Decision = Literal["allow", "deny", "defer"]

MODEL, SMALL, OLD = "claude-sonnet-5-5", "claude-haiku-5-5", "claude-sonnet-4-5"
"""The model that agents of the kit ask, another of today, and an old one, which hears remarks otherwise."""

SYSTEM_PROMPT = "You are the agent of a test."
ECHO, LOOK, DELEGATE = "mcp__t__echo", "mcp__t__look", "mcp__t__delegate"
"""The tools every agent of the kit has; `look` is declared read-only."""

SHELL: dict[str, Any] = {"tools": ["Bash"], "allowed_tools": ["Bash"]}
"""Options of an agent that may use the shell and nothing else."""


class MemoryStore(SessionStore):
    """A session store in a dict, keyed by session id and subpath alone."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], list[Entry]] = {}

    async def append(self, key: SessionKey, entries: list[SessionStoreEntry]) -> None:
        self.kept.setdefault((key["session_id"], key.get("subpath", "")), []).extend(
            copy.deepcopy(dict(entry)) for entry in entries
        )

    async def load(self, key: SessionKey) -> list[SessionStoreEntry] | None:
        entries = self.kept.get((key["session_id"], key.get("subpath", "")))
        return cast("list[SessionStoreEntry] | None", copy.deepcopy(entries))

    async def list_subkeys(self, key: SessionListSubkeysKey) -> list[str]:
        return [subpath for session, subpath in self.kept if session == key["session_id"] and subpath]

    def transcript(self, session: str) -> list[Entry]:
        """Give the entries of a session's main transcript, oldest first."""
        return self.kept[session, ""]


@dataclass
class Firing:
    """One firing of a recorded hook, or one run of a recorded tool; times are of time.monotonic()."""

    tool: str
    id: str
    input: dict[str, Any]
    began: float
    ended: float | None = None


@dataclass
class Gate:
    """A PreToolUse hook that records each firing and answers what `decide` says.

    It calls `on_fire` at once and stays open for `delay_s`.
    """

    decide: Callable[[Firing], Decision] = lambda firing: "allow"
    reason: str = ""
    delay_s: float = 0.0
    on_fire: Callable[[], None] = lambda: None
    fired: list[Firing] = field(default_factory=list)

    async def __call__(
        self, data: HookInput, tool_use_id: str | None, context: HookContext
    ) -> HookJSONOutput:
        given: Any = data
        firing = Firing(given["tool_name"], tool_use_id or "", given["tool_input"], time.monotonic())
        self.fired.append(firing)
        self.on_fire()
        await asyncio.sleep(self.delay_s)
        firing.ended = time.monotonic()
        return answer(self.decide(firing), self.reason)

    @property
    def names(self) -> list[str]:
        """The tools it fired for, in order."""
        return [firing.tool for firing in self.fired]


def answer(decision: Decision, reason: str = "") -> HookJSONOutput:
    """Make a PreToolUse hook's output."""
    return {
        "hookSpecificOutput": {
            "hookEventName": "PreToolUse",
            "permissionDecision": decision,
            "permissionDecisionReason": reason,
        }
    }


@dataclass
class Run:
    """What one run of the CLI gave: its messages and, if one came, its result."""

    session: str
    messages: list[Message] = field(default_factory=list)

    @property
    def result(self) -> ResultMessage:
        """The result message; an error when none came."""
        return next(message for message in self.messages if isinstance(message, ResultMessage))

    @property
    def assistant(self) -> list[AssistantMessage]:
        """The assistant's messages, one for each content block."""
        return [message for message in self.messages if isinstance(message, AssistantMessage)]


@dataclass
class Bench:
    """A place to run agents: one scripted API, one store, and tools that record their runs."""

    api: ScriptedApi
    home: Path
    store: MemoryStore = field(default_factory=MemoryStore)
    ran: list[Firing] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)
    tool_delay_s: float = 0.0

    def options(self, **given: Any) -> ClaudeAgentOptions:
        """Make isolated options with a config folder never used before; `given` replaces or adds."""
        config = self.home / "config" / uuid.uuid4().hex
        env = {
            "CLAUDE_AGENT_SDK_DISABLE_BUILTIN_AGENTS": "1",
            "CLAUDE_CODE_MAX_RETRIES": "1",
            "CLAUDE_CONFIG_DIR": str(config),
            **given.pop("env", {}),
        }
        cwd = self.home / "work"
        cwd.mkdir(exist_ok=True)
        defaults: dict[str, Any] = {
            "setting_sources": [],
            "strict_mcp_config": True,
            "permission_mode": "dontAsk",
            "tools": [],
            "allowed_tools": [ECHO, LOOK, DELEGATE],
            "mcp_servers": {"t": self._server()},
            "system_prompt": SYSTEM_PROMPT,
            "model": MODEL,
            "session_store": self.store,
            "session_store_flush": "eager",
            "stderr": self.stderr.append,
            "cwd": cwd,
            "env": env,
        }
        return ClaudeAgentOptions(**(defaults | given))

    async def run(
        self, prompt: str | None = "Begin.", *, gate: Gate | None = None, timeout_s: float = 30, **given: Any
    ) -> Run:
        """Run a new session, or the one given by `resume`, to its result; `gate` is its PreToolUse hook."""
        if gate is not None:
            given["hooks"] = {"PreToolUse": [HookMatcher(hooks=[gate])]}
        if "resume" not in given:
            given.setdefault("session_id", str(uuid.uuid4()))
        options = self.options(**given)
        run = Run(options.session_id or options.resume or "")
        async with asyncio.timeout(timeout_s), ClaudeSDKClient(options) as client:
            if prompt is not None:
                await client.query(prompt)
            async for message in client.receive_response():
                run.messages.append(message)
        return run

    def _server(self) -> McpSdkServerConfig:
        return create_sdk_mcp_server(
            "t", tools=[self._tool("echo"), self._tool("look", True), self._tool("delegate")]
        )

    def _tool(self, name: str, read_only: bool = False) -> SdkMcpTool[Any]:
        @tool(name, f"{name} what is given.", {"value": str}, ToolAnnotations(readOnlyHint=read_only))
        async def run(args: dict[str, Any]) -> dict[str, Any]:
            firing = Firing(f"mcp__t__{name}", "", args, time.monotonic())
            self.ran.append(firing)
            await asyncio.sleep(self.tool_delay_s)
            firing.ended = time.monotonic()
            return {"content": [{"type": "text", "text": f"{name}: {args['value']}"}]}

        return run


def blocks(entries: Sequence[Entry], kind: str) -> list[dict[str, Any]]:
    """List the content blocks of one type in transcript entries, oldest first."""
    contents = [entry["message"]["content"] for entry in entries if "message" in entry]
    return [b for content in contents if isinstance(content, list) for b in content if b["type"] == kind]


def isolate(monkeypatch: pytest.MonkeyPatch, home: Path, base_url: str) -> None:
    """Give this process a clean environment for the test, because the SDK hands all of it to the CLI."""
    for name in os.environ:
        if not name.startswith("PYTEST_"):
            monkeypatch.delenv(name)
    for name, value in clean_env(home, base_url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", None)
