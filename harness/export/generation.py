"""What a model call's span says of the call: which model, with which parameters, what it used and cost.

Only here do usage and cost stand, so that nobody adds them up twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from harness.tracing.span import Span, SpanStatus

Attribute = str | bool | int | float | list[str]

OBSERVATION = "langfuse.observation"

_REPLAY = "replay"
"""Who answers in a replay: the recording. The model that was recorded is named by the other names."""


def generation(span: Span) -> dict[str, Attribute]:
    """Give the attributes of a model call, but for its conversation."""
    given = span.attributes
    model = given.get("model") or given.get("request_model")
    named = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": given.get("request_model") or model,
        "gen_ai.response.model": given.get("model"),
        "gen_ai.response.id": given.get("message_id"),
        f"{OBSERVATION}.model.name": model,
        # By this name Phoenix prices a call, whatever costs are told; without it, by the model asked for.
        "llm.model_name": _REPLAY if model and given.get("provider") == _REPLAY else model,
    }
    found: dict[str, Attribute] = {name: str(value) for name, value in named.items() if value is not None}
    if given.get("stop_reason"):
        found["gen_ai.response.finish_reasons"] = [str(given["stop_reason"])]
    return found | _first_token(span) | _parameters(given.get("parameters")) | _used(span)


def _first_token(span: Span) -> dict[str, Attribute]:
    if span.attributes.get("first_token_s") is None:
        return {}
    first = span.started_at + timedelta(seconds=float(span.attributes["first_token_s"]))
    if span.ended_at is not None:
        # Two clocks have measured: the one of the wire may be ahead of the one that ends spans.
        first = min(first, span.ended_at)
    return {
        f"{OBSERVATION}.completion_start_time": first.isoformat(),
        "gen_ai.response.time_to_first_chunk": (first - span.started_at).total_seconds(),
    }


def _parameters(asked: Any) -> dict[str, Attribute]:
    """How the model was asked; Langfuse takes its parameters as one JSON object of plain values."""
    if not isinstance(asked, Mapping) or not asked:
        return {}
    own = {
        f"gen_ai.request.{name}": asked[name]
        for name in ("max_tokens", "temperature", "stream")
        if name in asked
    }
    if "effort" in asked:
        own["gen_ai.request.reasoning.level"] = str(asked["effort"])
    return own | {f"{OBSERVATION}.model.parameters": json.dumps(dict(asked))}


def _used(span: Span) -> dict[str, Attribute]:
    """Usage and cost; a receiver that is told neither makes them up from the texts, so zero is said."""
    given = span.attributes
    usage = given.get("usage") or {}
    counted = _usage(usage) if usage else {}
    cut_off = span.status in _CUT_OFF or usage.get("unattributed_calls")
    if cut_off and given.get("provider") not in _UNPAID:
        # It was on the wire and may be paid: what is not known is said to be so, and is no zero of ours.
        counted[f"{OBSERVATION}.metadata.unattributed"] = True
    if not usage or not usage.get("model_calls"):
        return counted | {f"{OBSERVATION}.cost_details": json.dumps({"total": 0.0})}
    if given.get("cost_usd") is None:
        return counted
    costs = {_PARTS[part]: usd for part, usd in (given.get("costs") or {}).items() if part in _PARTS}
    return counted | {f"{OBSERVATION}.cost_details": json.dumps(costs | {"total": given["cost_usd"]})}


_CUT_OFF: frozenset[SpanStatus] = frozenset({"interrupted", "suspended", "cancelled"})
"""The ends of a call that was on the wire: whether it had an answer, and what that used, is not known."""

_UNPAID = ("offline", "replay")
"""Providers that nobody pays."""

_PARTS: Mapping[str, str] = {
    "input_tokens": "input",
    "cache_read_input_tokens": "input_cached_tokens",
    "cache_creation_input_tokens": "input_cache_creation",
    "output_tokens": "output",
}
"""Langfuse's names of the kinds of tokens, under which it knows prices."""


def _usage(used: Mapping[str, Any]) -> dict[str, Attribute]:
    counts = {part: int(used.get(part, 0)) for part in _PARTS}
    read, written = counts["cache_read_input_tokens"], counts["cache_creation_input_tokens"]
    return {
        # In the conventions the input includes what came from the cache or went there; in Langfuse the parts
        # are kept apart, as they are priced.
        "gen_ai.usage.input_tokens": counts["input_tokens"] + read + written,
        "gen_ai.usage.output_tokens": counts["output_tokens"],
        "gen_ai.usage.cache_read.input_tokens": read,
        # The conventions have renamed it; receivers of today read the one or the other.
        "gen_ai.usage.cache_creation.input_tokens": written,
        "gen_ai.usage.cache_write.input_tokens": written,
        f"{OBSERVATION}.usage_details": json.dumps({_PARTS[part]: count for part, count in counts.items()}),
    }
