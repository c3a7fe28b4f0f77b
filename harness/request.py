"""What a person asks for, checked whole before anything is created."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TypedDict

from harness.bundles.bundle import Bundle
from harness.bundles.lint import lint
from harness.context import UpstreamKind
from harness.corpus.collect import SourceFile, collect
from harness.errors import BadBundle, BadInput
from harness.flow import AnyNode, Flow, bundles_of, routed
from harness.flow.read import find_flow
from harness.offline.rules.families import UNKNOWN, family_of
from harness.permit import Plea, models_of
from harness.pricing import Price, check_priced
from harness.records import MAX_REQUEST_BYTES, Limits
from harness.sections import MOST_TAGS, checked_tag
from harness.settings import Settings
from harness.wiring import wire

Source = str | PathLike[str]

MAX_QUESTION_BYTES = MAX_REQUEST_BYTES - 2_000_000
"""Of a question, as JSON: what goes with it (prompt, tools, the CLI's own words) is given two megabytes."""

NO_WIRE = (
    "What is called with a Claude login does not pass the gateway, so it cannot be recorded; "
    "leave --record or --direct out."
)


class Budget(TypedDict, total=False):
    """What a session may use in all: US dollars, and tokens, cached ones included."""

    budget_usd: float | None
    budget_tokens: int | None


class Bounds(Budget, total=False):
    """What bounds the work of a session: its budget, and how many agents are at work at the same time."""

    max_concurrent: int | None


class Options(Bounds, total=False):
    """What may be said with a question; see `check`."""

    sources: Sequence[Source]
    flow: str | Flow | AnyNode
    upstream: UpstreamKind
    model: str | None
    record: bool | None
    tags: Sequence[str]


@dataclass(frozen=True)
class Request:
    """A question in which everything is known to be usable.

    `flow` is wired, `given` as it was asked for; `asked` are the limits named with it.
    """

    question: str
    flow: Flow
    given: Flow
    upstream: UpstreamKind
    files: tuple[SourceFile, ...]
    model: str | None
    max_concurrent: int
    models: tuple[str, ...]
    asked: Limits
    limits: Limits
    prices: Mapping[str, Price]
    record: bool
    tags: tuple[str, ...]

    @property
    def plea(self) -> Plea:
        """What it wants to use of its tenant's."""
        return Plea(self.flow.name, self.upstream, self.models, self.asked, self.limits, self.prices)


def check(
    settings: Settings,
    bundles: Mapping[str, Bundle],
    question: str,
    *,
    sources: Sequence[Source] = (),
    flow: str | Flow | AnyNode = "research",
    upstream: UpstreamKind = "live",
    model: str | None = None,
    max_concurrent: int | None = None,
    budget_usd: float | None = None,
    budget_tokens: int | None = None,
    record: bool | None = None,
    tags: Sequence[str] = (),
    project: Path | None = None,
    key_needed: bool = True,
) -> Request:
    """Check what a person asks for; `sources` are files or folders.

    `flow` is a flow, or its name, or its file. Names are looked for in the folder `project` first. `record`
    keeps the wire of each model call for a replay; None leaves it to the settings. The key is not needed
    where only another process will call the model. `tags` are those of its traces, beside the settings'.

    Raises:
        BadInput: naming what cannot be used and what to do about it.
    """
    text = question_text(question)
    asked = named(budget_usd, budget_tokens)
    given = _flow(flow, project)
    chosen = wire(given, bundles)
    used = {name: bundles[name] for name in bundles_of(chosen.flow)}
    for finding in lint(used, servers=settings.mcp_servers):
        if finding.level == "error":
            raise BadBundle(f"The bundle '{finding.bundle}': {finding.message}")
    if upstream == "live" and key_needed and settings.upstream.api_key is None:
        raise BadInput(
            "There is no key for the model service; set ANTHROPIC_API_KEY, or use --offline (no model) "
            "or --direct (your Claude login)."
        )
    if record and upstream == "direct":
        raise BadInput(NO_WIRE)
    if routed(chosen.flow) and upstream == "direct":
        raise BadInput(
            "The decisions of a supervisor go through the gateway; leave --direct out, "
            "or choose a flow without supervisors and teams."
        )
    own = list(dict.fromkeys([*settings.tracing.tags, *_checked_tags(tags)]))
    models = models_of(chosen.flow, bundles, settings, model)
    if upstream == "live":
        _check_fallback(models, settings.models.fallback)
    limits = asked.over(
        Limits(max_cost_usd=settings.limits.max_cost_usd, max_tokens=settings.limits.max_tokens)
    )
    if budget_usd is not None and upstream != "offline":
        check_priced(models, settings.price_table)
    if upstream == "live" and _in_dollars(limits, *(bundle.limits for bundle in used.values())):
        check_priced(models, settings.price_table)
    return Request(
        question=text,
        flow=chosen,
        given=given,
        upstream=upstream,
        files=tuple(collect(list(sources))) if sources else (),
        model=model,
        max_concurrent=max_concurrent or settings.limits.max_concurrent,
        models=models,
        asked=asked,
        limits=limits,
        prices=settings.price_table,
        record=upstream != "direct" and (settings.record if record is None else record),
        tags=tuple(own),
    )


def _checked_tags(tags: Sequence[str]) -> Iterator[str]:
    if isinstance(tags, str) or len(tags) > MOST_TAGS:
        raise BadInput(f"Tags should be a list of at most {MOST_TAGS} texts.")
    for tag in tags:
        try:
            yield checked_tag(tag)
        except ValueError as problem:
            raise BadInput(f"The tag '{tag}' {problem}.") from problem


def _in_dollars(*limits: Limits) -> bool:
    return any(each.max_cost_usd is not None for each in limits)


def _check_fallback(models: Iterable[str], fallback: str | None) -> None:
    for model in models if fallback else ():
        known = family_of(model)
        if fallback and known is not UNKNOWN and not family_of(fallback).takes_requests_for(known):
            raise BadInput(
                f"The fallback '{fallback}' is of an older kind than '{model}' and refuses the requests that "
                f"are made for it; name a newer one in harness.toml, under [models]."
            )


def _flow(flow: str | Flow | AnyNode, project: Path | None) -> Flow:
    if isinstance(flow, str):
        return find_flow(flow, project)
    return flow if isinstance(flow, Flow) else Flow(name=flow.name or flow.pattern, flow=flow)


def named(budget_usd: float | None, budget_tokens: int | None) -> Limits:
    """The limits of a session that a person names.

    Raises:
        BadInput: there is nothing left with one of them.
    """
    if budget_usd is not None and budget_usd <= 0:
        raise BadInput("The budget must be more than zero US dollars; leave it out for the settings' one.")
    if budget_tokens is not None and budget_tokens <= 0:
        raise BadInput("The budget must be more than zero tokens; leave it out for the settings' one.")
    return Limits(max_cost_usd=budget_usd, max_tokens=budget_tokens)


def question_text(question: str) -> str:
    """The question without the white space around it.

    Raises:
        BadInput: there is nothing else, or more than a request to a model may hold.
    """
    text = question.strip()
    if not text:
        raise BadInput("The question is empty; say what you want to know.")
    size = len(json.dumps(text, ensure_ascii=False).encode(errors="replace"))
    if size > MAX_QUESTION_BYTES:
        raise BadInput(
            f"The question has {size:,} bytes, and a request to a model holds {MAX_REQUEST_BYTES:,} with all "
            "that goes with it; ask a shorter one, and give long texts with --sources."
        )
    return text
