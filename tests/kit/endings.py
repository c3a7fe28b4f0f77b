"""What a flow may end with, told by the patterns' words alone: no journal, no ids and no order of events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import permutations, product
from typing import Any

from harness.flow import (
    Agent,
    AnyNode,
    Blackboard,
    FanOut,
    Handoff,
    Lead,
    Pipeline,
    Supervisor,
    Team,
    children,
    label,
)
from harness.plan import payload_of, result_of
from harness.records import Outcome
from tests.kit.scripted_agents import bare, delegated, routed, worked


class TooMany(Exception):
    """More endings are allowed than a test can look at."""


def key(outcome: Outcome) -> str:
    """What of an outcome two sessions have to agree on."""
    return json.dumps(bare([outcome.status, outcome.output]), sort_keys=True)


def _distinct(outcomes: Iterable[Outcome]) -> list[Outcome]:
    found = {key(outcome): outcome for outcome in outcomes}
    if len(found) > 60:
        raise TooMany
    return list(found.values())


def endings(node: AnyNode, payload: Any) -> list[Outcome]:
    """Every outcome a node may have, whoever of it is first. Blackboards are left out."""
    below = list(children(node).values())
    match node:
        case Agent():
            return [worked(node, payload)]
        case Lead():
            return _distinct(_lead(node, payload, ()))
        case Supervisor() | Team():
            return _distinct(_supervised(node, payload, ()))
        case Pipeline():
            return _distinct(_chain(below, payload))
        case Handoff():
            return _distinct(_handoff(node, node.start or label(below[0]), payload, node.max_hops))
        case FanOut():
            branches = below[:-1] if node.merge is not None else below
            each = product(*(endings(branch, payload) for branch in branches))
            orders = [order for found in each for order in permutations(enumerate(found))]
            return _distinct(end for order in orders for end in _fanned(node, branches, order))
        case Blackboard():
            raise TooMany


def _lead(node: Lead, payload: Any, results: tuple[Any, ...]) -> Iterable[Outcome]:
    members = {label(member): member for member in children(node).values()}
    tasks = delegated(node, payload, results)
    if not tasks:
        yield worked(node, payload, results)
        return
    for found in product(*(endings(members[to], given) for to, given in tasks)):
        told = [result_of(to, outcome) for (to, _), outcome in zip(tasks, found, strict=True)]
        yield from _lead(node, payload, (*results, told))


def _supervised(node: Supervisor | Team, payload: Any, results: tuple[Any, ...]) -> Iterable[Outcome]:
    decision = routed(node, payload, results)
    if isinstance(decision, Outcome):
        yield decision
        return
    to, given = decision
    (member,) = [each for each in children(node).values() if label(each) == to]
    for outcome in endings(member, given):
        yield from _supervised(node, payload, (*results, result_of(to, outcome)))


def _chain(stages: Sequence[AnyNode], payload: Any) -> Iterable[Outcome]:
    for outcome in endings(stages[0], payload):
        if outcome.status != "done" or len(stages) == 1:
            yield outcome
        else:
            yield from _chain(stages[1:], payload_of(outcome))


def _handoff(node: Handoff, to: str, payload: Any, hops: int) -> Iterable[Outcome]:
    members = {label(member): member for member in children(node).values()}
    if to not in members:
        yield Outcome(status="failed")
        return
    for outcome in endings(members[to], payload):
        given = payload_of(outcome)
        following = given.get("handoff_to") if isinstance(given, dict) else None
        if outcome.status != "done" or not following:
            yield outcome
        elif hops == 1 and following in members:
            yield Outcome(status="needs_help", output=given)
        else:
            yield from _handoff(node, following, given, hops - 1)


def _fanned(
    node: FanOut, branches: Sequence[AnyNode], order: Sequence[tuple[int, Outcome]]
) -> Iterable[Outcome]:
    """The branches end in this order: when is it decided, and how?"""
    need = {"quorum": getattr(node.policy, "n", 1), "all": len(branches)}.get(node.policy.kind, 1)
    need = min(need, len(branches))
    done: list[int] = []
    for count, (number, outcome) in enumerate(order, start=1):
        known = dict(order[:count])
        done += [number] if outcome.status == "done" else []
        waits = node.policy.kind in ("all", "best_effort") and count < len(order)
        if len(done) == need and node.policy.kind == "first_valid":
            yield outcome
            return
        if len(done) >= need and not waits:
            taken = sorted(done if node.policy.kind == "quorum" else known)
            results = {"results": [result_of(label(branches[n]), known[n]) for n in taken]}
            merge = children(node).get("merge")
            yield from endings(merge, results) if merge else [Outcome(status="done", output=results)]
            return
        lost = {n: each for n, each in known.items() if each.status != "done"}
        hopeless = len(lost) > len(branches) - need and not waits
        if hopeless or (count == node.stop_after < len(order) and _alike(lost.values(), count)):
            helps = [each for each in lost.values() if each.status == "needs_help"]
            status = "needs_help" if helps and len(done) + len(helps) >= need else "failed"
            told = [result_of(label(branches[n]), known[n]) for n in sorted(known)]
            yield Outcome(status=status, output={"results": told})  # type: ignore[arg-type]
            return


def _alike(lost: Iterable[Outcome], count: int) -> bool:
    """The problems of these agents differ in nothing but numbers; those of patterns are not told here."""
    problems = [each.problem for each in lost]
    if None in problems:
        raise TooMany
    worded = {"".join(c for c in problem or "" if not c.isdigit()) for problem in problems}
    return len(problems) == count and len(worded) == 1
