"""What a span says to the world: OpenTelemetry's GenAI conventions and Langfuse's own names together.

Langfuse: https://langfuse.com/integrations/native/opentelemetry
GenAI: https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from harness.export.chat_attributes import chat_attributes
from harness.store.spans import Ended
from harness.tracing.span import Span, SpanKind, SpanStatus

Attribute = str | bool | int | float | list[str]

OBSERVATION = "langfuse.observation"

_TYPES: Mapping[SpanKind, str] = {
    "agent_run": "agent",
    "model": "generation",
    "tool": "tool",
    "delegation": "tool",
    "routing": "chain",
    "merge": "chain",
    # Not a guardrail: that keeps harm out of a conversation, a gate judges how good an answer is.
    "gate": "evaluator",
}
"""Langfuse's type of observation for each kind; the others are plain spans."""

_OPENINFERENCE = {"generation": "LLM"}
"""OpenInference's name of a type, where it is not the same in capitals."""

_LEVELS: Mapping[SpanStatus, str] = {
    "error": "ERROR",
    "interrupted": "WARNING",
    "needs_help": "WARNING",
    "suspended": "WARNING",
    "cancelled": "WARNING",
}

FAILED: frozenset[SpanStatus] = frozenset({"error", "interrupted"})
"""The ends that are errors to OpenTelemetry; stopping on purpose is none."""

_LONGEST_ID = 200
"""Characters of a user's id that Langfuse takes."""

_SAID = {"input", "output", "problem"}
_GENERATION = {"usage", "cost_usd", "model", "first_token_s"}


def attributes(ended: Ended, environment: str, release: str) -> dict[str, Attribute]:
    """Give a span's attributes. Lenient with their values: rows may be of an older or a newer version."""
    span = ended.span
    kind = _TYPES.get(span.kind, "span")
    return {
        **_filed(ended, environment, release),
        f"{OBSERVATION}.type": kind,
        **({} if kind == "span" else {"openinference.span.kind": _OPENINFERENCE.get(kind, kind.upper())}),
        **_ending(span),
        **_genai(span),
        **(chat_attributes(span) if span.kind == "model" else dict(_content(span, is_tool=kind == "tool"))),
        **dict(_metadata(span)),
    }


def problem(span: Span) -> str:
    """Say why a span did not end well; empty when it did."""
    if span.status in ("ok", "open"):
        return ""
    return str(span.attributes.get("problem") or span.status.replace("_", " "))


def _filed(ended: Ended, environment: str, release: str) -> dict[str, Attribute]:
    """What every span of a session carries: Langfuse keeps nothing above its spans."""
    span = ended.span
    tenant = ended.tenant[:_LONGEST_ID]
    return {
        "langfuse.session.id": span.session_id,
        "session.id": span.session_id,
        "gen_ai.conversation.id": span.session_id,
        "langfuse.user.id": tenant,
        "user.id": tenant,
        "langfuse.environment": environment,
        "deployment.environment.name": environment,
        "langfuse.release": release,
        "langfuse.trace.name": ended.flow,
        "harness.checkpoint": span.seq,
        "harness.status": span.status,
    }


def _ending(span: Span) -> dict[str, Attribute]:
    level = _LEVELS.get(span.status)
    if level is None:
        return {}
    failed: dict[str, Attribute] = {"error.type": span.status} if span.status in FAILED else {}
    return {f"{OBSERVATION}.level": level, f"{OBSERVATION}.status_message": problem(span), **failed}


def _genai(span: Span) -> dict[str, Attribute]:
    given = span.attributes
    match span.kind:
        case "agent_run":
            found = {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.provider.name": "anthropic",
                "gen_ai.agent.name": given.get("agent"),
                "gen_ai.agent.id": span.agent_run_id,
                "gen_ai.agent.version": given.get("bundle_version"),
                f"{OBSERVATION}.prompt.name": given.get("bundle"),
            }
        case "tool" | "delegation":
            found = {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": given.get("tool") or ("delegate" if span.kind == "delegation" else None),
                "gen_ai.tool.call.id": given.get("tool_use_id"),
                "gen_ai.tool.type": "function",
            }
        case "model":
            return _generation(span)
        case _:
            found = {}
    return {name: str(value) for name, value in found.items() if value is not None}


def _generation(span: Span) -> dict[str, Attribute]:
    """A model call. Only here do usage and cost stand, so that nobody adds them up twice."""
    given = span.attributes
    model = given.get("model") or given.get("request_model")
    named = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": given.get("request_model") or model,
        "gen_ai.response.model": given.get("model"),
        "gen_ai.response.id": given.get("message_id"),
        f"{OBSERVATION}.model.name": model,
    }
    found: dict[str, Attribute] = {name: str(value) for name, value in named.items() if value is not None}
    if given.get("stop_reason"):
        found["gen_ai.response.finish_reasons"] = [str(given["stop_reason"])]
    if given.get("first_token_s") is not None:
        first = span.started_at + timedelta(seconds=float(given["first_token_s"]))
        found[f"{OBSERVATION}.completion_start_time"] = first.isoformat()
    if given.get("usage"):
        found |= _usage(given["usage"])
        if given.get("cost_usd") is not None:
            found[f"{OBSERVATION}.cost_details"] = json.dumps({"total": given["cost_usd"]})
    return found


def _usage(used: Mapping[str, Any]) -> dict[str, Attribute]:
    fresh, output = int(used.get("input_tokens", 0)), int(used.get("output_tokens", 0))
    read = int(used.get("cache_read_input_tokens", 0))
    written = int(used.get("cache_creation_input_tokens", 0))
    details = {
        "input": fresh,
        "input_cached_tokens": read,
        "input_cache_creation": written,
        "output": output,
    }
    return {
        # In the conventions the input includes what came from the cache or went there; in Langfuse the parts
        # are kept apart, as they are priced.
        "gen_ai.usage.input_tokens": fresh + read + written,
        "gen_ai.usage.output_tokens": output,
        "gen_ai.usage.cache_read.input_tokens": read,
        "gen_ai.usage.cache_creation.input_tokens": written,
        f"{OBSERVATION}.usage_details": json.dumps(details),
    }


def _content(span: Span, *, is_tool: bool) -> Iterator[tuple[str, Attribute]]:
    """Input and output under two names each, side by side, which compression makes one of."""
    others = {"input": "input.value", "output": "output.value"}
    if is_tool:
        others = {"input": "gen_ai.tool.call.arguments", "output": "gen_ai.tool.call.result"}
    for side, other in others.items():
        content = span.attributes.get(side)
        if not isinstance(content, Mapping):
            continue
        if content.get("text") is not None:
            yield f"{OBSERVATION}.{side}", str(content["text"])
            yield other, str(content["text"])
        if content.get("text") is None or content.get("cut"):
            yield f"{OBSERVATION}.metadata.{side}_chars", int(content.get("chars", 0))
            yield f"{OBSERVATION}.metadata.{side}_sha256", str(content.get("sha256", ""))


def _metadata(span: Span) -> Iterator[tuple[str, Attribute]]:
    """All that is known besides, as it is; what is no text or number as JSON."""
    said = _SAID | (_GENERATION if span.kind == "model" and span.attributes.get("usage") else set())
    for name, value in span.attributes.items():
        if name not in said and value is not None:
            plain = value if isinstance(value, str | bool | int | float) else json.dumps(value)
            yield f"{OBSERVATION}.metadata.{name}", plain
