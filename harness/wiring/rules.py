"""What holds of a flow besides its inputs: names, members, gates, writes, depth, and the shared state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from harness.bundles.bundle import Bundle
from harness.flow import (
    ROUTER,
    Agent,
    AnyNode,
    Blackboard,
    FanOut,
    FirstValid,
    Flow,
    Handoff,
    Lead,
    Pipeline,
    Quorum,
    Supervisor,
    Team,
    children,
    label,
    walk,
)
from harness.flow.shared import misfit
from harness.plan.sequence import NEXT
from harness.wiring.inputs import SOURCES
from harness.wiring.offer import outputs
from harness.wiring.problem import Problem
from harness.wiring.shapes import OBJECT, TEXT, Kinds, fits, found, in_words, names, wanted
from harness.wording import nearest

DEEP = 3
"""Supervisors within supervisors: from this depth on it is doubtful, one further and it is refused."""

MANY = 8
"""Members under one supervisor, beyond which it chooses badly."""

VERDICT = "verdict"
"""The field of a verifier's output that says how it judges."""

_JUDGED: Mapping[str, Kinds] = {"task": OBJECT, "output": OBJECT}
"""What a verifier is given."""


def broken_rules(flow: Flow, bundles: Mapping[str, Bundle]) -> Iterator[Problem]:
    """Say what of a flow cannot be run, inputs left out."""
    yield from _state(flow)
    for address, node in walk(flow.flow):
        yield from _siblings(node, address)
        match node:
            case Agent() | Lead():
                yield from _agent(node, address, flow, bundles)
            case Pipeline():
                for place, stage in children(node).items():
                    if label(stage) in SOURCES:
                        says = (
                            f"'{label(stage)}' has a meaning of its own in take; give the stage another name"
                        )
                        yield Problem(_below(address, place), "name", says)
            case FanOut(policy=Quorum(n=n)) if n > len(node.branches):
                says = f"{n} branches are wanted, and there are {len(node.branches)}"
                yield Problem(address, "policy.n", says)
            case Handoff():
                yield from _handoff(node, address, flow, bundles)
            case Blackboard():
                yield from _blackboard(node, address, flow)
            case _:
                pass
    for address, depth in _depths(flow.flow):
        if depth == DEEP + 1:
            says = (
                f"this is the {depth}th supervisor within another, and {DEEP} are the most; make it flatter"
            )
            yield Problem(address, "", says)


def doubts(flow: Flow) -> Iterator[Problem]:
    """Say what of a wired flow can be run and is probably not meant."""
    for address, depth in _depths(flow.flow):
        if depth == DEEP:
            yield Problem(address, "", f"supervisors are nested {DEEP} deep; {DEEP - 1} are easier to steer")
    for address, node in walk(flow.flow):
        match node:
            case Supervisor() | Team() if len(node.members) > MANY:
                says = f"{len(node.members)} members under one supervisor; group them into teams"
                yield Problem(address, "members", says)
            case FanOut(policy=FirstValid()) if node.merge is not None:
                says = "it never runs, as the first branch that succeeds gives the output; remove it"
                yield Problem(address, "merge", says)
            case FanOut():
                merge = children(node).get("merge")
                if merge is not None and _deaf(merge):
                    says = "it takes nothing of the results; let it take previous.results"
                    yield Problem(_below(address, "merge"), "take", says)
            case Pipeline():
                for place, stage in list(children(node).items())[1:]:
                    if _deaf(stage):
                        says = "it takes nothing of the stages before it, which might run beside it"
                        yield Problem(_below(address, place), "take", says)
            case _:
                pass


def _deaf(node: AnyNode) -> bool:
    """Whether a wired node takes the question or what was given, and nothing else."""
    return bool(node.take) and all(
        reference.partition(".")[0] in ("question", "input") for reference in node.take.values()
    )


def _state(flow: Flow) -> Iterator[Problem]:
    labels = {label(node) for _, node in walk(flow.flow)}
    for name, field in flow.state.items():
        if wrong := misfit(name, field):
            yield Problem(None, f"state.{name}.reducer", wrong.partition(": ")[2])
        for writer in field.writers or ():
            if writer not in labels:
                says = f"there is no node '{writer}'{nearest(writer, labels)}"
                yield Problem(None, f"state.{name}.writers", says)


def _siblings(node: AnyNode, address: str) -> Iterator[Problem]:
    siblings = {place: child for place, child in children(node).items() if place != "merge"}
    counted = Counter(map(label, siblings.values()))
    seen: set[str] = set()
    for place, child in siblings.items():
        where = _below(address, place)
        chosen = isinstance(node, Lead | Supervisor | Team | Handoff)
        if chosen and not child.name and not isinstance(child, Agent | Lead):
            says = (
                f"is required: a {child.pattern} that is a member of a {node.pattern} is chosen by its name"
            )
            yield Problem(where, "name", says)
        elif counted[label(child)] > 1 and label(child) in seen:
            yield Problem(where, "name", f"'{label(child)}' is its sibling's as well; give one another name")
        seen.add(label(child))


def _agent(node: Agent | Lead, address: str, flow: Flow, bundles: Mapping[str, Bundle]) -> Iterator[Problem]:
    yield from _bundle(node.agent, address, "agent", bundles)
    if node.gate is not None:
        yield from _bundle(node.gate.verifier, address, "gate.verifier", bundles)
        if node.gate.verifier in bundles:
            yield from _verifier(node, bundles[node.gate.verifier], address, bundles)
    for name, source in node.write.items():
        if says := _bad_write(node, name, source, flow, bundles):
            yield Problem(address, f"write.{name}", says)


def _bundle(name: str, address: str, field: str, bundles: Mapping[str, Bundle]) -> Iterator[Problem]:
    if name == ROUTER:
        says = f"'{ROUTER}' is who decides for supervisors and teams; give the bundle another name"
        yield Problem(address, field, says)
    elif name not in bundles:
        known = sorted(bundles)
        says = f"there is no bundle '{name}'{nearest(name, known)}; there are {', '.join(known)}"
        yield Problem(address, field, says)


def _verifier(
    node: Agent | Lead, verifier: Bundle, address: str, bundles: Mapping[str, Bundle]
) -> Iterator[Problem]:
    takes = wanted(verifier.input)
    checked = bundles.get(node.agent)
    prose = checked is not None and checked.output is None
    lacking = [name for name in _JUDGED if name not in takes]
    if lacking:
        says = (
            f"the input of '{verifier.name}' lacks {' and '.join(lacking)}: a verifier takes task and output"
        )
        yield Problem(address, "gate.verifier", says)
    for name, want in takes.items():
        given = TEXT if name == "output" and prose else _JUDGED.get(name)
        if given is None and want.required:
            says = f"the input of '{verifier.name}' requires {name}, and a verifier is given task and output"
            yield Problem(address, "gate.verifier", says)
        elif given is not None and not given & want.kinds:
            gives, takes_ = in_words([given]), in_words([want.kinds])
            says = f"'{verifier.name}' takes {takes_} as {name}, and is given {gives}"
            yield Problem(address, "gate.verifier", says)
    verdict = found(outputs(Agent(agent=verifier.name), bundles, {}), VERDICT, everywhere=True)
    if not verdict or not fits(verdict, TEXT):
        says = f"the output of '{verifier.name}' lacks a text field '{VERDICT}', where a verifier judges"
        yield Problem(address, "gate.verifier", says)


def _bad_write(
    node: Agent | Lead, name: str, source: str, flow: Flow, bundles: Mapping[str, Bundle]
) -> str | None:
    field = flow.state.get(name)
    if field is None:
        declared = f"it declares {', '.join(flow.state)}" if flow.state else "the flow declares none"
        return f"the state has no such field{nearest(name, flow.state)}; {declared}"
    if field.writers is not None and label(node) not in field.writers:
        allowed = ", ".join(field.writers) or "nobody"
        return f"'{label(node)}' is not among its writers ({allowed}); add it there"
    if node.agent not in bundles:
        return None
    gives = outputs(node, bundles, flow.state)
    there = found(gives, source, everywhere=True)
    if not there and bundles[node.agent].output is None:
        return f"'{node.agent}' answers in Markdown, so only its 'text' can be written, and not '{source}'"
    if not there:
        known = names(gives)
        hint = nearest(source, known)
        return f"the output of '{node.agent}' has no field '{source}'{hint}; it has {', '.join(known)}"
    if not fits(there, frozenset({field.kind})):
        return (
            f"'{source}' is {in_words(there)}, and the state's field is {in_words([frozenset({field.kind})])}"
        )
    return None


def _handoff(node: Handoff, address: str, flow: Flow, bundles: Mapping[str, Bundle]) -> Iterator[Problem]:
    members = {label(member): member for member in children(node).values()}
    if node.start is not None and node.start not in members:
        hint = nearest(node.start, members)
        says = f"there is no member '{node.start}'{hint}; there are {', '.join(members)}"
        yield Problem(address, "start", says)
    shapes = [shape for member in members.values() for shape in outputs(member, bundles, flow.state)]
    handing = [found((shape,), NEXT, everywhere=True) for shape in shapes]
    if not any(there and fits(there, TEXT) for there in handing):
        says = f"no member's output has a text field '{NEXT}', so the first one would be the last"
        yield Problem(address, "members", says)


def _blackboard(node: Blackboard, address: str, flow: Flow) -> Iterator[Problem]:
    if not flow.state:
        yield Problem(address, "", "a blackboard is the flow's state, and the flow declares none; add state")
        return
    read = [(f"seats.{number}.reads", name) for number, seat in enumerate(node.seats) for name in seat.reads]
    for field, name in [*read, *(("goal", name) for name in node.goal)]:
        if name not in flow.state:
            known = ", ".join(flow.state)
            says = f"the state has no field '{name}'{nearest(name, flow.state)}; it declares {known}"
            yield Problem(address, field, says)


def _depths(node: AnyNode, address: str = "", above: int = 0) -> Iterator[tuple[str, int]]:
    """Give each supervisor or team with how many there are from the root down to it."""
    depth = above + isinstance(node, Supervisor | Team)
    if depth > above:
        yield address, depth
    for place, child in children(node).items():
        yield from _depths(child, _below(address, place), depth)


def _below(address: str, place: str) -> str:
    return f"{address}/{place}" if address else place
