"""What the planner says: what to create, what can go on, what to stop, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from harness.events import MergeDecided
from harness.flow import AnyNode, Gate
from harness.messages import Message
from harness.records import Limits, Outcome, derived_id
from harness.state import RunState, SessionState

Role = Literal["agent", "router", "verifier"]


@dataclass(frozen=True)
class RunSpec:
    """An agent run that should exist: who, for whom, with what task, and where in the flow it stands."""

    id: str
    agent: str
    parent_id: str | None
    path: str
    task: Message
    members: tuple[str, ...] = ()
    continues: str | None = None
    address: str = ""
    role: Role = "agent"
    essential: bool = False
    limits: Limits | None = None
    gate: Gate | None = None
    write: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What follows from the journal.

    `create` are agent runs that are not in the journal yet, `ready` are ids of those in it that can go on
    (started, interrupted or woken), `live` those and all that wait for them. `outcome` is the node's, once it
    has been decided by the event `at`; nothing of it is live then, and `stuck` are the runs whose need for
    help is the node's; `by` is the run whose outcome it is, where it is one run's. `cancel` are the session's
    runs that have not ended and are no longer wanted, `reopen` those that are granted more by a message.
    `merged` are fan-outs that have been decided and whose decision is not in the journal yet.
    """

    create: tuple[RunSpec, ...] = ()
    ready: tuple[str, ...] = ()
    cancel: tuple[str, ...] = ()
    outcome: Outcome | None = None
    at: int = 0
    by: str = ""
    reopen: tuple[tuple[str, Message], ...] = ()
    live: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()
    merged: tuple[MergeDecided, ...] = ()


def together(plans: Iterable[Plan]) -> Plan:
    """What can be done for several nodes that go on side by side; it has no outcome of its own."""
    parts = list(plans)
    return Plan(
        create=tuple(spec for part in parts for spec in part.create),
        ready=tuple(run for part in parts for run in part.ready),
        reopen=tuple(each for part in parts for each in part.reopen),
        live=tuple(run for part in parts for run in part.live),
    )


@dataclass(frozen=True)
class Place:
    """Where a node stands in this session: `key` names it for ever, `path` for people, `address` in the flow.

    `parent_id` is the agent run it works for; the session cannot succeed without an `essential` one. What it
    sees of the session is what was there after the event `since`, which gave it its task.
    """

    key: str
    path: str
    address: str
    parent_id: str | None = None
    essential: bool = False
    since: int = 0

    def below(self, what: str, address: str, *, number: str | None = None, since: int = 0) -> Place:
        """A place within this one, named by `what`: the same in any process."""
        return replace(
            self,
            key=derived_id(self.key, what),
            path=f"{self.path}/{number or what}",
            address="/".join(part for part in (self.address, address) if part),
            since=max(self.since, since),
        )

    def aside(self) -> Place:
        """The same place, where a failure is not the session's."""
        return replace(self, essential=False)


class Planning(Protocol):
    """What a pattern needs of the planner."""

    @property
    def state(self) -> SessionState:
        """The session, folded from its journal."""
        ...

    def node(self, node: AnyNode, place: Place, task: Message) -> Plan:
        """Decide about a node that has been given a task."""
        ...

    def note(self, decided: MergeDecided) -> None:
        """Note that a fan-out has been decided."""
        ...

    def granted(self, grant: Message) -> Plan:
        """Decide about the agent run that a message lets go on, with more than it had."""
        ...


def ended(run: RunState) -> Plan:
    """The plan of a node whose agent run has ended for good."""
    stuck = (run.id,) if run.status == "needs_help" else ()
    return Plan(outcome=run.outcome, by=run.id, at=run.ended_seq, stuck=stuck)


def payload_of(outcome: Outcome) -> Any:
    """What an outcome hands on: a text as {"text": ...}, typed output as it is."""
    return {"text": outcome.output} if isinstance(outcome.output, str) else outcome.output


def problem_of(outcome: Outcome) -> str:
    """Say in a sentence why an outcome is no success."""
    return outcome.problem or f"It was {outcome.status}."


def result_of(source: str, outcome: Outcome) -> dict[str, Any]:
    """One entry of a list of results, as merging agents, routers and leads are given it."""
    if outcome.status == "done":
        return {"source": source, "status": "done", "output": payload_of(outcome)}
    return {"source": source, "status": outcome.status, "problem": problem_of(outcome)}
