"""Agents without a model: what each answers follows from its bundle's name, its task and its results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Literal

from harness.flow import Agent, Lead, Supervisor, Team, children, label
from harness.records import NeedsHelp, Outcome

Verdict = Literal["pass", "fix", "abstain", "error"]


def bare(value: Any) -> Any:
    """The same without the wording of problems, which no agent of these tests reads."""
    match value:
        case dict():
            return {name: bare(each) for name, each in value.items() if name != "problem"}
        case list() | tuple():
            return [bare(each) for each in value]
        case _:
            return value


def digest(*parts: Any) -> int:
    """A number that follows from the parts and tells them apart."""
    return int(hashlib.sha256(json.dumps(bare(parts), sort_keys=True).encode()).hexdigest()[:8], 16)


def draft(node: Agent | Lead, payload: Any, results: Sequence[Any], fixed: int) -> Outcome:
    """How an agent ends before any gate: by its bundle's name."""
    saw = digest(payload, results, fixed)
    match node.agent:
        case "failed":
            return Outcome(status="failed", problem=f"{label(node)} failed.")
        case "helpless":
            help_ = NeedsHelp(reason="blocked", missing="A map.")
            return Outcome(status="needs_help", output={"part": saw}, problem="Lost.", help=help_)
        case "writer":
            return Outcome(status="done", output=f"{label(node)} saw {saw}.")
        case _:
            names = ("", "m0", "m1", "m2", "nobody")
            output = {"saw": saw, "handoff_to": names[saw % 5], "log": [saw], "last": str(saw % 3)}
            return Outcome(status="done", output=output)


def verdict(node: Agent | Lead, output: Any) -> Verdict:
    """What the verifier says; the one named "broken" fails."""
    assert node.gate is not None
    if node.gate.verifier == "broken":
        return "error"
    said: list[Verdict] = ["pass", "fix", "fix", "abstain"]
    return said[digest(output) % 4]


def worked(node: Agent | Lead, payload: Any, results: Sequence[Any] = ()) -> Outcome:
    """How an agent ends, with its gate."""
    fixed = 0
    while True:
        outcome = draft(node, payload, results, fixed)
        if node.gate is None or outcome.status != "done" or verdict(node, outcome.output) != "fix":
            return outcome
        if fixed == node.gate.fixes:
            return unfixed(outcome.output)
        fixed += 1


def unfixed(output: Any) -> Outcome:
    """An answer that was sent back too often."""
    help_ = NeedsHelp(reason="gate")
    return Outcome(status="needs_help", output=output, problem="It does not pass.", help=help_)


def delegated(node: Lead, payload: Any, results: Sequence[Any]) -> list[tuple[str, Any]]:
    """A lead's next tasks, each for another member; none when it is going to answer."""
    luck = digest(label(node), payload, results)
    if len(results) == 2 or luck % 3 == 0:
        return []
    members = [label(member) for member in children(node).values()]
    chosen = [name for n, name in enumerate(members) if luck >> n & 1] or members[:1]
    return [(name, {"part": n, "of": luck % 7}) for n, name in enumerate(chosen)]


def routed(node: Supervisor | Team, payload: Any, results: Sequence[Any]) -> tuple[str, Any] | Outcome:
    """A router's next decision."""
    luck = digest(label(node), payload, results)
    if len(results) == min(3, node.max_decisions) or luck % 4 == 0:
        if luck % 3 == 0:
            help_ = NeedsHelp(reason="blocked", missing="A map.")
            return Outcome(status="needs_help", problem="Nobody knows the way.", help=help_)
        return Outcome(status="done", output={"results": list(results), "handoff_to": ("", "m0")[luck % 2]})
    members = [label(member) for member in children(node).values()]
    return members[luck % len(members)], {"number": len(results), "of": luck % 7}
