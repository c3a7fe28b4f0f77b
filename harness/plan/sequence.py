"""Patterns in which one node follows another: `Pipeline` and `Handoff`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.flow import Handoff, Pipeline, children, label
from harness.messages import Message
from harness.plan.step import Place, Plan, Planning, payload_of
from harness.plan.task import task_for
from harness.records import NeedsHelp, Outcome

NEXT = "handoff_to"
"""The field of an output that names the next agent."""


def pipeline(planning: Planning, node: Pipeline, place: Place, given: Message) -> Plan:
    """Go through the stages; the first that does not succeed ends it."""
    previous: Any = given.payload
    before: dict[str, Any] = {}
    plan = Plan()
    for number, (where, stage) in enumerate(children(node).items(), start=1):
        at = place.below(f"stage {number}", where, number=str(number), since=plan.at)
        plan = planning.node(stage, at, task_for(planning.state, stage, at, given, previous, before, plan.by))
        if plan.outcome is None or plan.outcome.status != "done":
            return plan
        previous = before[label(stage)] = payload_of(plan.outcome)
    return plan


def handoff(planning: Planning, node: Handoff, place: Place, given: Message) -> Plan:
    """Follow the work from agent to agent until one names no other."""
    members = {label(member): (where, member) for where, member in children(node).items()}
    name = node.start or next(iter(members))
    previous: Any = given.payload
    plan = Plan()
    for hop in range(1, node.max_hops + 1):
        where, member = members[name]
        at = place.below(f"hop {hop}", where, number=str(hop), since=plan.at)
        plan = planning.node(
            member, at, task_for(planning.state, member, at, given, previous, sender=plan.by)
        )
        if plan.outcome is None or plan.outcome.status != "done":
            return plan
        previous = payload_of(plan.outcome)
        following = str(previous.get(NEXT) or "") if isinstance(previous, dict) else ""
        if not following:
            return plan
        if following not in members:
            problem = f"{name} handed on to '{following}', and there is only {', '.join(members)}."
            return Plan(outcome=Outcome(status="failed", problem=problem), at=plan.at)
        name = following
    return replace(plan, outcome=_too_many(node, previous))


def _too_many(node: Handoff, previous: Any) -> Outcome:
    return Outcome(
        status="needs_help",
        output=previous,
        problem=f"The work was handed on {node.max_hops} times and nobody ended it.",
        help=NeedsHelp(reason="blocked", findings=str(previous), missing="An agent that ends the work."),
    )
