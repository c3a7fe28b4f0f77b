"""Flows from files: YAML or TOML with the keys name, description, state and flow.

A bundle's name stands for an agent. `use: NAME_OR_FILE` in place of a node includes another flow's tree and
the state it declares; a file is looked for beside the one that includes it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, Field, ValidationError

from harness.content import flow_files
from harness.errors import BadFlow
from harness.flow.builtin import FLOWS, Flow, no_flow
from harness.flow.nodes import NAME, Agent, All, AnyNode, BestEffort, FirstValid, Quorum, Seat
from harness.flow.shared import StateField
from harness.records import Record
from harness.strict_yaml import YamlProblem, parse_yaml
from harness.wording import nearest, problems

SUFFIXES = (".yaml", ".yml", ".toml")

_PATTERNS: Mapping[str, type[AnyNode]] = {
    node.model_fields["pattern"].default: node for node in get_args(AnyNode)
}
_POLICIES: Mapping[str, type[Record]] = {
    policy.model_fields["kind"].default: policy for policy in (All, Quorum, BestEffort, FirstValid)
}
_LISTS = ("stages", "members", "branches")
"""The fields that hold nodes, besides `merge` and the seats of a blackboard."""

_BESIDE_USE = ("name", "description", "take")

_UNREADABLE = "unreadable"
"""Stands where a node could not be read, so that the rest of the file can be."""

_PLACEHOLDER = Agent(agent=_UNREADABLE)

Model = TypeVar("Model", bound=BaseModel)


class _File(Record):
    """The keys of a flow's file."""

    name: str | None = Field(default=None, min_length=1)
    description: str = ""
    state: dict[str, StateField] = Field(default_factory=dict)
    flow: Any


def find_flow(name_or_file: str, project: Path | None) -> Flow:
    """Give the flow of a name, the project's before the built-in one, or the one that a file holds.

    What ends in .yaml, .yml or .toml, or has a "/" in it, is a file.

    Raises:
        BadFlow: there is none, or it cannot be read; with every problem of its files.
    """
    if is_file(name_or_file):
        return read_flow(Path(name_or_file), project)
    files = project_flows(project)
    if name_or_file in files:
        return read_flow(files[name_or_file], project)
    if name_or_file in FLOWS:
        return FLOWS[name_or_file]
    raise BadFlow(no_flow(name_or_file, {*FLOWS, *files}))


def is_file(name_or_file: str) -> bool:
    """Whether this means a file, and not a name."""
    return "/" in name_or_file or Path(name_or_file).suffix in SUFFIXES


def project_flows(project: Path | None) -> dict[str, Path]:
    """Give the files in the project's folder flows/ by the names of their flows.

    Raises:
        BadFlow: two have the same name.
    """
    found: dict[str, Path] = {}
    for file in flow_files(project, SUFFIXES):
        if file.stem in found:
            raise BadFlow(f"{file}: name: '{file.stem}' is taken by {found[file.stem]}; rename one.")
        found[file.stem] = file
    return found


def read_flow(file: Path, project: Path | None) -> Flow:
    """Read one file, with those that it includes.

    Raises:
        BadFlow: with every problem of these files, each with file and field.
    """
    reading = _Reading(file, project, (file.resolve(),))
    flow = reading.flow()
    if flow is None or reading.found:
        raise BadFlow(*dict.fromkeys(reading.found))
    return flow


class _Reading:
    """One file being read. `above` are the files that include it, itself the last."""

    def __init__(self, file: Path, project: Path | None, above: tuple[Path, ...]) -> None:
        self.found: list[str] = []
        self._file = file
        self._project = project
        self._above = above
        self._state: dict[str, StateField] = {}
        self._state_from: dict[str, Path] = {}
        self._included: dict[str, Path] = {}

    def flow(self) -> Flow | None:
        """The flow, or None when there is too little of it; problems are in `found`."""
        values = self._values()
        if values is None:
            return None
        given = self._model(_File, {key: each for key, each in values.items() if each is not None}, "")
        if given is None:
            self._node(values.get("flow", _UNREADABLE), "")
            return None
        self._state = dict(given.state)
        stem = self._file.stem
        if given.name not in (None, stem) and self._file in flow_files(self._project, SUFFIXES):
            self._problem("name", f"'{given.name}' should be the file's name, '{stem}'")
        return Flow(
            name=given.name or stem,
            description=given.description,
            flow=self._node(given.flow, ""),
            state=self._state,
            origin=self._file,
            included=self._included,
        )

    def _values(self) -> dict[str, Any] | None:
        values: Any = None
        try:
            text = self._file.read_text("utf-8-sig")
            values = tomllib.loads(text) if self._file.suffix == ".toml" else parse_yaml(text)
        except FileNotFoundError:
            self.found.append(f"There is no flow file {self._file}; correct the path, or name a flow.")
        except UnicodeDecodeError as error:
            self.found.append(f"{self._file} cannot be read as UTF-8 text: {error}.")
        except OSError as error:
            self.found.append(f"{self._file} cannot be read: {error.strerror}.")
        except YamlProblem as error:
            line = f", line {error.line}" if error.line else ""
            self.found.append(f"{self._file}{line}: this is not valid YAML: {error}.")
        except tomllib.TOMLDecodeError as error:
            self.found.append(f"{self._file}: this is not valid TOML: {error}.")
        else:
            if isinstance(values, dict):
                return values
            self.found.append(f"{self._file}: a flow should be 'key: value' lines, with the key flow.")
        return None

    def _node(self, value: Any, address: str) -> AnyNode:
        """Read a node and all below it; what stands at an address is named by it."""
        where = address or "flow"
        if isinstance(value, str):
            return Agent(agent=value)
        if not isinstance(value, dict):
            self._problem(where, f"should be a bundle's name or a node with a pattern, not {value!r}")
            return _PLACEHOLDER
        if "use" in value:
            return self._use(value, address)
        pattern = value.get("pattern", "agent" if "agent" in value and "members" not in value else None)
        if pattern is None:
            self._problem(f"{where}.pattern", f"is required; write one of {', '.join(_PATTERNS)}")
            return _PLACEHOLDER
        if not isinstance(pattern, str) or pattern not in _PATTERNS:
            hint = nearest(str(pattern), _PATTERNS)
            self._problem(
                f"{where}.pattern", f"'{pattern}' is no pattern{hint}; write one of {', '.join(_PATTERNS)}"
            )
            return _PLACEHOLDER
        read = {**value, "pattern": pattern}
        inside = f"{address}/" if address else ""
        for field in _LISTS:
            if isinstance(value.get(field), list):
                read[field] = [
                    self._node(each, f"{inside}{field}.{n}") for n, each in enumerate(value[field])
                ]
        if value.get("merge") is not None:
            read["merge"] = self._node(value["merge"], f"{inside}merge")
        if isinstance(value.get("seats"), list):
            read["seats"] = [self._seat(each, f"{inside}seats.{n}") for n, each in enumerate(value["seats"])]
        if "policy" in value:
            read["policy"] = self._policy(value["policy"], f"{where}.policy")
        return self._model(_PATTERNS[pattern], read, where) or _PLACEHOLDER

    def _seat(self, value: Any, address: str) -> Seat:
        """Read a seat: with `member` and `reads`, or a node that reads nothing."""
        seat = value if isinstance(value, dict) and "member" in value else {"member": value}
        member = self._node(seat["member"], address)
        return self._model(Seat, {**seat, "member": member}, address) or Seat(member=member)

    def _policy(self, value: Any, where: str) -> Record:
        given = {"kind": value} if isinstance(value, str) else value
        kind = given.get("kind") if isinstance(given, dict) else None
        if not isinstance(kind, str) or kind not in _POLICIES:
            hint = nearest(str(kind), _POLICIES)
            self._problem(where, f"'{kind or value}' is no policy{hint}; write one of {', '.join(_POLICIES)}")
            return All()
        return self._model(_POLICIES[kind], given, where) or All()

    def _use(self, value: dict[str, Any], address: str) -> AnyNode:
        """Put another flow's tree here, perhaps under another name."""
        where = address or "flow"
        for key in value.keys() - {"use", *_BESIDE_USE}:
            self._problem(f"{where}.{key}", f"cannot stand beside 'use'; only {', '.join(_BESIDE_USE)} can")
        flow = self._other(value["use"], f"{where}.use")
        if flow is None:
            return _PLACEHOLDER
        self._take_over(flow, address)
        node = flow.flow
        given = {key: value[key] for key in _BESIDE_USE if key in value}
        if not isinstance(node, Agent) and re.fullmatch(NAME, flow.name):
            given = {
                "name": node.name or flow.name,
                "description": node.description or flow.description,
            } | given
        return self._model(type(node), {**dict(node), **given}, where) or _PLACEHOLDER

    def _other(self, name: Any, where: str) -> Flow | None:
        """The flow that is included; built-in ones include nothing."""
        if not isinstance(name, str):
            self._problem(where, f"should be the name of a flow or a file, not {name!r}")
            return None
        files = project_flows(self._project)
        file = self._file.parent / name if is_file(name) else files.get(name)
        if file is None:
            if name not in FLOWS:
                self._problem(where, no_flow(name, {*FLOWS, *files}).rstrip("."))
            return FLOWS.get(name)
        if file.resolve() in self._above:
            circle = [*self._above[self._above.index(file.resolve()) :], file.resolve()]
            self._problem(where, f"includes itself: {' > '.join(each.name for each in circle)}")
            return None
        reading = _Reading(file, self._project, (*self._above, file.resolve()))
        flow = reading.flow()
        self.found += reading.found
        return flow

    def _take_over(self, flow: Flow, address: str) -> None:
        """Note the files of an included tree, and add the state it declares."""
        inside = f"{address}/" if address else ""
        if flow.origin is not None:
            self._included[address] = flow.origin
        self._included |= {f"{inside}{below}".rstrip("/"): file for below, file in flow.included.items()}
        for name, field in flow.state.items():
            if self._state.setdefault(name, field) != field:
                self._problem(f"state.{name}", f"is declared otherwise in {flow.origin}; make them the same")

    def _model(self, model: type[Model], values: Any, where: str) -> Model | None:
        try:
            return model.model_validate(values)
        except ValidationError as error:
            for path, says in problems(error, model):
                field = re.sub(r"\[(\d+)\]", r".\1", path)
                self._problem(".".join(part for part in (where, field) if part), says)
            return None

    def _problem(self, field: str, says: str) -> None:
        self.found.append(f"{self._file}: {field}: {says}.")
