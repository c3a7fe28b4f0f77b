"""Supervisors and teams: a router decides, a member works, and the router is asked again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.flow import ROUTER, Supervisor, Team, children, label
from harness.messages import Message
from harness.plan.step import Place, Plan, Planning, RunSpec, ended, result_of, together
from harness.state import Decision, RunState


def supervised(planning: Planning, node: Supervisor | Team, place: Place, given: Message) -> Plan:
    """Follow the decisions in the journal; once the last is worked off, the router is ready for another."""
    run = planning.state.runs.get(place.key)
    if run is None:
        spec = RunSpec(
            id=place.key,
            agent=ROUTER,
            parent_id=place.parent_id,
            path=place.path,
            task=given,
            members=tuple(label(member) for member in children(node).values()),
            address=place.address,
            role="router",
            essential=place.essential,
            limits=node.limits,
        )
        return Plan(create=(spec,))
    if run.final:
        return ended(run)
    work = _worked_on(planning, node, place, run)
    if work and work[-1][1].outcome is None:
        return together([Plan(live=(run.id,)), work[-1][1]])
    return Plan(ready=(run.id,), live=(run.id,))


def results_so_far(
    planning: Planning, node: Supervisor | Team, place: Place, run: RunState
) -> list[tuple[Decision, dict[str, Any], Plan]]:
    """Every decision that has been worked off, with its result as the router is shown it."""
    return [
        (decision, result_of(decision.to, plan.outcome), plan)
        for decision, plan in _worked_on(planning, node, place, run)
        if plan.outcome is not None
    ]


def _worked_on(
    planning: Planning, node: Supervisor | Team, place: Place, run: RunState
) -> list[tuple[Decision, Plan]]:
    """Every decision, in order, and how its work stands."""
    members = {label(member): (where, member) for where, member in children(node).items()}
    found: list[tuple[Decision, Plan]] = []
    since = run.created_seq
    for decision in run.decisions:
        if decision.task.kind == "grant":
            found.append((decision, planning.granted(decision.task)))
            since = max(since, found[-1][1].at)
            continue
        where, member = members[decision.to]
        number = decision.number
        at = place.below(f"decision {number}", where, number=str(number), since=since)
        plan = planning.node(member, replace(at, parent_id=run.id, essential=False), decision.task)
        found.append((decision, plan))
        since = plan.at
    return found
