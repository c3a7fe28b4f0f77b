"""Agents with one tool of a test's own, which the played model calls once."""

from __future__ import annotations

from pathlib import Path

from tests.worker.service import Kind, note

_AGENT = """---
name: {name}
description: Does what {name} does.
tools: []
---
I AM {name}.
"""

_SCHEMAS = '''from harness.records import Record


class Input(Record):
    """A task."""

    objective: str


class Output(Record):
    """What was done."""

    note: str
    handoff_to: str | None = None
'''

_TOOLS = '''"""One tool."""

import asyncio
import os
import signal
from pathlib import Path

from harness import Tool, ToolContext, Toolset
from harness.records import Record


class Nothing(Record):
    pass


async def work(context: ToolContext, given: Nothing) -> str:
{body}
    return "worked"


TOOLSET = Toolset("lab", (Tool("work", "Works.", Nothing, work, replay="idempotent"),))
'''


def agent_with_tool(project: Path, name: str, body: str) -> Kind:
    """Make an agent whose tool runs these lines of Python, and a flow of it alone; it may run again."""
    folder = project / "subagents" / name
    folder.mkdir()
    (folder / "AGENT.md").write_text(_AGENT.format(name=name))
    (folder / "schemas.py").write_text(_SCHEMAS)
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    (folder / "tools.py").write_text(_TOOLS.format(body=lines.rstrip()))
    (project / f"{name}.yaml").write_text(f"flow: {{pattern: agent, agent: {name}}}\n")
    return Kind(name, ("Go", "--flow", f"{name}.yaml"), note(f"{name} did: Go"), 2)
