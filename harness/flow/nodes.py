"""The patterns of a flow: frozen, typed, and holding one another freely.

    Pipeline(stages=("researcher", FanOut(name="checks", branches=("a", "b"), policy=Quorum(n=1)), "writer"))

A bundle's name stands for `Agent(agent=name)` wherever a node can stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from harness.records import Limits, Record

NAME = r"^[a-z][a-z0-9_-]{0,63}$"


def _agent(value: Any) -> Any:
    """Read a bundle's name as the node it stands for."""
    return Agent(agent=value) if isinstance(value, str) else value


class Gate(Record):
    """A verifier's bundle judges what a node's agent answered; "fix" sends it back, at most `fixes` times."""

    verifier: str
    fixes: int = Field(default=2, ge=0, le=10)


class _Node(Record):
    """What every node has.

    `name` addresses it among its siblings; agents go by their bundle's name without one. `take` says where
    each field of its input comes from: "question", "input.FIELD" (what the pattern around it was given),
    "previous.FIELD" (the output before it), "state.FIELD", or "STAGE.FIELD" within a pipeline. What it
    leaves out is found by name; an empty one passes on what came.
    """

    name: str | None = Field(default=None, pattern=NAME)
    description: str = ""
    take: dict[str, str] = Field(default_factory=dict)


class _Working(_Node):
    """A node that is an agent at work. `write` says which output field goes into which field of the state."""

    limits: Limits | None = None
    gate: Gate | None = None
    write: dict[str, str] = Field(default_factory=dict)


class Agent(_Working):
    """One agent does the whole work."""

    pattern: Literal["agent"] = "agent"
    agent: str


class Lead(_Working):
    """An agent that plans, delegates typed tasks to its members, and writes the report itself."""

    pattern: Literal["lead"] = "lead"
    agent: str = "lead"
    members: tuple[Member, ...] = Field(min_length=1)


class _Routed(_Node):
    """A group under a router. `charter` tells the router what the group is for and when to stop."""

    members: tuple[Member, ...] = Field(min_length=1)
    charter: str = ""
    max_decisions: int = Field(default=12, ge=1, le=100)
    limits: Limits | None = None


class Supervisor(_Routed):
    """One call of a small model per decision says which member works next, and when it is enough.

    The router never does the work: the group's output is that of the member it chooses.
    """

    pattern: Literal["supervisor"] = "supervisor"


class Team(_Routed):
    """A supervised group with a name and a description, to be a member of something larger."""

    pattern: Literal["team"] = "team"
    description: str = Field(min_length=1)


class Pipeline(_Node):
    """Stages one after another: each takes from the output before it. No router calls."""

    pattern: Literal["pipeline"] = "pipeline"
    stages: tuple[Member, ...] = Field(min_length=1)


class All(Record):
    """Every branch has to succeed."""

    kind: Literal["all"] = "all"


class Quorum(Record):
    """The first `n` branches that succeed are enough; the others are stopped."""

    kind: Literal["quorum"] = "quorum"
    n: int = Field(ge=1)


class BestEffort(Record):
    """All branches run to their end, and whatever succeeded is merged."""

    kind: Literal["best_effort"] = "best_effort"


class FirstValid(Record):
    """The first branch that succeeds gives the output; the others are stopped."""

    kind: Literal["first_valid"] = "first_valid"


Policy = Annotated[All | Quorum | BestEffort | FirstValid, Field(discriminator="kind")]


class FanOut(_Node):
    """Branches side by side on the same task, isolated from one another, then merged.

    Without `merge` the output is the list of results. When the first `stop_after` branches to end have all
    failed alike, the rest is not paid for.
    """

    pattern: Literal["fan_out"] = "fan_out"
    branches: tuple[Member, ...] = Field(min_length=1)
    merge: Member | None = None
    policy: Policy = All()
    stop_after: int = Field(default=3, ge=1)


class Handoff(_Node):
    """Agents that pass the work on: `handoff_to` in an output names the next one, or is empty at the end."""

    pattern: Literal["handoff"] = "handoff"
    members: tuple[Member, ...] = Field(min_length=1)
    start: str | None = None
    max_hops: int = Field(default=8, ge=1, le=100)


class Seat(Record):
    """A place at a blackboard: its member works when a field it reads was changed by somebody else."""

    member: Member
    reads: tuple[str, ...] = ()


class Blackboard(_Node):
    """A shared typed workspace, the flow's state, and a scheduler that runs whoever has something to do.

    It ends when every field of `goal` is filled, when nobody has anything to do, or after `max_rounds`.
    """

    pattern: Literal["blackboard"] = "blackboard"
    seats: tuple[Seat, ...] = Field(min_length=1)
    goal: tuple[str, ...] = ()
    max_rounds: int = Field(default=10, ge=1, le=100)


AnyNode = Agent | Lead | Supervisor | Team | Pipeline | FanOut | Handoff | Blackboard
Node = Annotated[AnyNode, Field(discriminator="pattern")]

if TYPE_CHECKING:
    # What may be given. What is held is always a node: read it through `children`.
    Member = AnyNode | str
else:
    Member = Annotated[Node, BeforeValidator(_agent)]

for _pattern in (Lead, _Routed, Supervisor, Team, Pipeline, FanOut, Handoff, Seat, Blackboard):
    _pattern.model_rebuild()


def label(node: AnyNode) -> str:
    """The name by which a node is addressed among its siblings."""
    if node.name:
        return node.name
    return node.agent if isinstance(node, Agent | Lead) else node.pattern


def children(node: AnyNode) -> Mapping[str, AnyNode]:
    """The nodes directly below, by their place in this one: {"stages.0": ..., "stages.1": ...}."""
    match node:
        case Lead() | Supervisor() | Team() | Handoff():
            below = _placed("members", node.members)
        case Pipeline():
            below = _placed("stages", node.stages)
        case FanOut():
            below = _placed("branches", node.branches)
            if node.merge is not None:
                below["merge"] = node.merge
        case Blackboard():
            below = _placed("seats", [seat.member for seat in node.seats])
        case Agent():
            below = {}
    return {place: child for place, child in below.items() if not isinstance(child, str)}


def _placed(field: str, members: Iterable[Member]) -> dict[str, Member]:
    return {f"{field}.{number}": member for number, member in enumerate(members)}


def walk(node: AnyNode, address: str = "") -> list[tuple[str, AnyNode]]:
    """A node and all below it, each with its address: places joined by "/"; the node's own is given."""
    found = [(address, node)]
    for place, child in children(node).items():
        found += walk(child, f"{address}/{place}" if address else place)
    return found


def node_at(root: AnyNode, address: str) -> AnyNode:
    """Find the node of an address that `walk` gives."""
    node = root
    for place in address.split("/") if address else ():
        node = children(node)[place]
    return node
