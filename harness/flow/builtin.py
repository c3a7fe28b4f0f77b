"""Flows by name: the built-in ones, and what can be said of any flow without knowing its bundles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import Field

from harness.errors import BadFlow
from harness.flow.nodes import Agent, AnyNode, Lead, Node, Supervisor, Team, walk
from harness.flow.shared import StateField
from harness.records import Record
from harness.wording import nearest

ROUTER = "router"
"""The agent that decides for a supervisor or a team. It has no bundle: it is a prompt and a typed answer."""


class Flow(Record):
    """A named flow: a tree of patterns, and the state that its agents share.

    `origin` is the file it was read from, `included` the files of the nodes it includes, by their addresses.
    """

    name: str
    description: str = ""
    state: dict[str, StateField] = Field(default_factory=dict)
    flow: Node
    origin: Path | None = Field(default=None, exclude=True)
    included: dict[str, Path] = Field(default_factory=dict, exclude=True)

    @property
    def version(self) -> str:
        """The sha256 of the flow, wherever it was read from."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()

    def file_of(self, address: str) -> tuple[Path | None, str]:
        """Give the file that a node stands in, and the node's address within that file's own flow."""
        inner = [each for each in self.included if each in ("", address) or address.startswith(f"{each}/")]
        if not inner:
            return self.origin, address
        around = max(inner, key=len)
        return self.included[around], address.removeprefix(around).removeprefix("/")


FLOWS: Mapping[str, Flow] = {
    "research": Flow(
        name="research",
        description="A lead plans, delegates to researchers and a fact checker, and writes the cited report.",
        flow=Lead(agent="lead", members=("researcher", "fact_checker")),
    ),
    "single": Flow(
        name="single",
        description="One agent searches the documents and writes the cited report by itself.",
        flow=Agent(agent="analyst"),
    ),
}
"""The built-in flows, by the name that `--flow` takes."""


def bundles_of(node: AnyNode) -> tuple[str, ...]:
    """Name every bundle below a node once, in the order of the tree."""
    names: dict[str, None] = {}
    for _, each in walk(node):
        if isinstance(each, Agent | Lead):
            names[each.agent] = None
            if each.gate is not None:
                names[each.gate.verifier] = None
    return tuple(names)


def routed(node: AnyNode) -> bool:
    """Whether a router decides anywhere below."""
    return any(isinstance(each, Supervisor | Team) for _, each in walk(node))


def flow_named(name: str, flows: Mapping[str, Flow] = FLOWS) -> Flow:
    """Find a flow, by default a built-in one.

    Raises:
        BadFlow: there is none of this name.
    """
    if name not in flows:
        raise BadFlow(no_flow(name, flows))
    return flows[name]


def no_flow(name: str, known: Iterable[str]) -> str:
    """Say that there is no flow of a name, and which there are."""
    names = sorted(known)
    return f"There is no flow named '{name}'; choose one of {', '.join(names)}{nearest(name, names)}."
