"""A flow as a picture: a tree of text for a terminal, and a Mermaid flowchart for a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from harness.flow.builtin import ROUTER, Flow
from harness.flow.nodes import (
    Agent,
    AnyNode,
    Blackboard,
    FanOut,
    Handoff,
    Lead,
    Pipeline,
    Quorum,
    Supervisor,
    Team,
    children,
    label,
)
from harness.flow.shared import StateField


def tree(flow: Flow) -> str:
    """Draw a flow as lines of text: each node with what it takes, writes and is checked by."""
    lines = [f"{flow.name}: {flow.description}" if flow.description else flow.name]
    for name, field in flow.state.items():
        lines.append(f"   state.{name}: {_declared(field)}")
    return "\n".join([*lines, *_branch(flow.flow, "└─ ", "   ", "")])


def mermaid(flow: Flow) -> str:
    """Draw a flow as a Mermaid flowchart (https://mermaid.js.org/syntax/flowchart.html)."""
    chart = _Chart()
    chart.line(0, "flowchart TD")
    if flow.state:
        fields = "<br>".join(f"{name}: {field.kind}" for name, field in flow.state.items())
        chart.line(1, f'state[("{_quoted("state")}<br>{_quoted(fields)}")]')
    chart.node(flow.flow, "n", 1)
    return "\n".join([*chart.lines, *chart.edges])


def _branch(node: AnyNode, first: str, rest: str, part: str) -> Iterator[str]:
    yield f"{first}{part}{headline(node)}"
    below = list(children(node).items())
    stem = f"{rest}{'│  ' if below else '   '}"
    for detail in _details(node):
        yield f"{stem}{detail}"
    for number, (place, child) in enumerate(below, start=1):
        last = number == len(below)
        said = "merge: " if place == "merge" else f"{number}. " if isinstance(node, Pipeline) else ""
        yield from _branch(
            child, f"{rest}{'└─ ' if last else '├─ '}", f"{rest}{'   ' if last else '│  '}", said
        )


def headline(node: AnyNode) -> str:
    """Name a node: its label, whose bundle it is or what pattern it has, and what bounds it."""
    match node:
        case Agent():
            said = [node.agent] if node.name and node.name != node.agent else []
        case Lead():
            said = ["lead"] if node.agent in (label(node), "lead") else ["lead", node.agent]
        case _:
            said = [node.pattern.replace("_", "-"), *_bounds(node)]
    if label(node) == node.pattern:
        said = said[1:]
    named = label(node).replace("_", "-") if label(node) == node.pattern else label(node)
    return f"{named} ({', '.join(said)})" if said else named


def _bounds(node: AnyNode) -> list[str]:
    match node:
        case FanOut(policy=Quorum(n=n)):
            return [f"quorum of {n}"]
        case FanOut():
            return [node.policy.kind.replace("_", " ")]
        case Handoff():
            return [f"at most {node.max_hops} hops"]
        case Supervisor() | Team():
            return [f"at most {node.max_decisions} decisions"]
        case Blackboard():
            goal = [f"until {' and '.join(node.goal)}"] if node.goal else []
            return [*goal, f"at most {node.max_rounds} rounds"]
        case _:
            return []


def _details(node: AnyNode) -> Iterator[str]:
    for name, source in node.take.items():
        yield f"{name} <- {source}"
    if isinstance(node, Handoff) and node.start:
        yield f"starts with {node.start}"
    if isinstance(node, Blackboard):
        for seat, child in zip(node.seats, children(node).values(), strict=True):
            if seat.reads:
                yield f"{label(child)} reads {', '.join(seat.reads)}"
    if isinstance(node, Agent | Lead):
        if node.gate is not None:
            fixes = f"{node.gate.fixes} fix{'' if node.gate.fixes == 1 else 'es'}"
            yield f"checked by {node.gate.verifier}, at most {fixes}"
        for name, source in node.write.items():
            yield f"state.{name} <- {source}"


def _declared(field: StateField) -> str:
    by = "" if field.writers is None else f", written by {', '.join(field.writers) or 'nobody'}"
    return f"{field.kind}, {field.reducer}{by}"


class _Chart:
    """The lines of a flowchart. What holds others is a subgraph, so an edge can lead to it as a whole."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.edges: list[str] = []

    def line(self, depth: int, text: str) -> None:
        """Add a line."""
        self.lines.append(f"{'  ' * depth}{text}")

    def node(self, node: AnyNode, name: str, depth: int) -> None:
        """Add a node under an id, and all below it."""
        if isinstance(node, Agent):
            self.line(depth, f'{name}["{_quoted(headline(node))}"]')
        else:
            self.line(depth, f'subgraph {name}["{_quoted(headline(node))}"]')
            below = {place: f"{name}_{number}" for number, place in enumerate(children(node))}
            for place, child in children(node).items():
                self.node(child, below[place], depth + 1)
            self._within(node, name, below, depth + 1)
            self.line(depth, "end")
        if isinstance(node, Agent | Lead):
            at = name if isinstance(node, Agent) else f"{name}_lead"
            if node.gate is not None:
                self.line(depth, f'{name}_gate{{"{_quoted(node.gate.verifier)}"}}')
                self.edge(at, f"{name}_gate", "checked", dotted=True)
            for field in node.write:
                self.edge(at, "state", field, dotted=True)

    def edge(self, source: str, target: str, says: str = "", *, dotted: bool = False) -> None:
        """Add an arrow."""
        arrow = "-.->" if dotted else "-->"
        words = f'|"{_quoted(says)}"|' if says else ""
        self.edges.append(f"  {source} {arrow}{words} {target}")

    def _within(self, node: AnyNode, name: str, below: Mapping[str, str], depth: int) -> None:
        inner = list(below.values())
        match node:
            case Lead():
                self.line(depth, f'{name}_lead["{_quoted(node.agent)}"]')
                for member in inner:
                    self.edge(f"{name}_lead", member, "tasks")
            case Supervisor() | Team():
                self.line(depth, f'{name}_router{{"{ROUTER}"}}')
                for member in inner:
                    self.edge(f"{name}_router", member)
                    self.edge(member, f"{name}_router", dotted=True)
            case Pipeline():
                for before, after in pairwise(inner):
                    self.edge(before, after)
            case FanOut() if "merge" in below:
                for branch in inner[:-1]:
                    self.edge(branch, below["merge"])
            case Handoff():
                for before in inner:
                    for after in inner:
                        if before != after:
                            self.edge(before, after, "handoff_to", dotted=True)
            case Blackboard():
                for seat, member in zip(node.seats, inner, strict=True):
                    for field in seat.reads:
                        self.edge("state", member, field)
            case _:
                pass


def _quoted(text: str) -> str:
    """A text as Mermaid takes it between quotes."""
    return text.replace('"', "#quot;")
