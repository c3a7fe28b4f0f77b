"""Flows: a typed tree of patterns over bundles. What runs when is decided by `harness.plan`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field

from harness.errors import BadFlow
from harness.records import Record


class Agent(Record):
    """One agent does the whole work."""

    pattern: Literal["agent"] = "agent"
    agent: str


class Lead(Record):
    """An agent that plans, delegates typed tasks to its members, and writes the report itself."""

    pattern: Literal["lead"] = "lead"
    agent: str = "lead"
    members: tuple[str, ...] = Field(min_length=1)


Node = Annotated[Agent | Lead, Field(discriminator="pattern")]

FLOWS: Mapping[str, Agent | Lead] = {
    "research": Lead(agent="lead", members=("researcher", "fact_checker")),
    "single": Agent(agent="analyst"),
}
"""The built-in flows, by the name that `--flow` takes."""


def flow_named(name: str) -> Agent | Lead:
    """Find a built-in flow.

    Raises:
        BadFlow: there is none of this name.
    """
    if name not in FLOWS:
        raise BadFlow(f"There is no flow named '{name}'; choose one of {', '.join(sorted(FLOWS))}.")
    return FLOWS[name]


def bundles_of(flow: Agent | Lead) -> tuple[str, ...]:
    """Name every bundle the flow uses, the root's first."""
    match flow:
        case Lead(agent=agent, members=members):
            return (agent, *members)
        case Agent(agent=agent):
            return (agent,)


def check_flow(flow: Agent | Lead, known: Iterable[str]) -> None:
    """Refuse a flow that names a bundle nobody has.

    Raises:
        BadFlow: with every unknown name.
    """
    names = sorted(known)
    missing = sorted(set(bundles_of(flow)) - set(names))
    if missing:
        raise BadFlow(
            f"The flow names {', '.join(missing)}, but no such bundle exists; there are {', '.join(names)}."
        )
