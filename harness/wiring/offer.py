"""What a node of any pattern takes and gives, and how it is offered to a lead or a router."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pydantic import BaseModel

from harness.bundles.bundle import Bundle, Task
from harness.bundles.describe import shape
from harness.flow import (
    Agent,
    AnyNode,
    Blackboard,
    FanOut,
    FirstValid,
    Handoff,
    Lead,
    Pipeline,
    StateField,
    Supervisor,
    Team,
    children,
    label,
)
from harness.wiring.shapes import LIST, TEXT, UNKNOWN, Alternatives, fields

_PROSE = "Markdown text"
_RESULTS = "{results: [{source: string, status: string, output?: any, problem?: string}]}"


def first_agent(node: AnyNode) -> Agent | Lead | None:
    """The agent whose input is the node's; None where a router or a board decides, which take any task."""
    match node:
        case Agent() | Lead():
            return node
        case Pipeline() | FanOut():
            return first_agent(next(iter(children(node).values())))
        case Handoff():
            members = {label(member): member for member in children(node).values()}
            return first_agent(members.get(node.start or "") or next(iter(members.values())))
        case Supervisor() | Team() | Blackboard():
            return None


def input_of(node: AnyNode, bundles: Mapping[str, Bundle]) -> type[BaseModel]:
    """Give the model that a task for this node has to fit; the flow has been wired with these bundles."""
    agent = first_agent(node)
    return Task if agent is None else bundles[agent.agent].input


def inputs(node: AnyNode, bundles: Mapping[str, Bundle]) -> Alternatives:
    """Give the shape of a task for this node."""
    agent = first_agent(node)
    if agent is not None and agent.agent not in bundles:
        return UNKNOWN
    return (fields(input_of(node, bundles)),)


def outputs(node: AnyNode, bundles: Mapping[str, Bundle], state: Mapping[str, StateField]) -> Alternatives:
    """Give every shape that the node's output may have; a text is the one field `text`."""
    match node:
        case Agent() | Lead():
            bundle = bundles.get(node.agent)
            if bundle is None:
                return UNKNOWN
            return ({"text": TEXT},) if bundle.output is None else (fields(bundle.output),)
        case Blackboard():
            return ({name: frozenset({field.kind}) for name, field in state.items()},)
        case _:
            last = _giving(node)
            return ({"results": LIST},) if last is None else _each(last, bundles, state)


def one_pager(node: AnyNode, bundles: Mapping[str, Bundle]) -> str:
    """Say on one line who a member is, what it is for, what it takes and what it gives."""
    if isinstance(node, Agent | Lead):
        bundle = bundles[node.agent]
        description = node.description or bundle.description
        return replace(bundle, name=label(node), description=description).one_pager
    gives = " or ".join(dict.fromkeys(_gives(node, bundles)))
    said = f"{label(node)}: {node.description}".rstrip(": ")
    return f"{said}{'' if said.endswith('.') else '.'} Takes {shape(input_of(node, bundles))}. Gives {gives}."


def _giving(node: AnyNode) -> list[AnyNode] | None:
    """The nodes one of which gives the output of this one; None for a fan-out that gives all results."""
    below = children(node)
    match node:
        case Pipeline():
            return list(below.values())[-1:]
        case FanOut(policy=FirstValid()):
            return [branch for place, branch in below.items() if place != "merge"]
        case FanOut():
            return [below["merge"]] if node.merge is not None else None
        case _:
            return list(below.values())


def _each(
    nodes: Iterable[AnyNode], bundles: Mapping[str, Bundle], state: Mapping[str, StateField]
) -> Alternatives:
    united: Alternatives = ()
    for node in nodes:
        united += tuple(each for each in outputs(node, bundles, state) if each not in united)
    return united


def _gives(node: AnyNode, bundles: Mapping[str, Bundle]) -> list[str]:
    match node:
        case Agent() | Lead():
            output = bundles[node.agent].output
            return [_PROSE if output is None else shape(output)]
        case Blackboard():
            return [
                f"the shared state, with {', '.join(node.goal)} filled" if node.goal else "the shared state"
            ]
        case _:
            last = _giving(node)
            return [_RESULTS] if last is None else [each for below in last for each in _gives(below, bundles)]
