"""What an agent run can call: its bundle's toolsets, MCP servers and built-in tools, and the harness's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from claude_agent_sdk import SdkMcpTool
from claude_agent_sdk.types import McpServerConfig

from harness import delegation, help
from harness.context import RunView
from harness.corpus.tools import CORPUS
from harness.errors import AgentError
from harness.help import NEED_HELP
from harness.hook_chain import Shorten
from harness.mcp_servers import ExternalServers
from harness.prompts import render
from harness.records import Replay
from harness.results import READ_RESULT, bounded_content
from harness.sections import HttpServer, StdioServer
from harness.tools import ToolContext, ToolProblem, Toolset
from harness.toolserver import sdk_tool, server
from harness.toolsets.board import BOARD
from harness.toolsets.files import FILES
from harness.toolsets.web import WEB

TOOLSETS: Mapping[str, Toolset] = {toolset.name: toolset for toolset in (CORPUS, FILES, BOARD, WEB)}
"""The built-in toolsets, by the name a bundle asks for."""

BROUGHT_ALONG: Mapping[str, tuple[str, ...]] = {WEB.name: (CORPUS.name, "WebSearch")}
"""What comes with a toolset: pages are found by the CLI's own search, and read on in as documents."""

_BUILTIN_REPLAY: Mapping[str, Replay] = {
    "StructuredOutput": "read_only",
    "Read": "read_only",
    "Glob": "read_only",
    "Grep": "read_only",
    "WebSearch": "read_only",
    "WebFetch": "read_only",
    "TodoWrite": "idempotent",
}
"""What repeating a built-in tool of the CLI does; one not named here is unsafe."""


@dataclass(frozen=True)
class Toolbelt:
    """The tools of one agent run: its servers in this process and outside of it, and tools of the CLI.

    `shorten` gives what an agent is told instead of a tool's result that is too long; None to leave it.
    """

    servers: Mapping[str, McpServerConfig]
    external: ExternalServers
    builtin: tuple[str, ...]
    allowed: tuple[str, ...]
    replay: Mapping[str, Replay]
    shorten: Shorten

    def replay_of(self, tool: str) -> Replay:
        """Say what a repeated call of this tool does."""
        return self.replay.get(tool, "unsafe")


def toolbelt(view: RunView) -> Toolbelt:
    """Collect what this agent run can call.

    Raises:
        AgentError: the bundle asks for a tool that nobody offers.
    """
    context = ToolContext(
        session_id=view.state.id,
        tenant=view.state.tenant,
        agent_run_id=view.run_id,
        database=view.session.database,
        project=view.project,
        settings=view.settings,
        board=lambda: view.state.board(),
        redactor=view.session.redactor,
    )
    cache = view.session.tool_cache
    limit = view.settings.result_limit
    bundle = view.bundle
    offered = {**TOOLSETS, **{toolset.name: toolset for toolset in bundle.toolsets}}
    asked = (*bundle.tools, *(toolset.name for toolset in bundle.toolsets))
    wanted = dict.fromkeys(each for name in asked for each in (name, *BROUGHT_ALONG.get(name, ())))
    servers: dict[str, McpServerConfig] = {}
    external: dict[str, StdioServer | HttpServer] = {}
    builtin: list[str] = []
    allowed: list[str] = []
    replay: dict[str, Replay] = dict(_BUILTIN_REPLAY)
    for name in wanted:
        if name in offered:
            servers[name] = server(offered[name], context, limit, cache)
            for tool in offered[name].tools:
                allowed.append(offered[name].qualified(tool))
                replay[offered[name].qualified(tool)] = tool.replay
        elif name in view.settings.mcp_servers:
            external[name] = view.settings.mcp_servers[name]
            allowed.append(f"mcp__{name}")
        elif name[:1].isupper():
            builtin.append(name)
            allowed.append(name)
        else:
            raise AgentError(
                f"The bundle {bundle.name} asks for the tools '{name}', which nobody offers; "
                f"use one of {', '.join(offered)}, an MCP server of the settings, or a built-in tool."
            )
    own = [_need_help(view, context, limit)]
    names = [NEED_HELP]
    if view.run.members:
        own.append(_delegate(view, context, limit))
        names.append(delegation.DELEGATE)
    shared = (READ_RESULT,) if servers or external or view.run.members else ()
    names += [Toolset("harness", shared).qualified(tool) for tool in shared]
    servers["harness"] = server(Toolset("harness", shared), context, limit, cache, own)
    allowed += names
    replay |= dict.fromkeys(names, "read_only")

    async def shorten(tool: str, result: Any) -> Any | None:
        # What the tools of this process say has been bounded there.
        outside = any(tool.startswith(f"mcp__{name}__") for name in external)
        return await bounded_content(result, context, limit) if outside else None

    replay |= bundle.replay
    return Toolbelt(servers, external, tuple(builtin), tuple(allowed), replay, shorten)


def _need_help(view: RunView, context: ToolContext, limit: int) -> SdkMcpTool[Any]:
    async def run(_: Mapping[str, Any]) -> str:
        if view.run.told is None:
            raise ToolProblem("Nobody has answered; go on without.")
        return render("help_answered", view.project, answer=view.run.told)

    schema = help.Call.model_json_schema()
    return sdk_tool("need_help", help.DESCRIPTION, schema, run, context, limit, "unsafe")


def _delegate(view: RunView, context: ToolContext, limit: int) -> SdkMcpTool[Any]:
    async def run(_: Mapping[str, Any]) -> str:
        # The newest one, delivered or not: after a kill the same call runs again, and its results with it.
        newest = next((d for d in reversed(view.run.delegations.values()) if d.suspended), None)
        if newest is None:
            raise ToolProblem("There is no delegation whose results are waiting; make a new call.")
        return json.dumps(delegation.results(view.state, view.run, newest), ensure_ascii=False)

    return sdk_tool(
        "delegate",
        delegation.DESCRIPTION,
        delegation.input_schema(view.members, view.settings.limits.max_delegations),
        run,
        context,
        limit,
        "unsafe",
    )
