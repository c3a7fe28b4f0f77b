"""What the same work costs in tokens, what an agent run is told beside its task, what is cached.

Prompts are compared byte for byte in the order in which the API caches them (`prompt`), and priced with a
model of its cache (`caching`). A conversation is that of the lead or of one researcher.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from benchmarks.comparison.caching import PromptCache, dollars, prompt_tokens
from benchmarks.comparison.figures import Finding, Part, Series
from benchmarks.comparison.played import subject_of
from benchmarks.comparison.prompt import blocks_of, common, fixed_blocks, joined, prompt_of
from benchmarks.comparison.running import desk
from benchmarks.comparison.systems import SYSTEMS, System, configurations
from benchmarks.comparison.work import RESEARCHER, Work
from tests.kit.calls import Call
from tests.kit.script import Tokens

REPEATS = 5
CALL_S = 0.4
"""How long the model takes for an answer; what its request has written to the cache can be read after it."""

UNITS = {
    "input tokens": "tokens",
    "cost at list prices": "USD",
    "input read from cache": "share",
    "lead: tools and system prompt": "bytes",
    "researcher: tools and system prompt": "bytes",
    "researcher: first prompt": "bytes",
    "kept by the next prompt": "share",
    "known from an earlier prompt": "share",
    "shared by two researchers": "bytes",
}

LEAD = "lead"

Bodies = Sequence[Mapping[str, Any]]


def measure(short: bool, seed: int, dsn: str) -> Finding:
    """Do the work and count; nothing is left to chance."""
    work = Work(subjects=2, steps=2) if short else Work()
    series: list[Series] = []
    partings: list[str] = []
    for system in SYSTEMS:
        runs = [_run(system, work, dsn) for _ in range(1 if short else REPEATS)]
        counted = [figures_of(calls) for calls in runs]
        series += [
            Series(
                system=system.name, figure=figure, unit=unit, samples=tuple(each[figure] for each in counted)
            )
            for figure, unit in UNITS.items()
        ]
        partings.append(
            f"{system.name}: two researchers' first prompts part {parting(*first_prompts(runs[0])[:2])}."
        )
        two = [first_prompts(run)[0] for run in runs[:2]]
        if len(two) == 2:
            partings.append(f"{system.name}: those of two sessions with the same task part {parting(*two)}.")
    return Finding(
        part="task_cost",
        title="What a task costs in tokens",
        about=(
            f"A lead with {work.subjects} researchers of {work.steps} steps each, in the same words. Kept is "
            "how much of a prompt begins the next one of its conversation, too; known, how much of a prompt "
            "begins an earlier one; shared, with how many bytes the first prompts of two researchers begin."
        ),
        systems=tuple(system.name for system in SYSTEMS),
        series=tuple(sorted(series, key=lambda each: list(UNITS).index(each.figure))),
        configurations=configurations(SYSTEMS),
        notes=(
            *partings,
            "Tokens are bytes / 4. Marks for the cache are left out of what is compared, as the API leaves "
            "them out of what it hashes; a prefix of less than 1,024 tokens is not cached, and with some "
            "models one of less than 4,096.",
        ),
    )


def figures_of(calls: Sequence[Call]) -> dict[str, float]:
    """What one run comes to, in the units of `UNITS`."""
    talks, first = conversations(calls), first_prompts(calls)
    used = list(_used(calls))
    prompts = sum(prompt_tokens(tokens) for _, tokens in used)
    return {
        "input tokens": float(prompts),
        "cost at list prices": sum(dollars(model, tokens) for model, tokens in used),
        "input read from cache": sum(tokens.cache_read_input_tokens for _, tokens in used) / prompts,
        "lead: tools and system prompt": float(len(joined(fixed_blocks(talks[LEAD][0])))),
        "researcher: tools and system prompt": float(len(joined(fixed_blocks(first[0])))),
        "researcher: first prompt": float(len(prompt_of(first[0]))),
        "kept by the next prompt": kept(talks.values()),
        "known from an earlier prompt": repeated(talks.values()),
        "shared by two researchers": float(min(common(*map(prompt_of, two)) for two in pairwise(first))),
    }


def conversations(calls: Sequence[Call]) -> dict[str, list[Mapping[str, Any]]]:
    """The requests of the lead, and of each researcher under its subject, in their order."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for call in calls:
        who = subject_of(call.request) if RESEARCHER in call.request.system_text else LEAD
        found.setdefault(who, []).append(call.request.body)
    return found


def first_prompts(calls: Sequence[Call]) -> list[Mapping[str, Any]]:
    """The first request of each researcher, in the order of their subjects."""
    return [bodies[0] for who, bodies in sorted(conversations(calls).items()) if who != LEAD]


def kept(talks: Iterable[Bodies]) -> float:
    """The share of all prompts but the last of each conversation with which the next one begins, too."""
    pairs = [
        (prompt_of(one), prompt_of(following)) for bodies in talks for one, following in pairwise(bodies)
    ]
    whole = sum(len(one) for one, _ in pairs)
    return sum(common(*pair) for pair in pairs) / whole if whole else 0.0


def repeated(talks: Iterable[Bodies]) -> float:
    """The share of all prompts but the first of each conversation that begins an earlier one of it, too."""
    same = whole = 0
    for bodies in talks:
        prompts = [prompt_of(body) for body in bodies]
        for number, prompt in enumerate(prompts[1:], 1):
            same += max(common(prompt, earlier) for earlier in prompts[:number])
            whole += len(prompt)
    return same / whole if whole else 0.0


def parting(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Say where two prompts part: in which block, after how many of its bytes."""
    before = 0
    for number, (mine, its) in enumerate(zip(blocks_of(one), blocks_of(other), strict=False), 1):
        if mine.raw != its.raw:
            role = mine.raw[2:].partition(b'"')[0].decode()
            within = common(mine.raw, its.raw)
            return f"after {before + within:,} bytes, in block {number} ({role}), {within:,} bytes into it"
        before += len(mine.raw)
    return f"nowhere in {before:,} bytes"


def _run(system: System, work: Work, dsn: str) -> list[Call]:
    """The model calls of one run."""
    with desk(system, work, dsn, first_token_s=CALL_S) as at:
        at.undisturbed()
        return at.calls()


def _used(calls: Sequence[Call]) -> Iterator[tuple[str, Tokens]]:
    """The model of each call, and what it used as the cache has it."""
    cache = PromptCache(CALL_S)
    for call in calls:
        written = call.usage.output_tokens if call.usage else 0
        yield call.request.model, cache.usage(call.request.body, call.received_at, written)


PART = Part("task_cost", measure)
