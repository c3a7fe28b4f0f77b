"""In-process tools: a typed function an agent can call, with what a repeated call would do.

A toolset is a named group of tools. Its name is the name of its MCP server, so the model sees the tool
`search` of the toolset `corpus` as `mcp__corpus__search`.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from harness.errors import BadBundle
from harness.records import Replay
from harness.redaction import Redactor
from harness.settings import Settings
from harness.store.database import Database


@dataclass(frozen=True)
class ToolContext:
    """Who is calling, and what there is to work with: handed to every in-process tool.

    `board` gives the state that the flow's agents share, as it stands when it is called. What a tool stores
    goes through `redactor` first.
    """

    session_id: str
    tenant: str
    agent_run_id: str
    database: Database
    project: Path | None = None
    settings: Settings = field(default_factory=Settings)
    board: Callable[[], Mapping[str, Any]] = dict
    redactor: Redactor = field(default_factory=Redactor)


ToolErrorKind = Literal["refused", "invalid_input", "unavailable", "timeout"]


class ToolProblem(Exception):
    """A tool's answer that it could not do what was asked; the text goes to the agent as a tool error."""

    kind: ToolErrorKind = "refused"


class InvalidInput(ToolProblem):
    """The input cannot be used; the same call would fail again."""

    kind = "invalid_input"


class Unavailable(ToolProblem):
    """Something the tool needs is away; the same call may succeed in a moment, and is tried again."""

    kind = "unavailable"


class TooSlow(ToolProblem):
    """The tool did not answer in its time."""

    kind = "timeout"


@dataclass(frozen=True)
class Tool:
    """One in-process tool.

    `run` takes a `ToolContext` and an instance of `input`; it returns text or a model, which is given to the
    agent as JSON. It raises `ToolProblem` to answer with an error the agent can act on, and `Unavailable` for
    one that may pass: then it is run again, `tries` times in all, after pauses that grow. Each try has
    `timeout_s` seconds. A try that took too long, or ended in a `TimeoutError` or for want of the store, is
    repeated only if that does no harm (see `replay`). An unsafe tool raises `Unavailable` only where it is
    sure that nothing has been done.

    With `cache_s` an answer is kept for so many seconds, and given to every call of the same tenant with the
    same input, in any session. It is for tools that only read, and whose answer depends on nothing but their
    input: not on the session, its documents or the agent. Failures are never kept.

    Raises:
        BadBundle: it is to be cached and cannot be.
    """

    name: str
    description: str
    input: type[BaseModel]
    run: Callable[[ToolContext, Any], Awaitable[BaseModel | str]]
    replay: Replay = "unsafe"
    timeout_s: float = 300.0
    tries: int = 3
    cache_s: float | None = None

    def __post_init__(self) -> None:
        if self.cache_s is None:
            return
        if self.replay != "read_only":
            raise BadBundle(
                f"The tool '{self.name}' has cache_s but is {self.replay}; only a tool with "
                'replay="read_only" can be answered without running it.'
            )
        if not 0 < self.cache_s < float("inf"):
            raise BadBundle(f"The tool '{self.name}' has cache_s={self.cache_s:g}; give seconds above zero.")

    @property
    def version(self) -> str:
        """A hash of the tool's definition and of the file with its code: changes when its answers may."""
        schema = repr(sorted(self.input.model_json_schema().items(), key=str))
        code = inspect.getsource(inspect.getmodule(self.run) or self.run)
        text = "\x1f".join([self.name, self.description, schema, inspect.getsource(self.run), code])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Toolset:
    """A named group of tools that bundles can ask for."""

    name: str
    tools: tuple[Tool, ...]

    def qualified(self, tool: Tool) -> str:
        """Give the name by which the model sees the tool."""
        return f"mcp__{self.name}__{tool.name}"
