"""What is decided between agents: who works next, what is good enough, which branches are enough."""

from __future__ import annotations

from typing import ClassVar, Literal

from harness.events.payload import Payload
from harness.messages import Message
from harness.records import Record


class RoutingDecided(Payload):
    """A supervisor's router chose a member for this task, or granted more to the one it chose before."""

    PROGRESS: ClassVar[bool] = True

    kind: Literal["routing.decided"] = "routing.decided"
    number: int
    to: str
    task: Message
    reason: str


class GateDecided(Payload):
    """What a gate said of an agent's answer: "fix" sends it back with what is wrong.

    "abstain" and "error" (a verifier that could not judge) let the answer through, and are shown.
    """

    kind: Literal["gate.decided"] = "gate.decided"
    by: str
    verdict: Literal["pass", "fix", "abstain", "error"]
    problem: str | None = None
    work_s: float = 0.0


class MergedBranch(Record):
    """A branch of a fan-out that had ended when it was decided; `number` counts from 1."""

    number: int
    name: str
    status: Literal["done", "needs_help", "failed", "cancelled"]


class MergeDecided(Payload):
    """By a fan-out's policy its branches are enough, or cannot be any more; `problem` says why not.

    `place` names the fan-out in this session. It is a note: what follows is planned from the branches.
    """

    kind: Literal["merge.decided"] = "merge.decided"
    place: str
    path: str
    parent_id: str | None
    policy: str
    branches: tuple[MergedBranch, ...]
    problem: str | None = None
