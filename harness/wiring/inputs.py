"""Where an agent's input comes from: what a node says in `take` is checked, and the rest is found by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.flow import Agent, AnyNode, Lead, StateField
from harness.wiring.shapes import (
    ANY,
    TEXT,
    Alternatives,
    Fields,
    Kinds,
    Wanted,
    fits,
    found,
    in_words,
    names,
)
from harness.wording import nearest

QUESTION = "question"
SOURCES = (QUESTION, "input", "previous", "state")
"""What a reference may begin with, besides the label of an earlier stage."""

_ASKED = (QUESTION, "objective")
"""Fields that the person's question can fill."""

_OFFERED = 4
"""How many sources a sentence proposes."""

Report = Callable[[str, str], None]
"""Hears of a problem: the field, and what is wrong with it."""


@dataclass(frozen=True)
class Sources:
    """What can be taken from at one place of a flow: the shapes of each source.

    `reads` are the fields of the state that a seat at a blackboard reads: they, too, are found by name.
    """

    previous: Alternatives
    input: Alternatives
    state: Mapping[str, StateField]
    stages: Mapping[str, Alternatives] = field(default_factory=dict)
    reads: tuple[str, ...] = ()

    def shapes(self, source: str) -> Alternatives | None:
        """The shapes of a source that has fields; None when there is no such source."""
        match source:
            case "previous":
                return self.previous
            case "input":
                return self.input
            case "state":
                return ({name: frozenset({each.kind}) for name, each in self.state.items()},)
            case _:
                return self.stages.get(source)

    def look_up(self, reference: str, *, everywhere: bool) -> list[Kinds] | str:
        """Give the kinds of what a reference leads to, or say why it leads nowhere."""
        if reference == QUESTION:
            return [TEXT]
        source, _, name = reference.partition(".")
        shapes = self.shapes(source)
        if source == QUESTION:
            return f"'{reference}': the question is a text without fields; write '{QUESTION}'"
        if shapes is None:
            hint = nearest(source, (*SOURCES, *self.stages))
            fields = ", ".join(f"{each}.FIELD" for each in (*SOURCES[1:], *self.stages))
            return f"'{reference}' names no source{hint}; write one of {QUESTION}, {fields}"
        if not name:
            return f"'{reference}' should name a field, like '{source}.FIELD'"
        there = found(shapes, name, everywhere=everywhere)
        if there:
            return there
        known = names(shapes)
        if name in known:
            return f"only some of what may come has '{reference}', and the field is required"
        has = f"it has {', '.join(known)}" if known else "it has no fields"
        what = "the state" if source == "state" else f"'{source}'"
        return f"{what} has no field '{name}'{nearest(name, known)}; {has}"

    def candidates(self, kinds: Kinds) -> list[str]:
        """The references that could fill a field of these kinds, the closest first."""
        return [
            f"{source}.{name}"
            for source in ("previous", *tuple(self.stages)[-2::-1], "input", "state")
            if (shapes := self.shapes(source))
            for name in names(shapes)
            if (there := found(shapes, name, everywhere=True)) and fits(there, kinds)
        ]


def take_of(
    node: Agent | Lead, wanted: Mapping[str, Wanted], sources: Sources, report: Report
) -> dict[str, str]:
    """Give where each field of an agent's input comes from; nothing when what comes is what it takes."""
    take = {name: _explicit(node, name, wanted, sources, report) for name in node.take}
    for name, want in wanted.items():
        if name in take:
            continue
        if reference := _by_name(name, want, sources):
            take[name] = reference
        elif want.required:
            report(f"take.{name}", _missing(node, name, want, sources))
    if wanted and not take and not any(want.required for want in wanted.values()):
        report("take", f"'{node.agent}' takes nothing of what comes; say what it takes")
    passes_on = take == {name: f"previous.{name}" for name in names(sources.previous)}
    return {} if passes_on and None not in sources.previous else take


def given_by(node: AnyNode, sources: Sources, report: Report) -> Alternatives:
    """What a pattern is given: what comes, or what it says that it takes."""
    if not node.take:
        return sources.previous
    taken: dict[str, Kinds] = {}
    for name, reference in node.take.items():
        there = sources.look_up(reference, everywhere=True)
        if isinstance(there, str):
            report(f"take.{name}", there)
        taken[name] = ANY if isinstance(there, str) else there[0].union(*there)
    fields: Fields = taken
    return (fields,)


def _explicit(
    node: Agent | Lead, name: str, wanted: Mapping[str, Wanted], sources: Sources, report: Report
) -> str:
    reference = node.take[name]
    want = wanted.get(name)
    if want is None and wanted:
        known = f"it takes {', '.join(wanted)}"
        report(f"take.{name}", f"'{node.agent}' takes no such field{nearest(name, wanted)}; {known}")
    there = sources.look_up(reference, everywhere=want is not None and want.required)
    if isinstance(there, str):
        report(f"take.{name}", there)
    elif want is not None and not fits(there, want.kinds):
        gives, takes = in_words(there), in_words([want.kinds])
        report(f"take.{name}", f"'{reference}' is {gives}, and '{node.agent}' takes {takes}")
    return reference


def _by_name(name: str, want: Wanted, sources: Sources) -> str | None:
    references = [f"previous.{name}", f"input.{name}"]
    references += [f"state.{name}"] if name in sources.reads else []
    references += [QUESTION] if name in _ASKED else []
    for reference in references:
        there = sources.look_up(reference, everywhere=want.required)
        if not isinstance(there, str) and fits(there, want.kinds):
            return reference
    return None


def _missing(node: Agent | Lead, name: str, want: Wanted, sources: Sources) -> str:
    says = f"'{node.agent}' requires {in_words([want.kinds])} here, and nothing that comes has its name"
    there = found(sources.previous, name, everywhere=True)
    if there and not fits(there, want.kinds):
        says = f"'{node.agent}' requires {in_words([want.kinds])} here, and what comes is {in_words(there)}"
    elif name in names(sources.previous):
        says = f"'{node.agent}' requires it, and only some of what may come has it"
    candidates = sources.candidates(want.kinds)
    if QUESTION not in candidates and "text" in want.kinds:
        candidates.insert(0, QUESTION)
    if not candidates:
        return f"{says}; give it from a stage before that has it"
    return f"{says}; say what it takes, for instance {' or '.join(candidates[:_OFFERED])}"
