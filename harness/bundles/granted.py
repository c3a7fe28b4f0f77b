"""What a bundle can ask for by name: toolsets, MCP servers of the settings, and tools of the CLI."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from harness.bundles.bundle import Bundle
from harness.settings import RESERVED_SERVERS
from harness.wording import nearest

CLI_TOOLS = frozenset(
    {"Bash", "Edit", "Glob", "Grep", "Monitor", "NotebookEdit", "Read", "WebFetch", "WebSearch", "Write"}
    | {"CronCreate", "CronDelete", "CronList", "EnterWorktree", "ExitWorktree", "ListAgents"}
    | {"ReportFindings", "ScheduleWakeup", "SendMessage", "Skill", "ToolSearch", "Workflow"}
    | {"TaskCreate", "TaskGet", "TaskList", "TaskStop", "TaskUpdate"}
)
"""What the SDK's CLI has; any other name it takes without a word. Those that
work elsewhere no bundle may ask for. See tests/sdk_facts/test_isolation.py."""

_SHOWN = ("Bash", "Edit", "Glob", "Grep", "Read", "WebSearch", "Write")
_TOOLSETS = frozenset(RESERVED_SERVERS) - {"harness"}


def unknown_tools(bundle: Bundle, servers: Collection[str]) -> Iterator[str]:
    """Say of each name under `tools` that nobody offers what could be meant; `servers` are the settings'."""
    own = {toolset.name for toolset in bundle.toolsets}
    known = {*_TOOLSETS, *own, *servers, *CLI_TOOLS}
    for tool in bundle.tools:
        if tool in known:
            continue
        server = tool.split("__")[1] if tool.startswith("mcp__") and tool.count("__") > 1 else None
        if server in known:
            yield f"tools: '{tool}' is one tool of '{server}'; ask for all of them: tools: [{server}]"
            continue
        hint = nearest(server or tool, known)
        yield (
            f"tools: nobody offers '{tool}'{hint}; name a toolset ({', '.join(sorted(_TOOLSETS))}), "
            f"an MCP server of harness.toml, or a tool of the CLI ({', '.join(_SHOWN)}, ...)"
        )
