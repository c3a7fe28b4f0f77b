"""Bundles from files: `subagents/<name>/` with AGENT.md, schemas.py and tools.py, or `subagents/<name>.md`.

AGENT.md is YAML front matter between `---` lines, then the prompt. A single file is the same without Python;
it takes an objective and answers in Markdown unless its front matter has schemas. Claude Code's own agent
files are such files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

from harness.bundles.bundle import Bundle, Check, Effort, Task
from harness.bundles.json_schema import model_from_schema
from harness.content import bundle_entries, folders, load_python
from harness.errors import BadBundle
from harness.packing import Packed, digest, read_files
from harness.records import Limits, Record, Replay
from harness.strict_yaml import YamlProblem, parse_yaml
from harness.tools import Toolset
from harness.wording import problems, sentence

_PARTS = re.compile(r"---[ \t]*\n(.*?)^---[ \t]*$\n?(.*)", re.DOTALL | re.MULTILINE)

_CLAUDE_CODE_ONLY = frozenset(
    {"background", "disallowedTools", "hooks", "initialPrompt", "isolation", "mcpServers", "memory"}
    | {"permissionMode", "skills"}
)


def load_bundles(project: Path | None) -> dict[str, Bundle]:
    """Load every bundle by name: the built-in ones, then the project's, which take the place of namesakes.

    Raises:
        BadBundle: naming file and field, for the first bundle that does not load.
    """
    bundles: dict[str, Bundle] = {}
    for folder in folders("subagents", project):
        here: dict[str, Bundle] = {}
        for entry in bundle_entries(folder):
            bundle = load_bundle(entry)
            if bundle.name in here:
                other = here[bundle.name].origin
                raise BadBundle(f"{bundle.origin}: name: '{bundle.name}' is taken by {other}; rename one.")
            here[bundle.name] = bundle
        bundles |= here
    return bundles


def load_bundle(entry: Path) -> Bundle:
    """Load one bundle from its folder, or from its single file.

    Raises:
        BadBundle: naming file and field.
    """
    folder = entry if entry.is_dir() else None
    file = entry / "AGENT.md" if folder else entry
    if not file.is_file():
        raise BadBundle(f"{entry} has no AGENT.md; write one, or remove the folder.")
    files = read_files(entry)
    front, prompt = _front_matter(file)
    name = front.name or entry.stem
    if folder and name != folder.name:
        raise BadBundle(f"{file}: name: '{name}' should be the folder's name, '{folder.name}'.")
    schemas = folder / "schemas.py" if folder else None
    tools = folder / "tools.py" if folder else None
    checks = folder / "checks.py" if folder else None
    known = {file, schemas, tools, checks}
    beside = {path: content for path, content in files.items() if entry.parent / path not in known}
    code = "".join(path.read_text("utf-8") for path in (schemas, tools, checks) if path and path.is_file())
    bundle = Bundle.define(
        name=name,
        role=front.role,
        description=front.description,
        prompt=prompt,
        **_schemas(file, front, schemas),
        tools=front.tools,
        toolsets=_toolsets(tools),
        checks=_checks(checks),
        limits=front.termination,
        model="research" if front.model == "inherit" else front.model,
        effort=front.effort,
        replay=front.replay,
        origin=file,
        code=code + (digest(beside) if beside else ""),
    )
    return replace(bundle, files=Packed.of(files))


class _FrontMatter(Record):
    """The keys AGENT.md knows. `maxTurns` and `color` are Claude Code's; a colour changes nothing here."""

    name: str | None = None
    role: str = ""
    description: str = ""
    model: str = "research"
    effort: Effort | None = None
    tools: list[str] = Field(default_factory=list)
    limits: Limits = Field(default_factory=Limits)
    replay: dict[str, Replay] = Field(default_factory=dict)
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    output: Literal["markdown"] | None = None
    maxTurns: int | None = Field(default=None, ge=1)
    color: str | None = None

    @field_validator("tools", mode="before")
    @classmethod
    def _comma_separated(cls, value: Any) -> Any:
        return (
            [tool.strip() for tool in value.split(",") if tool.strip()] if isinstance(value, str) else value
        )

    @property
    def termination(self) -> Limits:
        return self.limits.tightened(Limits(max_steps=self.maxTurns))


def _front_matter(file: Path) -> tuple[_FrontMatter, str]:
    try:
        text = file.read_text("utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadBundle(f"{file} cannot be read as UTF-8 text: {error}.") from error
    parts = _PARTS.match(text)
    if parts is None:
        raise BadBundle(
            f"{file} should begin with YAML front matter between two '---' lines, then the prompt."
        )
    try:
        values = parse_yaml(parts[1]) or {}
    except YamlProblem as error:
        line = f", line {error.line + 1}" if error.line else ""  # the front matter begins on line 2
        raise BadBundle(f"{file}{line}: the front matter is not valid YAML: {error}.") from error
    if not isinstance(values, dict):
        raise BadBundle(f"{file}: the front matter should be 'key: value' lines.")
    if carried := sorted(_CLAUDE_CODE_ONLY & values.keys()):
        raise BadBundle(
            f"{file}: {carried[0]}: the harness does not carry out this Claude Code key; remove it."
        )
    try:
        return _FrontMatter.model_validate(
            {key: value for key, value in values.items() if value is not None}
        ), parts[2]
    except ValidationError as error:
        raise BadBundle(f"{file}: {sentence(problems(error, _FrontMatter))}.") from error


def _schemas(file: Path, front: _FrontMatter, python: Path | None) -> Mapping[str, Any]:
    """Find the classes of input and output: in schemas.py, in the front matter, or by default."""
    module = load_python(python, BadBundle) if python and python.is_file() else None
    found: dict[str, type[BaseModel] | None] = {}
    for field, written in (("input", front.input_schema), ("output", front.output_schema)):
        model = getattr(module, field.capitalize(), None)
        if model is not None and not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise BadBundle(f"{python}: {field.capitalize()} should be a pydantic model class.")
        if written is not None and model is not None:
            raise BadBundle(
                f"{file}: {field}_schema: schemas.py has an {field.capitalize()} as well; keep one of them."
            )
        if written is not None:
            try:
                model = model_from_schema(field.capitalize(), written)
            except ValueError as error:
                raise BadBundle(f"{file}: {field}_schema: {error}.") from error
        found[field] = model
    if found["output"] is not None and front.output:
        raise BadBundle(
            f"{file}: output: says markdown, but there is a schema of the output too; keep one of them."
        )
    if python is not None and found["output"] is None and front.output is None:
        raise BadBundle(
            f"{file}: output: is missing; write 'output: markdown', "
            "an output_schema, or a class Output in schemas.py."
        )
    if module is not None and found["input"] is None:
        raise BadBundle(f"{python}: Input: is missing; write a pydantic class of this name.")
    return {"input": found["input"] or Task, "output": found["output"]}


def _checks(file: Path | None) -> tuple[Check, ...]:
    if file is None or not file.is_file():
        return ()
    given = getattr(load_python(file, BadBundle), "CHECKS", None)
    if not isinstance(given, list | tuple) or not all(callable(check) for check in given):
        raise BadBundle(f"{file}: CHECKS: should be a list of functions of the output.")
    return tuple(given)


def _toolsets(file: Path | None) -> tuple[Toolset, ...]:
    if file is None or not file.is_file():
        return ()
    given = getattr(load_python(file, BadBundle), "TOOLSET", None)
    listed = list(given) if isinstance(given, list | tuple) else [given]
    found = tuple(toolset for toolset in listed if isinstance(toolset, Toolset))
    if len(found) < len(listed):
        raise BadBundle(f"{file}: TOOLSET: should be a Toolset or a list of them.")
    return found
