"""Random flow trees: any pattern in any other, small, with agents that need no model.

@given(trees(hasty=False))
def test_x(tree: Tree) -> None: ...
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from harness.flow import (
    Agent,
    All,
    AnyNode,
    BestEffort,
    Blackboard,
    FanOut,
    FirstValid,
    Gate,
    Handoff,
    Lead,
    Pipeline,
    Quorum,
    Seat,
    StateField,
    Supervisor,
    Team,
    children,
)
from harness.records import Outcome
from tests.kit.endings import TooMany, endings

QUESTION = "Why?"
NEVER = 99
"""A breaker that no fan-out of these trees trips."""


@dataclass(frozen=True)
class Tree:
    """A flow with its declared state."""

    flow: AnyNode
    state: dict[str, StateField] = field(default_factory=dict)

    def ends(self) -> list[Outcome] | None:
        """Every outcome the session may have; None when they are too many to say, or hang on a board."""
        try:
            return endings(self.flow, {"question": QUESTION})
        except TooMany:
            return None


def dressed(flow: AnyNode) -> Tree:
    """Name each node among its siblings, and give each blackboard fields of its own."""
    state: dict[str, StateField] = {}
    return Tree(_dressed(flow, "m0", None, state), state)


def _dressed(node: AnyNode, name: str, board: str | None, state: dict[str, StateField]) -> AnyNode:
    if isinstance(node, Blackboard):
        board = f"b{len(state)}"
        state[f"{board}_log"] = StateField(kind="list", reducer="append")
        state[f"{board}_last"] = StateField(kind="text")
    below = [_dressed(child, f"m{n}", board, state) for n, child in enumerate(children(node).values())]
    update: dict[str, Any] = {"name": name}
    match node:
        case Agent() if board and node.agent == "done":
            update["write"] = {f"{board}_log": "log", f"{board}_last": "last"}
        case Lead() | Supervisor() | Team() | Handoff():
            update["members"] = tuple(below)
        case Pipeline():
            update["stages"] = tuple(below)
        case FanOut():
            update["branches"] = tuple(below[: len(node.branches)])
            update["merge"] = below[-1] if node.merge is not None else None
        case Blackboard():
            seats = zip(node.seats, below, strict=True)
            update["goal"] = tuple(f"{board}_{each}" for each in node.goal)
            update["seats"] = tuple(
                Seat(
                    member=member.model_copy(update={"take": {"seen": f"state.{board}_log"}}),
                    reads=tuple(f"{board}_{each}" for each in seat.reads),
                )
                for seat, member in seats
            )
        case _:
            pass
    return node.model_copy(update=update)


def _members(nodes: st.SearchStrategy[AnyNode], most: int = 3) -> st.SearchStrategy[tuple[AnyNode, ...]]:
    return st.lists(nodes, min_size=1, max_size=most).map(tuple)


GATES = st.none() | st.builds(Gate, verifier=st.sampled_from(["judge", "broken"]), fixes=st.integers(0, 2))
AGENTS = st.builds(
    Agent, agent=st.sampled_from(["done", "done", "done", "writer", "failed", "helpless"]), gate=GATES
)
ORDERLY = st.sampled_from([All(), BestEffort()])
HASTY = st.one_of(st.builds(Quorum, n=st.integers(1, 3)), st.just(FirstValid()))
FIELDS = st.lists(st.sampled_from(["log", "last"]), unique=True).map(tuple)


def _patterns(nodes: st.SearchStrategy[AnyNode], *, hasty: bool, boards: bool) -> st.SearchStrategy[AnyNode]:
    seats = st.lists(st.builds(Seat, member=nodes, reads=FIELDS), min_size=1, max_size=3).map(tuple)
    found: list[st.SearchStrategy[Any]] = [
        st.builds(Pipeline, stages=_members(nodes)),
        st.builds(Lead, agent=st.sampled_from(["done", "failed"]), members=_members(nodes), gate=GATES),
        st.builds(Supervisor, members=_members(nodes), max_decisions=st.integers(1, 4)),
        st.builds(Team, name=st.just("team"), description=st.just("A team."), members=_members(nodes)),
        st.builds(Handoff, members=_members(nodes), max_hops=st.integers(1, 4)),
        st.builds(
            FanOut,
            branches=_members(nodes),
            merge=st.none() | nodes,
            policy=ORDERLY | HASTY if hasty else ORDERLY,
            stop_after=st.sampled_from([1, 2, NEVER]) if hasty else st.just(NEVER),
        ),
    ]
    if boards:
        found.append(st.builds(Blackboard, seats=seats, goal=FIELDS, max_rounds=st.integers(1, 3)))
    return st.one_of(found)


def trees(*, hasty: bool = True, boards: bool = True) -> st.SearchStrategy[Tree]:
    """Any node in any node. `hasty` ones hold fan-outs that hang on who is first."""
    nodes: st.SearchStrategy[AnyNode] = st.recursive(
        AGENTS, lambda below: _patterns(below, hasty=hasty, boards=boards), max_leaves=7
    )
    return nodes.map(dressed)
