"""What a model call's span says of its conversation: to Langfuse, to OpenInference, and by the conventions.

GenAI: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ and the JSON schemas beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from harness.export.generation import OBSERVATION
from harness.tracing.blocks import dumps
from harness.tracing.chat import Answered, Asked, Message, answer_of, chat_of
from harness.tracing.fitting import fit_chat, message_text
from harness.tracing.span import Span

_SIDES = ("input", "output")
_ANY_SIZE = 1_000_000_000
_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_call",
    "refusal": "content_filter",
}
"""The conventions' names of reasons to stop; others stand as they are."""


def chat_attributes(span: Span) -> dict[str, str | int]:
    """Give a model call's input and output under all their names, within the bytes that its content names.

    Langfuse's and OpenInference's names are always there, which compression makes one of; the conventions'
    messages and tools only if there is room for all of them.
    """
    found: dict[str, str | int] = {}
    said: dict[str, Any] = {}
    for side in _SIDES:
        content = span.attributes.get(side)
        if not isinstance(content, Mapping):
            continue
        if content.get("text") is not None:
            text, said[side] = _read(side, content)
            found[f"{OBSERVATION}.{side}"] = found[f"{side}.value"] = text
            found[f"{side}.mime_type"] = "text/plain" if said[side] is None else "application/json"
        if content.get("text") is None or content.get("cut"):
            found[f"{OBSERVATION}.metadata.{side}_chars"] = int(content.get("chars", 0))
            found[f"{OBSERVATION}.metadata.{side}_sha256"] = str(content.get("sha256", ""))
    most = min((_bound(span, side) for side in said), default=0)
    conventions = dict(_conventions(said, str(span.attributes.get("stop_reason") or ""))) if most else {}
    taken = sum(2 * _bytes(str(found[f"{side}.value"])) for side in said)
    if taken + sum(map(_bytes, conventions.values())) <= most:
        found |= conventions
    return found


def _bound(span: Span, side: str) -> int:
    """The bytes for all of a conversation; none where an older version kept it, which knew of no bound."""
    return int(span.attributes[side].get("chat_bytes") or 0)


def _read(side: str, content: Mapping[str, Any]) -> tuple[str, Any]:
    """A content as the text to send and what it says; None for what is no JSON.

    Before there were chats, an input was a request's `system` and `messages`, or its newest messages alone,
    and an output a list of blocks. What of these was not cut becomes a chat here.
    """
    text = str(content["text"])
    try:
        value = json.loads(text) if content.get("json_text") else None
    except (ValueError, RecursionError):
        value = None
    if value is None or content.get("chat_bytes"):
        return text, value
    if side == "output" and _objects_with("type", value):
        value = answer_of(Answered(value), _as_it_is)
    elif side == "input":
        asked = {"messages": value} if isinstance(value, list) else value
        if isinstance(asked, dict) and _objects_with("role", asked.get("messages")):
            value, _ = fit_chat(chat_of(Asked(asked), _ANY_SIZE, _as_it_is), _ANY_SIZE)
    return dumps(value), value


def _objects_with(name: str, values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(each, dict) and name in each for each in values)


def _as_it_is(value: Any) -> Any:
    return value


def _conventions(said: Mapping[str, Any], stop_reason: str) -> Iterator[tuple[str, str]]:
    if (chat := said.get("input")) is not None:
        messages = chat["messages"]
        system = messages[:1] if messages[:1] and messages[0]["role"] == "system" else []
        if system:
            yield "gen_ai.system_instructions", dumps(_parts(system[0]))
        told = [{"role": each["role"], "parts": _parts(each)} for each in messages[len(system) :]]
        yield "gen_ai.input.messages", dumps(told)
        if chat["tools"]:
            yield (
                "gen_ai.tool.definitions",
                dumps([{"type": tool["type"], **tool["function"]} for tool in chat["tools"]]),
            )
    if (answer := said.get("output")) is not None:
        reason = {"finish_reason": _REASONS.get(stop_reason, stop_reason)}
        yield "gen_ai.output.messages", dumps([{"role": "assistant", "parts": _parts(answer), **reason}])


def _parts(message: Message) -> list[dict[str, Any]]:
    text = message_text(message)
    if message["role"] == "tool":
        return [{"type": "tool_call_response", "id": message["tool_call_id"], "response": text}]
    thoughts = [{"type": "reasoning", "content": each["content"]} for each in message.get("thinking", ())]
    calls = [
        {
            "type": "tool_call",
            "id": call["id"],
            "name": call["function"]["name"],
            "arguments": json.loads(call["function"]["arguments"]),
        }
        for call in message.get("tool_calls", ())
    ]
    return [*thoughts, *([{"type": "text", "content": text}] if text or not calls else []), *calls]


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
