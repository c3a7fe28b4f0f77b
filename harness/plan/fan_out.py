"""Branches side by side, the policy that says when they are enough, and the breaker that stops them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.events import MergedBranch, MergeDecided
from harness.flow import FanOut, FirstValid, Quorum, children, label
from harness.messages import Message
from harness.plan.step import Place, Plan, Planning, problem_of, result_of, together
from harness.plan.task import task_for
from harness.records import Outcome

_DETAILS = re.compile(r"\d+|'[^']*'|\"[^\"]*\"")
"""What may differ between two failures that are alike."""


@dataclass(frozen=True)
class _Ended:
    number: int
    name: str
    at: int
    outcome: Outcome
    stuck: tuple[str, ...]

    @property
    def done(self) -> bool:
        return self.outcome.status == "done"


def fan_out(planning: Planning, node: FanOut, place: Place, given: Message) -> Plan:
    """Run the branches until those that have ended decide, then merge. Whoever is left is not wanted."""
    below = {where: branch for where, branch in children(node).items() if where != "merge"}
    aside = place.aside()
    plans: list[Plan] = []
    ended: list[_Ended] = []
    for number, (where, branch) in enumerate(below.items(), start=1):
        spot = aside.below(f"branch {number}", where, number=str(number))
        plan = planning.node(branch, spot, task_for(planning.state, branch, spot, given, given.payload))
        plans.append(plan)
        if plan.outcome is not None:
            ended.append(_Ended(number, label(branch), plan.at, plan.outcome, plan.stuck))
    decision = _decision(node, sorted(ended, key=lambda branch: branch.at), len(below))
    if decision is None:
        # Of branches that are all wanted, one that failed stops no other: their results survive.
        return together(plans)
    first, lack = decision
    at = first[-1].at
    # In the order of the branches, whoever came first: the same results are the same input.
    known = sorted(first, key=lambda branch: branch.number)
    planning.note(_decided(node, place, known, lack))
    if lack:
        return _failed(known, at, len(below), _enough(node, len(below)), lack)
    done = [branch for branch in known if branch.done]
    if isinstance(node.policy, FirstValid):
        return Plan(outcome=done[0].outcome, at=at)
    results = {"results": _results(done if isinstance(node.policy, Quorum) else known)}
    merge = children(node).get("merge")
    if merge is None:
        return Plan(outcome=Outcome(status="done", output=results), at=at)
    merging = place.below("merge", "merge", since=at)
    return planning.node(merge, merging, task_for(planning.state, merge, merging, given, results))


def _decided(node: FanOut, place: Place, known: Sequence[_Ended], lack: str) -> MergeDecided:
    branches = (
        MergedBranch(number=branch.number, name=branch.name, status=branch.outcome.status) for branch in known
    )
    return MergeDecided(
        place=place.key,
        path=place.path,
        parent_id=place.parent_id,
        policy=node.policy.kind,
        branches=tuple(branches),
        problem=lack or None,
    )


def _enough(node: FanOut, branches: int) -> int:
    """How many branches have to succeed."""
    match node.policy:
        case Quorum(n=n):
            return min(n, branches)
        case policy:
            return branches if policy.kind == "all" else 1


def _decision(node: FanOut, ended: Sequence[_Ended], total: int) -> tuple[Sequence[_Ended], str] | None:
    """The branches that have decided, and why they are not enough ("" if they are); None while it is open.

    `ended` are in the order of their ends. Whatever ends after the last of those that decide changes nothing.
    """
    enough = _enough(node, total)
    early = isinstance(node.policy, Quorum | FirstValid)
    done = 0
    for count, branch in enumerate(ended, start=1):
        first, done = ended[:count], done + branch.done
        if early or count == total:
            if done >= enough:
                return first, ""
            if count - done > total - enough:
                return first, "Too many failed"
        if count == node.stop_after and _alike(first):
            return first, f"The first {count} failed alike, so no other was paid for"
    return None


def _failed(known: Sequence[_Ended], at: int, total: int, enough: int, why: str) -> Plan:
    """Say which branches failed, with the results of the others; it needs help if help could mend it."""
    lost = [branch for branch in known if not branch.done]
    helpless = [branch for branch in lost if branch.outcome.status == "needs_help"]
    mended = len(helpless) > 0 and len(known) - len(lost) + len(helpless) >= enough
    told = "; ".join(f"{branch.name}: {problem_of(branch.outcome)}" for branch in lost)
    return Plan(
        outcome=Outcome(
            status="needs_help" if mended else "failed",
            output={"results": _results(known)},
            problem=f"{len(lost)} of {total} branches did not succeed. {why}. {told}",
            help=helpless[0].outcome.help if mended else None,
        ),
        at=at,
        stuck=tuple(run for branch in helpless for run in branch.stuck) if mended else (),
    )


def _results(branches: Sequence[_Ended]) -> list[dict[str, Any]]:
    return [result_of(branch.name, branch.outcome) for branch in branches]


def _alike(branches: Sequence[_Ended]) -> bool:
    """Whether all have failed, and for what looks like the same reason. A cancelled one gives no reason."""
    if any(branch.outcome.status in ("done", "cancelled") for branch in branches):
        return False
    return len({_DETAILS.sub("", problem_of(branch.outcome)) for branch in branches}) == 1
