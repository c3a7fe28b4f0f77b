"""One span as Langfuse's table of observations shows it.

Source, for all of it where no other is named, the ingestion of spans in Langfuse 4.16.0:
https://github.com/langfuse/langfuse/blob/62751446149b702b419a9292ddfc2280cdf74b8c/packages/shared/src/server/otel/OtelIngestionProcessor.ts
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.kit.langfuse.prices import prices_of, tokens_of
from tests.kit.seen import Seen

OWN = "langfuse.observation"
METADATA = f"{OWN}.metadata."

_ERROR = 2

_OWN_TYPES = frozenset(
    {
        "agent",
        "chain",
        "embedding",
        "evaluator",
        "event",
        "generation",
        "guardrail",
        "retriever",
        "span",
        "tool",
    }
)
_OPENINFERENCE = {
    "CHAIN": "CHAIN",
    "RETRIEVER": "RETRIEVER",
    "LLM": "GENERATION",
    "EMBEDDING": "EMBEDDING",
    "AGENT": "AGENT",
    "TOOL": "TOOL",
    "GUARDRAIL": "GUARDRAIL",
    "EVALUATOR": "EVALUATOR",
}
_OPERATIONS = {
    "chat": "GENERATION",
    "text_completion": "GENERATION",
    "generate_content": "GENERATION",
    "embeddings": "EMBEDDING",
    "invoke_agent": "AGENT",
    "create_agent": "AGENT",
    "execute_tool": "TOOL",
}
_SUMS = ("invoke_agent", "agent_step")
"""Operations that repeat what the calls below them say: model, usage and cost are not read there."""

_MODELS = (
    f"{OWN}.model.name",
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.response.model",
    "llm.model_name",
    "model",
)

_CONTENT = (
    (f"{OWN}.input", f"{OWN}.output"),
    ("input.value", "output.value"),
    ("input", "output"),
)
"""Where the content is looked for, the first pair of which one is there wins; then come `_PROMPTS`."""

_PROMPTS = ("gen_ai.prompt", "gen_ai.completion")
"""All attributes that begin so are content, where no pair before was there: also a prompt's name."""

_LATER = (
    ("gen_ai.input.messages", "gen_ai.output.messages"),
    ("gen_ai.tool.call.arguments", "gen_ai.tool.call.result"),
)


@dataclass(frozen=True)
class Observation:
    """A row. Times are nanoseconds, costs US dollars; `None` where Langfuse shows nothing.

    `metadata` has the names by which one filters. `invented` tells that Langfuse has counted the tokens and
    set the cost itself, because the span says neither.
    """

    id: str
    trace_id: str
    parent_id: str
    type: str
    name: str
    level: str
    status_message: str | None
    start_ns: int
    end_ns: int
    completion_start_ns: int | None
    input: str | None
    output: str | None
    metadata: Mapping[str, str]
    model: str | None
    model_parameters: Mapping[str, Any]
    usage: Mapping[str, int]
    costs: Mapping[str, float]
    invented: bool
    prompt: tuple[str, int] | None
    version: str | None
    release: str | None
    environment: str
    trace_name: str | None
    user_id: str | None
    session_id: str | None
    tags: tuple[str, ...]

    @property
    def is_root(self) -> bool:
        """Whether the filter "Is Root Observation" lets it through.

        Source: https://github.com/langfuse/langfuse/blob/62751446149b702b419a9292ddfc2280cdf74b8c/packages/shared/src/eventsTable.ts
        """
        return not self.parent_id

    @property
    def latency_s(self) -> float:
        """From start to end."""
        return (self.end_ns - self.start_ns) / 1e9

    @property
    def cost_usd(self) -> float | None:
        """What stands in the column of total cost."""
        return self.costs.get("total")


def observe(span: Seen) -> Observation:
    """Show a span as Langfuse does."""
    about = span.attributes
    type_ = type_of(about)
    given, made = content_of(about)
    usage, costs, invented = _spent(span, given, made)
    return Observation(
        id=span.span_id,
        trace_id=span.trace_id,
        parent_id=span.parent_id,
        type=type_,
        # A tool's row has the name of its tool, whatever the span is called.
        name=str(about.get("gen_ai.tool.name") or span.name),
        level=about.get(f"{OWN}.level") or ("ERROR" if span.status == _ERROR else "DEFAULT"),
        status_message=about.get(f"{OWN}.status_message") or span.message or None,
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        completion_start_ns=_moment(about.get(f"{OWN}.completion_start_time")),
        input=given,
        output=made,
        metadata=_metadata(span),
        model=model_of(about),
        model_parameters=_parameters(about),
        usage=usage,
        costs=costs,
        invented=invented,
        prompt=_prompt(about) if type_ == "GENERATION" else None,
        version=about.get("langfuse.version") or span.resource.get("service.version"),
        release=about.get("langfuse.release"),
        environment=about.get("langfuse.environment") or about.get("deployment.environment.name", "default"),
        trace_name=about.get("langfuse.trace.name"),
        user_id=about.get("langfuse.user.id") or about.get("user.id"),
        session_id=about.get("langfuse.session.id") or about.get("session.id"),
        tags=tuple(about.get("langfuse.trace.tags") or ()),
    )


def type_of(about: Mapping[str, Any]) -> str:
    """Give an observation's type.

    Source: https://github.com/langfuse/langfuse/blob/62751446149b702b419a9292ddfc2280cdf74b8c/packages/shared/src/server/otel/ObservationTypeMapper.ts
    """
    if (own := about.get(f"{OWN}.type")) in _OWN_TYPES:
        return str(own).upper()
    if (kind := about.get("openinference.span.kind")) in _OPENINFERENCE:
        return _OPENINFERENCE[str(kind)]
    if (operation := about.get("gen_ai.operation.name")) in _OPERATIONS:
        return _OPERATIONS[str(operation)]
    if about.get("gen_ai.tool.name") or about.get("gen_ai.tool.call.id"):
        return "TOOL"
    return "GENERATION" if model_of(about) else "SPAN"


def model_of(about: Mapping[str, Any]) -> str | None:
    """Give the model's name, also of a span that is no generation."""
    if about.get("gen_ai.operation.name") in _SUMS:
        return None
    return next((str(about[name]) for name in _MODELS if about.get(name)), None)


def content_of(about: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Give input and output as texts."""
    for given, made in _CONTENT:
        if about.get(given) is not None or about.get(made) is not None:
            return about.get(given), about.get(made)
    prompts = [
        {name.removeprefix(f"{prefix}."): value for name, value in about.items() if name.startswith(prefix)}
        for prefix in _PROMPTS
    ]
    if any(prompts):
        given_, made_ = (json.dumps(found) for found in prompts)
        return given_, made_
    for given, made in _LATER:
        if about.get(given) or about.get(made):
            return about.get(given), about.get(made)
    return None, None


def _spent(span: Seen, given: str | None, made: str | None) -> tuple[dict[str, int], dict[str, float], bool]:
    """Usage and costs; whoever says neither gets both by Langfuse's own count, if it knows the model.

    Source: https://github.com/langfuse/langfuse/blob/62751446149b702b419a9292ddfc2280cdf74b8c/worker/src/services/IngestionService/index.ts
    """
    about = span.attributes
    if about.get("gen_ai.operation.name") in _SUMS:
        return {}, {}, False
    usage, costs = _usage(about), _costs(about)
    prices = prices_of(model_of(about) or "")
    counted = bool(prices) and not usage and not costs
    if counted:
        usage = {"input": tokens_of(given), "output": tokens_of(made)}
        usage["total"] = sum(usage.values())
    if usage and "total" not in usage:
        usage["total"] = sum(usage.values())
    if costs:
        if "total" not in costs and costs.keys() <= {"input", "output"}:
            costs["total"] = sum(costs.values())
    elif priced := {name: prices[name] * count for name, count in usage.items() if name in prices}:
        costs = priced | {"total": sum(priced.values())}
    return usage, costs, counted and bool(costs.get("total"))


def _usage(about: Mapping[str, Any]) -> dict[str, int]:
    if (own := about.get(f"{OWN}.usage_details")) is not None:
        return {name: int(count) for name, count in json.loads(own).items()}
    prefix = "gen_ai.usage."
    told = {name.removeprefix(prefix): value for name, value in about.items() if name.startswith(prefix)}
    if not told:
        return {}
    read, written = (int(told.get(f"cache_{kind}.input_tokens", 0)) for kind in ("read", "creation"))
    return {
        "input": max(0, int(told.get("input_tokens", 0)) - read - written),
        "input_cached_tokens": read,
        "input_cache_creation": written,
        "output": int(told.get("output_tokens", 0)),
    }


def _costs(about: Mapping[str, Any]) -> dict[str, float]:
    if (own := about.get(f"{OWN}.cost_details")) is not None:
        return {name: float(cost) for name, cost in json.loads(own).items() if cost is not None}
    total = about.get("gen_ai.usage.cost", about.get("llm.cost.total"))
    return {} if total in (None, "") else {"total": float(str(total))}


def _metadata(span: Seen) -> dict[str, str]:
    """Metadata by the paths that it is filtered by. What is one JSON text has one path only.

    Source: `flattenJsonToPathArrays` in
    https://github.com/langfuse/langfuse/blob/62751446149b702b419a9292ddfc2280cdf74b8c/packages/shared/src/server/otel/utils.ts
    """
    about = span.attributes
    own = {name.removeprefix(METADATA): value for name, value in about.items() if name.startswith(METADATA)}
    content = {name for pair in (*_CONTENT, *_LATER) for name in pair}
    rest = {
        f"attributes.{name}": value
        for name, value in about.items()
        if name not in content and not name.startswith((f"{OWN}.metadata", *_PROMPTS))
    }
    sent = {f"resourceAttributes.{name}": value for name, value in span.resource.items()}
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in (rest | sent | own).items()
    }


def _parameters(about: Mapping[str, Any]) -> dict[str, Any]:
    if own := about.get(f"{OWN}.model.parameters"):
        return dict(json.loads(own))
    prefix = "gen_ai.request."
    told = {name.removeprefix(prefix): value for name, value in about.items() if name.startswith(prefix)}
    return {name: value for name, value in told.items() if name != "model"}


def _prompt(about: Mapping[str, Any]) -> tuple[str, int] | None:
    """The prompt of Langfuse's own prompt management that a generation is linked to: name and number."""
    name, version = about.get(f"{OWN}.prompt.name"), about.get(f"{OWN}.prompt.version")
    if not name or not version or not str(version).isdigit():
        return None
    return str(name), int(version)


def _moment(told: Any) -> int | None:
    return None if told is None else round(datetime.fromisoformat(str(told)).timestamp() * 1e6) * 1000
