"""What is decided between agents: who works next, and whether an answer is good enough."""

from __future__ import annotations

from typing import Literal

from harness.events.payload import Payload
from harness.messages import Message


class RoutingDecided(Payload):
    """A supervisor's router chose a member for this task, or granted more to the one it chose before."""

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
