"""A bundle: everything that makes a subagent, typed, checked and named by a hash of its content."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, Field
from pydantic.errors import PydanticUserError

from harness.bundles.api_schema import api_schema, check_properties, check_size, check_tool_name
from harness.bundles.describe import shape
from harness.errors import BadBundle
from harness.packing import Packed
from harness.records import Limits, Record, Replay
from harness.sections import MODEL_ROLES
from harness.tools import Toolset
from harness.wording import nearest

Effort = Literal["low", "medium", "high", "xhigh", "max"]
EFFORTS: tuple[Effort, ...] = get_args(Effort)
REPLAYS: tuple[Replay, ...] = get_args(Replay)

NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
"""What a bundle's name looks like."""

RESERVED = ("any", "person", "harness")
"""Names with a meaning of their own in messages and tools."""

_UNWANTED = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f\\ud800-\\udfff]")
"""Control characters, line ends and tabs left out, and halves of surrogate pairs."""

_TOOL = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_MODEL_ID = re.compile(r"[A-Za-z]\S*[-.:/@\d]\S*")
_ALIASES = ("opus", "sonnet", "haiku", "fable")

WORK_ELSEWHERE = (
    "Agent", "Task", "SendMessage", "ListAgents", "Workflow", "TeamCreate", "TeamDelete", "RemoteTrigger",
    "CronCreate", "CronDelete", "CronList", "ScheduleWakeup", "Monitor", "TaskOutput", "TaskStop",
)  # fmt: skip
"""Tools of the CLI that start or steer agents, timers and commands which no journal knows; none is given."""


Check = Callable[[Any], str | None]
"""A function of the typed output (or the text) that says what is wrong with it, or None."""


class Task(Record):
    """The input of a bundle that states none of its own."""

    objective: str = Field(min_length=1, description="What is to be done or found out.")
    background: str = Field(default="", description="What one has to know to do it.")


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A subagent's definition. Make one with `Bundle.define`, or load it from a folder.

    `output` is None where the agent's final answer is Markdown text. `tools` names toolsets (`corpus`), MCP
    servers and built-in tools of the CLI (`Read`). `model` is a part from the settings (`research`) or a
    model's id. `replay` says what a repeated call of a tool (`Bash`, `mcp__papers__find`) does, over what the
    tool says itself. `toolsets` are in-process tools of the bundle's own. `checks` are asked about each
    answer that fits the schema. `version` is the sha256 of all of it; `origin` is its file, and `files` is
    all that stands beside it, packed; both are None for a bundle made in Python.
    """

    name: str
    role: str
    description: str
    prompt: str
    input: type[BaseModel]
    output: type[BaseModel] | None
    tools: tuple[str, ...]
    limits: Limits
    model: str
    effort: Effort | None
    replay: Mapping[str, Replay]
    toolsets: tuple[Toolset, ...]
    checks: tuple[Check, ...]
    version: str
    origin: Path | None
    files: Packed | None = None

    @classmethod
    def define(
        cls,
        *,
        name: str,
        description: str,
        prompt: str,
        role: str = "",
        input: type[BaseModel] = Task,
        output: type[BaseModel] | None = None,
        tools: Sequence[str] = (),
        toolsets: Sequence[Toolset] = (),
        checks: Sequence[Check] = (),
        limits: Limits = Limits(),  # noqa: B008  (frozen)
        model: str = "research",
        effort: Effort | None = None,
        replay: Mapping[str, Replay] | None = None,
        origin: Path | None = None,
        code: str = "",
    ) -> Self:
        """Check a definition and give it its version.

        `code` is source text, beside the schemas, that the version should depend on.

        Raises:
            BadBundle: naming the file (or the bundle) and the field.
        """
        bundle = cls(
            name=name,
            role=role.strip(),
            description=" ".join(description.split()),
            prompt=prompt.strip(),
            input=input,
            output=output,
            tools=(tools,) if isinstance(tools, str) else tuple(tools),
            limits=limits,
            model=model,
            effort=effort,
            replay=MappingProxyType(dict(replay or {})),
            toolsets=tuple(toolsets),
            checks=tuple(checks),
            version="",
            origin=origin,
        )
        where = str(origin) if origin else f"The bundle '{name}'"
        for problem in _problems(bundle):
            raise BadBundle(f"{where}: {problem}.")
        made = replace(bundle, version=_version(bundle, where, code))
        _check_schemas(made, where)
        return made

    @property
    def output_schema(self) -> dict[str, Any] | None:
        """The JSON Schema of its typed output, as the model sees it; None where it answers in Markdown."""
        if self.output is None:
            return None
        return api_schema(self.output.model_json_schema(), f"The bundle '{self.name}': output")

    @property
    def one_pager(self) -> str:
        """Say on one line who this is, what it is for, what it takes and what it gives."""
        role = f" ({self.role})" if self.role else ""
        gives = shape(self.output) if self.output else "Markdown text"
        return f"{self.name}{role}: {self.description} Takes {shape(self.input)}. Gives {gives}."


def limits_of(agent: str, bundles: Mapping[str, Bundle]) -> Limits:
    """An agent's own limits; a router has no bundle, and none."""
    return bundles[agent].limits if agent in bundles else Limits()


def _problems(bundle: Bundle) -> Iterator[str]:
    """Say what is wrong with a definition, worst first."""
    if not NAME.fullmatch(bundle.name):
        yield f"name: '{bundle.name}' should be lower-case letters, digits, '-' and '_', a letter first"
    if bundle.name in RESERVED:
        yield f"name: '{bundle.name}' has a meaning of its own; choose another"
    if not bundle.description:
        yield "description: is empty; say in a sentence when to give this agent a task"
    if not bundle.prompt:
        yield "prompt: is empty; write the agent's instructions"
    for field in ("role", "description", "prompt"):
        if unwanted := _UNWANTED.search(getattr(bundle, field)):
            yield f"{field}: holds the character {unwanted[0]!a}, which no model is sent; remove it"
    for field, model in (("input", bundle.input), ("output", bundle.output)):
        if model is not None and not (isinstance(model, type) and issubclass(model, BaseModel)):
            yield f"{field}: should be a pydantic model class, not {model!r}"
    if bundle.model not in (*MODEL_ROLES, *_ALIASES) and not _MODEL_ID.fullmatch(bundle.model):
        hint = nearest(bundle.model, (*MODEL_ROLES, *_ALIASES))
        yield f"model: '{bundle.model}' is neither one of {', '.join(MODEL_ROLES)} nor a model's id{hint}"
    if bundle.effort is not None and bundle.effort not in EFFORTS:
        hint = nearest(bundle.effort, EFFORTS)
        yield f"effort: '{bundle.effort}' should be one of {', '.join(EFFORTS)}{hint}"
    for check in bundle.checks:
        if not callable(check):
            yield f"checks: {check!r} should be a function of the output"
    yield from _tool_problems(bundle)


def _tool_problems(bundle: Bundle) -> Iterator[str]:
    for tool in bundle.tools:
        if tool in WORK_ELSEWHERE:
            yield f"tools: '{tool}' works outside the harness; remove it, and delegate through a flow"
        elif not _TOOL.fullmatch(tool):
            yield f"tools: '{tool}' is not the name of a toolset, an MCP server or a tool"
    if twice := _repeated(bundle.tools):
        yield f"tools: '{twice}' is listed twice"
    for toolset in bundle.toolsets:
        if not isinstance(toolset, Toolset):
            yield f"toolsets: {toolset!r} should be a Toolset"
            return
        if toolset.name in RESERVED or not _TOOL.fullmatch(toolset.name):
            yield f"toolsets: '{toolset.name}' cannot be a toolset's name; choose another"
        if twice := _repeated([tool.name for tool in toolset.tools]):
            yield f"toolsets: '{toolset.name}' has two tools named '{twice}'"
    if twice := _repeated([toolset.name for toolset in bundle.toolsets]):
        yield f"toolsets: two are named '{twice}'"
    yield from _replay_problems(bundle)


def _replay_problems(bundle: Bundle) -> Iterator[str]:
    granted = {*bundle.tools, *(toolset.name for toolset in bundle.toolsets)}
    own = {toolset.name: {toolset.qualified(tool) for tool in toolset.tools} for toolset in bundle.toolsets}
    for tool, replay in bundle.replay.items():
        server = tool.split("__")[1] if tool.startswith("mcp__") and tool.count("__") > 1 else None
        if server is None and tool in granted and not tool[0].isupper():
            yield f"replay: '{tool}' is a whole toolset; name its tools one by one, as mcp__{tool}__<tool>"
        elif (server or tool) not in granted or tool not in own.get(server or "", {tool}):
            known = granted.union(*own.values())
            yield f"replay: '{tool}' is not among its tools{nearest(tool, known)}"
        if replay not in REPLAYS:
            yield f"replay.{tool}: '{replay}' should be one of {', '.join(REPLAYS)}{nearest(replay, REPLAYS)}"


def _repeated(names: Sequence[str]) -> str | None:
    return next((name for name in names if names.count(name) > 1), None)


def _check_schemas(bundle: Bundle, where: str) -> None:
    """See that the model's service takes every schema that a model is given."""
    check_properties(bundle.input.model_json_schema(), f"{where}: input")
    if bundle.output is not None:
        check_size(api_schema(bundle.output.model_json_schema(), f"{where}: output"), f"{where}: output")
    for toolset in bundle.toolsets:
        for tool in toolset.tools:
            check_tool_name(toolset.qualified(tool), f"{where}: toolsets")
            api_schema(tool.input.model_json_schema(), f"{where}: toolsets: the input of '{tool.name}'")


def _version(bundle: Bundle, where: str, code: str) -> str:
    try:
        schemas = [model.model_json_schema() if model else None for model in (bundle.input, bundle.output)]
    except PydanticUserError as error:
        raise BadBundle(f"{where}: schemas: cannot be written as JSON Schema: {error.message}.") from error
    try:
        tools = [
            f"{toolset.name}.{tool.name}:{tool.version}"
            for toolset in bundle.toolsets
            for tool in toolset.tools
        ]
        checks = [inspect.getsource(check) for check in bundle.checks]
    except (OSError, TypeError) as error:
        raise BadBundle(
            f"{where}: toolsets: a tool's or a check's code cannot be read; define it in a file: {error}."
        ) from error
    content = {
        "name": bundle.name,
        "role": bundle.role,
        "description": bundle.description,
        "prompt": bundle.prompt,
        "schemas": schemas,
        "tools": bundle.tools,
        "limits": bundle.limits.model_dump(),
        "model": bundle.model,
        "effort": bundle.effort,
        "replay": dict(bundle.replay),
        "toolsets": tools,
        "checks": checks,
        "code": code,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
