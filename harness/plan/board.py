"""The blackboard: in rounds, whoever reads what somebody else has changed works on it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from harness.flow import Blackboard, Seat, children, label
from harness.messages import Message
from harness.plan.step import Place, Plan, Planning, problem_of, together
from harness.plan.task import task_for
from harness.records import NeedsHelp, Outcome
from harness.state import SessionState, values


def blackboard(planning: Planning, node: Blackboard, place: Place, given: Message) -> Plan:
    """Run rounds until the goal is reached, nobody has anything to do, or the rounds are spent.

    Everyone of a round works on the board as it was when the round before had ended, so that it does not
    matter who is first. A seat is taken in the first round if it reads nothing or something is there for it,
    later when a field it reads has been changed by another since it last began.
    """
    state, place, since = planning.state, place.aside(), place.since
    seats = list(zip(node.seats, children(node).items(), strict=True))
    taken = _taken(state, place)
    began: dict[str, int] = {}
    last: dict[str, Plan] = {}
    worked = False
    for number in range(1, node.max_rounds + 1):
        if node.goal and not _missing(node, state.board(before=since + 1)):
            break
        plans: dict[str, Plan] = {}
        for index, (seat, (where, member)) in enumerate(seats, start=1):
            at = place.below(f"round {number} {where}", where, number=f"r{number}.{index}", since=since)
            if at.path in taken or _has_work(state, seat, began.get(where), at):
                task = task_for(state, member, at, given, given.payload)
                plans[label(member)] = planning.node(member, at, task)
                began[where] = since
        if not plans:
            break
        if any(plan.outcome is None for plan in plans.values()):
            return together(plans.values())
        last = plans
        worked = worked or any(_done(plan) for plan in plans.values())
        since = max(since, *(plan.at for plan in plans.values()))
    return _ended(node, state.board(before=since + 1), last, since, worked=worked)


def _taken(state: SessionState, place: Place) -> set[str]:
    """The paths of the seats, round by round, at which work has begun: no need to ask again why."""
    depth = place.path.count("/") + 2
    below = (run.path for run in state.runs.values() if run.path.startswith(f"{place.path}/"))
    return {"/".join(path.split("/", depth)[:depth]) for path in below}


def _has_work(state: SessionState, seat: Seat, began: int | None, at: Place) -> bool:
    """Whether others have made a field that the seat reads another than it was when the seat last began."""
    if not seat.reads:
        return began is None
    around, _, seat_number = at.path.rpartition("/")
    mine = re.compile(rf"{re.escape(around)}/r\d+\.{seat_number.partition('.')[2]}(/|$)")
    ends = (began or 0, at.since)
    before, upto = (bisect_right(state.written, seq, key=lambda write: write.seq) for seq in ends)
    news = [write for write in state.written[before:upto] if write.field in seat.reads]
    others = [write for write in news if not mine.match(write.path)]
    if not others or state.created is None:
        return False
    fields = {name: state.created.state[name] for name in seat.reads}
    known = state.written[:before]
    return values(fields, known) != values(fields, [*known, *others])


def _missing(node: Blackboard, board: Mapping[str, Any]) -> list[str]:
    return [field for field in node.goal if not board[field]]


def _done(plan: Plan) -> bool:
    return plan.outcome is not None and plan.outcome.status == "done"


def _ended(
    node: Blackboard, board: Mapping[str, Any], last: Mapping[str, Plan], at: int, *, worked: bool
) -> Plan:
    """The board is the output. Without its goal it needs help: its own, or what the last at work lacked."""
    missing = _missing(node, board)
    if not missing and (node.goal or worked):
        return Plan(outcome=Outcome(status="done", output=dict(board)), at=at)
    lost = {name: plan.outcome for name, plan in last.items() if plan.outcome and not _done(plan)}
    helps = [outcome.help for outcome in lost.values() if outcome.status == "needs_help"]
    told = "; ".join(f"{name}: {problem_of(outcome)}" for name, outcome in lost.items())
    why = f"its goal is not reached: nothing in {', '.join(missing)}" if missing else "nobody succeeded"
    blocked = NeedsHelp(reason="blocked", missing=", ".join(missing))
    return Plan(
        outcome=Outcome(
            status="needs_help" if missing or helps else "failed",
            output=dict(board),
            problem=f"Nobody at the blackboard goes on, and {why}. {told}".rstrip(),
            help=(helps[0] if helps else blocked) if missing or helps else None,
        ),
        at=at,
        stuck=tuple(run for plan in last.values() for run in plan.stuck),
    )
