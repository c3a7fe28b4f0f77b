"""In-process tools as MCP servers for one agent run, with results kept to a size the agent can hold."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any, cast

from claude_agent_sdk import SdkMcpTool, create_sdk_mcp_server
from claude_agent_sdk.types import McpSdkServerConfig
from mcp.server import Server, ServerRequestContext
from mcp.types import CallToolRequestParams, ToolAnnotations
from pydantic import BaseModel, ValidationError

from harness.errors import StoreUnavailable
from harness.records import Replay
from harness.results import bounded
from harness.tool_cache import ToolCache
from harness.tools import InvalidInput, Tool, ToolContext, ToolProblem, Toolset, TooSlow, Unavailable

Answer = Mapping[str, Any]

FIRST_PAUSE_S = 0.25


class _InVain(Unavailable):
    """Something a tool waited for did not answer. The tool does not say that nothing has been done."""


_TOOL_USE_ID: ContextVar[str | None] = ContextVar("tool_use_id", default=None)
"""The call that is being answered, as the CLI names it in a request's `_meta`."""


def server(
    toolset: Toolset,
    context: ToolContext,
    result_limit: int,
    cache: ToolCache,
    extra: Iterable[SdkMcpTool[Any]] = (),
) -> McpSdkServerConfig:
    """Make a toolset the MCP server of its name."""
    tools = [
        _sdk_tool(tool, context, result_limit, (toolset.qualified(tool), cache)) for tool in toolset.tools
    ]
    config = create_sdk_mcp_server(toolset.name, tools=[*tools, *extra])
    _note_calls(config["instance"])
    return config


def _note_calls(served: Server[Any]) -> None:
    """Let tools know by which id they are called: the SDK hands them their arguments only."""
    entry = served.get_request_handler("tools/call")
    assert entry is not None, "whoever serves tools answers their calls"

    async def noted(context: ServerRequestContext[Any, Any], params: CallToolRequestParams) -> Any:
        named: Mapping[str, Any] = params.meta or {}
        _TOOL_USE_ID.set(named.get("claudecode/toolUseId"))
        return await entry.handler(context, params)

    served.add_request_handler("tools/call", CallToolRequestParams, noted)


def sdk_tool(
    name: str,
    description: str,
    schema: dict[str, Any],
    run: Callable[[Mapping[str, Any]], Awaitable[str]],
    context: ToolContext,
    result_limit: int,
    replay: Replay,
) -> SdkMcpTool[Any]:
    """Make a function that answers in text a tool of the SDK."""

    async def handler(given: dict[str, Any]) -> dict[str, Any]:
        try:
            text = await run(given)
        except ToolProblem as problem:
            text = f"{problem.kind}: {problem}"
            return {"content": [{"type": "text", "text": text}], "is_error": True}
        return {"content": [{"type": "text", "text": await bounded(text, context, result_limit)}]}

    return SdkMcpTool(
        name=name,
        description=description,
        input_schema=schema,
        handler=handler,
        annotations=ToolAnnotations(read_only_hint=replay == "read_only"),
    )


async def tried(tool: Tool, context: ToolContext, value: BaseModel) -> BaseModel | str:
    """Run a tool, again while that may help.

    Raises:
        ToolProblem: the last try's; an invalid input or a refusal at once.
    """
    for number in range(1, tool.tries + 1):
        try:
            return await _one_try(tool, context, value)
        except (Unavailable, TooSlow) as problem:
            # Only the tool itself can know that it has had no effect: an answer that was lost is no proof.
            unknown = isinstance(problem, _InVain | TooSlow)
            if number == tool.tries or (unknown and tool.replay == "unsafe"):
                raise
        # Exponential with full jitter, so that tools that failed together do not come back together.
        await asyncio.sleep(random.uniform(0, FIRST_PAUSE_S * 2**number))
    raise AssertionError("a tool is tried at least once")


async def _one_try(tool: Tool, context: ToolContext, value: BaseModel) -> BaseModel | str:
    limit = asyncio.timeout(tool.timeout_s)
    try:
        async with limit:
            return await tool.run(context, value)
    except TimeoutError as problem:
        if not limit.expired():
            raise _InVain(f"{tool.name} waited for something in vain: {problem}.") from problem
        raise TooSlow(f"{tool.name} did not answer within {tool.timeout_s:g} s.") from problem
    except StoreUnavailable as problem:
        raise _InVain(str(problem)) from problem


def _sdk_tool(
    tool: Tool, context: ToolContext, result_limit: int, cached: tuple[str, ToolCache] | None = None
) -> SdkMcpTool[Any]:
    async def run(given: Mapping[str, Any]) -> str:
        try:
            value = tool.input.model_validate(given)
        except ValidationError as problem:
            first = problem.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "input"
            raise InvalidInput(f"{place}: {first['msg']}.") from problem

        async def work() -> str:
            answer = await tried(tool, context, value)
            return answer if isinstance(answer, str) else answer.model_dump_json()

        if cached is None or tool.cache_s is None:
            return await work()
        name, cache = cached
        return await cache.answer(name, tool, context, value, work, _TOOL_USE_ID.get())

    schema = cast(dict[str, Any], json.loads(json.dumps(tool.input.model_json_schema())))
    return sdk_tool(tool.name, tool.description, schema, run, context, result_limit, tool.replay)
