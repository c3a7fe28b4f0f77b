"""What a span says to the world: OpenTelemetry's GenAI conventions and Langfuse's own names together.

Langfuse: https://langfuse.com/integrations/native/opentelemetry
GenAI: https://opentelemetry.io/docs/specs/semconv/gen-ai/
OpenInference: https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md
LangSmith: https://docs.langchain.com/langsmith/trace-with-opentelemetry
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.export.chat_attributes import chat_attributes
from harness.export.generation import OBSERVATION, Attribute, generation
from harness.store.spans import Ended
from harness.tracing.span import Span, SpanKind, SpanStatus

_TYPES: Mapping[SpanKind, str] = {
    "turn": "chain",
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

_OPENINFERENCE = {"generation": "LLM", "span": "CHAIN"}
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

_MOST_CHARS = 2_000
"""Of a reason, and of what is said besides: reports and answers have limits of their own."""

_VERSION_CHARS = 12
"""Of a bundle's version, which is a hash: as many as a person can compare."""

_SAID = {"input", "output", "problem", "provider", "costs", "parameters"}
_GENERATION = {"usage", "cost_usd", "model", "first_token_s"}


def attributes(ended: Ended, environment: str, release: str) -> dict[str, Attribute]:
    """Give a span's attributes. Lenient with their values: rows may be of an older or a newer version."""
    span = ended.span
    kind = _TYPES.get(span.kind, "span")
    return {
        **_filed(ended, environment, release),
        f"{OBSERVATION}.type": kind,
        "openinference.span.kind": _OPENINFERENCE.get(kind, kind.upper()),
        **_ending(span),
        **_of_agent(span),
        **_genai(ended),
        **(chat_attributes(span) if span.kind == "model" else dict(_content(span))),
        **dict(_metadata(span)),
    }


def problem(span: Span) -> str:
    """Say why a span did not end well; empty when it did."""
    if span.status in ("ok", "open"):
        return ""
    return _beginning(str(span.attributes.get("problem") or span.status.replace("_", " ")))


def _filed(ended: Ended, environment: str, release: str) -> dict[str, Attribute]:
    """What every span of a session carries: Langfuse keeps nothing above its spans."""
    span = ended.span
    tenant = ended.tenant[:_LONGEST_ID]
    return {
        "langfuse.session.id": span.session_id,
        "session.id": span.session_id,
        "gen_ai.conversation.id": span.session_id,
        # By this LangSmith gathers the turns of a conversation.
        "langsmith.metadata.thread_id": span.session_id,
        "langfuse.user.id": tenant,
        "user.id": tenant,
        "langfuse.environment": environment,
        "deployment.environment.name": environment,
        "langfuse.release": release,
        "langfuse.trace.name": ended.flow,
        "langfuse.trace.tags": list(ended.tags),
        "harness.checkpoint": span.seq,
        "harness.status": span.status,
    }


def _ending(span: Span) -> dict[str, Attribute]:
    level = _LEVELS.get(span.status)
    if level is None:
        return {}
    refused = "refused" if span.attributes.get("hook") else None
    kind = str(span.attributes.get("status") or refused or span.status)
    failed: dict[str, Attribute] = {"error.type": kind} if span.status in FAILED else {}
    return {f"{OBSERVATION}.level": level, f"{OBSERVATION}.status_message": problem(span), **failed}


def _of_agent(span: Span) -> dict[str, Attribute]:
    """Whose step it is. The version of a bundle goes where its prompt is at work."""
    given = span.attributes
    found: dict[str, Any] = {
        "harness.run.id": span.agent_run_id,
        "gen_ai.agent.name": given.get("agent"),
        "agent.name": given.get("agent"),
    }
    version = given.get("bundle_version")
    if version and span.kind in ("agent_run", "model"):
        found |= {"langfuse.version": str(version)[:_VERSION_CHARS], "gen_ai.agent.version": version}
    return _texts(found)


def _genai(ended: Ended) -> dict[str, Attribute]:
    span, given = ended.span, ended.span.attributes
    match span.kind:
        case "turn":
            return {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": ended.flow}
        case "agent_run":
            return {"gen_ai.operation.name": "invoke_agent", **_provider(given)}
        case "tool" | "delegation":
            tool = given.get("tool") or ("delegate" if span.kind == "delegation" else None)
            return _texts(
                {
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.name": tool,
                    "tool.name": tool,
                    "gen_ai.tool.call.id": given.get("tool_use_id"),
                    "gen_ai.tool.type": "function",
                }
            )
        case "model":
            return generation(span) | _provider(given)
        case _:
            return {}


def _provider(given: Mapping[str, Any]) -> dict[str, Attribute]:
    provider = str(given.get("provider") or "anthropic")
    # The older name is the one that LangSmith reads.
    return {"gen_ai.provider.name": provider, "gen_ai.system": provider}


def _texts(found: Mapping[str, Any]) -> dict[str, Attribute]:
    return {name: str(value) for name, value in found.items() if value is not None}


def _content(span: Span) -> Iterator[tuple[str, Attribute]]:
    """Input and output under each receiver's name, side by side, which compression makes one of."""
    is_tool = span.kind in ("tool", "delegation")
    tools_own = {"input": "gen_ai.tool.call.arguments", "output": "gen_ai.tool.call.result"}
    for side in ("input", "output"):
        content = span.attributes.get(side)
        if not isinstance(content, Mapping):
            continue
        if content.get("text") is not None:
            text = str(content["text"])
            yield f"{OBSERVATION}.{side}", text
            yield f"{side}.value", text
            whole_json = content.get("json_text") and not content.get("cut")
            yield f"{side}.mime_type", "application/json" if whole_json else "text/plain"
            if is_tool:
                yield tools_own[side], text
        if content.get("text") is None or content.get("cut"):
            yield f"{OBSERVATION}.metadata.{side}_chars", int(content.get("chars", 0))
            yield f"{OBSERVATION}.metadata.{side}_sha256", str(content.get("sha256", ""))


def _metadata(span: Span) -> Iterator[tuple[str, Attribute]]:
    """All that is known besides, as it is."""
    said = _SAID | (_GENERATION if span.kind == "model" and span.attributes.get("usage") else set())
    for name, value in span.attributes.items():
        if name not in said:
            yield from _flat(f"{OBSERVATION}.metadata.{name}", value)


def _flat(name: str, value: Any) -> Iterator[tuple[str, Attribute]]:
    """An object by its paths, by which Langfuse filters; a list as JSON."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    elif isinstance(value, list | tuple):
        yield name, _listed(value)
    elif value is not None:
        yield name, _beginning(value) if isinstance(value, str) else value


def _listed(values: Sequence[Any]) -> str:
    """A list as JSON: as many of the first as have room, and how many are missing."""
    kept, missing = list(values), list[Any]()
    while len(text := json.dumps(kept + missing)) > _MOST_CHARS and kept:
        kept = kept[: len(kept) // 2]
        missing = [{"left_out": len(values) - len(kept)}]
    return text


def _beginning(text: str) -> str:
    return text if len(text) <= _MOST_CHARS else f"{text[: _MOST_CHARS - 1]}…"
