"""In-process tools: a typed function an agent can call, with what a repeated call would do.

A toolset is a named group of tools. Its name is the name of its MCP server, so the model sees the tool
`search` of the toolset `corpus` as `mcp__corpus__search`.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from harness.records import Replay
from harness.store.database import Database


@dataclass(frozen=True)
class ToolContext:
    """Who is calling: handed to every in-process tool."""

    session_id: str
    tenant: str
    agent_run_id: str
    database: Database


class ToolProblem(Exception):
    """A tool's answer that it could not do what was asked; the text goes to the agent as a tool error."""


@dataclass(frozen=True)
class Tool:
    """One in-process tool.

    `run` takes a `ToolContext` and an instance of `input`; it returns text or a model, which is given to the
    agent as JSON. It raises `ToolProblem` to answer with an error the agent can act on.
    """

    name: str
    description: str
    input: type[BaseModel]
    run: Callable[[ToolContext, Any], Awaitable[BaseModel | str]]
    replay: Replay = "unsafe"

    @property
    def version(self) -> str:
        """A hash of the tool's definition and code: changes when its answers may."""
        schema = repr(sorted(self.input.model_json_schema().items(), key=str))
        text = "\x1f".join([self.name, self.description, schema, inspect.getsource(self.run)])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Toolset:
    """A named group of tools that bundles can ask for."""

    name: str
    tools: tuple[Tool, ...]

    def qualified(self, tool: Tool) -> str:
        """Give the name by which the model sees the tool."""
        return f"mcp__{self.name}__{tool.name}"
