"""Holds a flow against its bundles, and says where every input comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.bundles.bundle import Bundle
from harness.errors import BadFlow
from harness.flow import (
    Agent,
    AnyNode,
    Blackboard,
    FanOut,
    Flow,
    Handoff,
    Lead,
    Pipeline,
    Supervisor,
    Team,
    children,
    label,
)
from harness.plan.sequence import NEXT
from harness.wiring.inputs import QUESTION, Report, Sources, given_by, take_of
from harness.wiring.offer import inputs, outputs
from harness.wiring.problem import Problem
from harness.wiring.rules import broken_rules, doubts
from harness.wiring.shapes import LIST, TEXT, UNKNOWN, Alternatives, wanted


def wire(flow: Flow, bundles: Mapping[str, Bundle]) -> Flow:
    """Give the flow with `take` filled in wherever an input does not simply pass on.

    Raises:
        BadFlow: with every problem there is, each with its file and field.
    """
    wiring = _Wiring(flow, bundles)
    wired = wiring.root()
    problems = [*broken_rules(flow, bundles), *wiring.problems]
    if problems:
        raise BadFlow(*dict.fromkeys(problem.sentence(flow) for problem in problems))
    return flow.model_copy(update={"flow": wired})


def warnings(flow: Flow, bundles: Mapping[str, Bundle]) -> list[str]:
    """Say what is doubtful about a flow that can be run."""
    wired = flow.model_copy(update={"flow": _Wiring(flow, bundles).root()})
    return [doubt.sentence(flow) for doubt in doubts(wired)]


_Below = tuple[AnyNode, str]
"""A node and its address."""


class _Wiring:
    """Goes through the tree from the question downwards, and collects what does not fit."""

    def __init__(self, flow: Flow, bundles: Mapping[str, Bundle]) -> None:
        self.problems: list[Problem] = []
        self._flow = flow
        self._bundles = bundles

    def root(self) -> AnyNode:
        """The whole tree, wired."""
        asked: Alternatives = ({QUESTION: TEXT},)
        return self._node(self._flow.flow, "", self._sources(asked, asked))

    def _node(self, node: AnyNode, address: str, sources: Sources) -> AnyNode:
        """A node that takes from what is there."""
        report = self._report(address)
        if not isinstance(node, Agent | Lead):
            return self._within(node, address, given_by(node, sources, report))
        bundle = self._bundles.get(node.agent)
        take = node.take if bundle is None else take_of(node, wanted(bundle.input), sources, report)
        return self._within(node.model_copy(update={"take": take}), address, UNKNOWN)

    def _told(self, above: AnyNode, node: AnyNode, address: str) -> AnyNode:
        """A member that is given tasks of its own, valid for its input."""
        for name in node.take:
            self._report(address)(
                f"take.{name}", f"a member of a {above.pattern} is given tasks that are whole; remove it"
            )
        return self._within(node, address, inputs(node, self._bundles))

    def _within(self, node: AnyNode, address: str, given: Alternatives) -> AnyNode:
        """A node with all below it wired; `given` is what the node has been given."""
        below = {
            place: (child, f"{address}/{place}" if address else place)
            for place, child in children(node).items()
        }
        match node:
            case Agent():
                return node
            case Lead() | Supervisor() | Team():
                members = [self._told(node, child, where) for child, where in below.values()]
                return node.model_copy(update={"members": tuple(members)})
            case Pipeline():
                return node.model_copy(update={"stages": self._stages(below.values(), given)})
            case FanOut():
                return self._fan_out(node, below, given)
            case Handoff():
                return self._handoff(node, below, given)
            case Blackboard():
                seats = []
                for seat, (child, where) in zip(node.seats, below.values(), strict=True):
                    sources = self._sources(given, given, reads=seat.reads)
                    seats.append(seat.model_copy(update={"member": self._node(child, where, sources)}))
                return node.model_copy(update={"seats": tuple(seats)})

    def _stages(self, below: Iterable[_Below], given: Alternatives) -> tuple[AnyNode, ...]:
        previous, before = given, dict[str, Alternatives]()
        stages = []
        for stage, where in below:
            stages.append(self._node(stage, where, self._sources(previous, given, stages=dict(before))))
            previous = before[label(stage)] = self._outputs(stage)
        return tuple(stages)

    def _fan_out(self, node: FanOut, below: Mapping[str, _Below], given: Alternatives) -> FanOut:
        wired = {
            place: self._node(
                child, where, self._sources(({"results": LIST},) if place == "merge" else given, given)
            )
            for place, (child, where) in below.items()
        }
        merge = wired.pop("merge", None)
        return node.model_copy(update={"branches": tuple(wired.values()), "merge": merge})

    def _handoff(self, node: Handoff, below: Mapping[str, _Below], given: Alternatives) -> Handoff:
        """A member takes from whoever can hand on to it; the first one from what the whole was given, too."""
        every = [shape for child, _ in below.values() for shape in self._outputs(child)]
        passed = tuple(shape for shape in every if shape is None or NEXT in shape) or UNKNOWN
        start = node.start or label(next(iter(below.values()))[0])
        members = []
        for child, where in below.values():
            previous = (*given, *passed) if label(child) == start else passed
            members.append(self._node(child, where, self._sources(previous, given)))
        return node.model_copy(update={"members": tuple(members)})

    def _sources(
        self,
        previous: Alternatives,
        given: Alternatives,
        *,
        stages: Mapping[str, Alternatives] | None = None,
        reads: tuple[str, ...] = (),
    ) -> Sources:
        return Sources(previous, given, self._flow.state, stages or {}, reads)

    def _outputs(self, node: AnyNode) -> Alternatives:
        return outputs(node, self._bundles, self._flow.state)

    def _report(self, address: str) -> Report:
        return lambda field, says: self.problems.append(Problem(address, field, says))
