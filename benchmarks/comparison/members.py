"""When more agents pay: the same questions through one agent, a lead with researchers, and a crew.

All are the harness's own: its built-in bundles, prompts and tools, on the same documents. Tokens and prices
are those of a prompt cache (`caching`). The model is scripted: how good the answers are is not measured.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

from benchmarks.comparison.caching import PromptCache, dollars, prompt_tokens
from benchmarks.comparison.figures import Finding, Part, Series
from benchmarks.comparison.library import FOLDER, PAGE_BYTES, facts_of, make_library
from benchmarks.comparison.running import Desk, Ended, office
from benchmarks.comparison.systems import System, configurations
from benchmarks.comparison.work import Given, Work
from harness.sections import Models
from tests.kit.script import NO_TOKENS

SUBJECTS = (1, 3, 6, 12)
PAGES = 3
REPEATS = 5
PACE = {"first_token_s": 1.5, "tokens_a_second": 60.0}
MODELS = Models()
"""The models that the harness gives each role when nothing is set."""

SCRIPT = "benchmarks.comparison.played_members:plays"

TOKENS, LONGEST, SECONDS = "tokens", "longest prompt", "wall time"
DOLLARS, FORBEARING = "cost at list prices", "cost, cache found from anywhere"
UNITS = {TOKENS: "tokens", LONGEST: "tokens", DOLLARS: "USD", FORBEARING: "USD", SECONDS: "s"}


def _system(name: str, configuration: str, flow: str) -> System:
    def start(given: Given) -> list[str]:
        question = f"What is stated on {', '.join(given.work.names)}?"
        return ["-m", "harness", "run", question, "--flow", flow, "--sources", FOLDER, "--json"]

    return System(name, configuration, start, None, prepare=make_library)


LEAD = _system("lead", "flow `research`: a researcher for each subject, all at once", "research")
ONE = _system("one agent", "flow `single`: it opens one page after another", "single")
AT_ONCE = _system(
    "one agent, pages at once", "flow `single`: it opens a page of every subject in each turn", "single"
)
CREW = _system(
    "crew of five", "a supervisor with four researchers, who share the subjects, and a writer", "crew.yaml"
)
SYSTEMS = (LEAD, ONE, AT_ONCE, CREW)


def measure(short: bool, seed: int, dsn: str) -> Finding:
    """Ask questions of several sizes; nothing is left to chance."""
    samples: dict[tuple[str, str, int], list[float]] = {}
    pace = {} if short else PACE
    for subjects in (1, 3) if short else SUBJECTS:
        work = Work(subjects=subjects, steps=PAGES)
        for _ in range(1 if short else REPEATS):
            for system, figures in _round(work, dsn, pace):
                for figure, value in figures.items():
                    samples.setdefault((figure, system, subjects), []).append(value)
    series = tuple(
        Series(system=system, figure=figure, unit=UNITS[figure], samples=tuple(taken), at=at)
        for figure in UNITS
        for system in (each.name for each in SYSTEMS)
        for at in SUBJECTS
        if (taken := samples.get((figure, system, at)))
    )
    return Finding(
        part="members",
        title="When more agents pay",
        about=(
            f"Each subject has {PAGES} pages of {PAGE_BYTES / 1000:.0f} kB, which the built-in agents search "
            f"for and read. {_pace_told(pace)} The four work side by side in each round."
        ),
        systems=tuple(system.name for system in SYSTEMS),
        series=series,
        axis="subjects",
        configurations=configurations(SYSTEMS),
        notes=(
            *crossings(series),
            "Tokens are bytes / 4, those read from the cache included. Dollars are list prices, with a "
            "prompt cache as the documentation describes it.",
            f"The lead is {MODELS.lead}, researchers and the one agent are {MODELS.research}, the writer is "
            f"{MODELS.writing}, the router {MODELS.routing}.",
            "A mark for the cache finds only what ends at most 20 blocks before it, so that a turn with more "
            "calls and results is paid for anew; the second cost is that without this rule. No real service "
            "was asked. A prefix of less than 1,024 tokens is not cached, for any of the models.",
            "The model is scripted and finds everything it reads: how good the answers are is not measured.",
        ),
    )


def _pace_told(pace: Mapping[str, float]) -> str:
    if not pace:
        return "The model answers at once."
    first, speed = pace["first_token_s"], pace["tokens_a_second"]
    return f"The model takes {first:g} s to its first token and writes {speed:g} tokens a second."


def crossings(series: Sequence[Series]) -> Iterator[str]:
    """Say for each figure from how many subjects on the first system has less of it than each other one."""
    medians = {(each.figure, each.system, float(each.at)): each.median for each in series}
    first = series[0].system
    for figure in dict.fromkeys(each.figure for each in series):
        for other in dict.fromkeys(each.system for each in series if each.system != first):
            where = sorted(at for named, system, at in medians if (named, system) == (figure, other))
            lead = {at: medians[figure, first, at] - medians[figure, other, at] for at in where}
            yield f"{figure}, {first} against {other}: {_crossing(lead)}."


def _crossing(ahead: Mapping[float, float]) -> str:
    """Where a difference changes its sign, on straight lines between what was measured."""
    signs = [value < 0 for value in ahead.values()]
    if all(signs):
        return "less at every size"
    if not any(signs):
        return "more at every size"
    return ", ".join(
        f"{'less' if after < 0 else 'more'} from {at + (to - at) * before / (before - after):.1f} subjects on"
        for (at, before), (to, after) in pairwise(ahead.items())
        if (before < 0) != (after < 0)
    )


def _round(work: Work, dsn: str, pace: Mapping[str, float]) -> Iterator[tuple[str, dict[str, float]]]:
    """Let all of them do the same work side by side."""
    with ThreadPoolExecutor(len(SYSTEMS)) as pool:
        asked = [(system.name, pool.submit(_one, system, work, dsn, pace)) for system in SYSTEMS]
        for name, figures in asked:
            yield name, figures.result()


def _one(system: System, work: Work, dsn: str, pace: Mapping[str, float]) -> dict[str, float]:
    told: dict[str, Any] = {
        "subjects": work.subjects,
        "steps": work.steps,
        "at_once": system is AT_ONCE,
        **pace,
    }
    with office(system, dsn, told, script=SCRIPT) as opened, opened.desk(work) as at:
        ended = at.start().wait()
        if missing := _missing(at, ended):
            raise RuntimeError(f"{system.name} with {work.subjects} subjects missed {missing}.\n{ended.said}")
        calls = at.calls()
    used = [(call.request.model, call.usage or NO_TOKENS) for call in calls]
    forbearing = PromptCache(pace.get("first_token_s", 0.0), look_back=sys.maxsize)
    kept = [
        (model, forbearing.usage(call.request.body, call.received_at, tokens.output_tokens))
        for call, (model, tokens) in zip(calls, used, strict=True)
    ]
    prompts = [prompt_tokens(tokens) for _, tokens in used]
    return {
        TOKENS: float(sum(prompts) + sum(tokens.output_tokens for _, tokens in used)),
        LONGEST: float(max(prompts)),
        DOLLARS: sum(dollars(model, tokens) for model, tokens in used),
        FORBEARING: sum(dollars(model, tokens) for model, tokens in kept),
        SECONDS: ended.wall_s,
    }


def _missing(at: Desk, ended: Ended) -> str:
    """What its report does not state, or its exit code if that is not 0."""
    if ended.code != 0:
        return f"its end (exit code {ended.code})"
    return ", ".join(sorted(fact for fact in facts_of(at.work) if fact not in (ended.report or "")))


PART = Part("members", measure)
