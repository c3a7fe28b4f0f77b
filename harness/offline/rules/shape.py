"""What the service asks of the form of a request: its fields, its messages and their blocks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from harness.offline.rules.incoming import Incoming, as_blocks

MOST_BYTES = 32 * 1024 * 1024

FIELDS = {
    *("model", "messages", "max_tokens", "cache_control", "container", "inference_geo", "metadata"),
    *("output_config", "service_tier", "stop_sequences", "stream", "system", "temperature", "thinking"),
    *("tool_choice", "tools", "top_k", "top_p"),
}
BETA_FIELDS = {
    "context_management": "context-management-",
    "mcp_servers": "mcp-client-",
    "output_format": "structured-outputs-",
    "fallbacks": "server-side-fallback-",
    "speed": "fast-mode-",
}
"""Fields that exist under a beta only, by how the name of the beta begins."""

MESSAGE_BETAS = {
    "output_config": ("per-turn-control-", "mid-conversation-output-config-"),
    "clear_at": ("per-turn-control-", "turn-scoped-system-messages-"),
}
"""Fields of a system message, by how the names of the betas begin that each of them exists under."""

_HEAD = (
    "use the top-level 'system' parameter for the initial system prompt; the directive-only form"
    " (content: [] with output_config) is accepted at any position"
)
_FORMS: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "system": ((str, list), "Input should be a valid array"),
    "tools": (list, "Input should be a valid array"),
    "tool_choice": (dict, "Input should be an object"),
    "thinking": (dict, "Input should be an object"),
    "cache_control": (dict, "Input should be an object"),
    "output_config": (dict, "Input does not match the expected shape."),
    "metadata": (dict, "Input does not match the expected shape."),
    "stop_sequences": (list, "Input should be a valid array"),
    "temperature": ((int, float), "Input should be a valid number"),
    "top_p": ((int, float), "Input should be a valid number"),
    "top_k": (int, "Input should be a valid integer"),
    "stream": (bool, "Input should be a valid boolean"),
}
_BLOCK_FIELDS: Mapping[str, Mapping[str, tuple[type, str]]] = {
    "text": {"text": (str, "Input should be a valid string")},
    "thinking": {
        "thinking": (str, "Input should be a valid string"),
        "signature": (str, "Input should be a valid string"),
    },
    "redacted_thinking": {"data": (str, "Input should be a valid string")},
    "tool_use": {
        "id": (str, "Input should be a valid string"),
        "name": (str, "Input should be a valid string"),
        "input": (dict, "Input should be a valid dictionary"),
    },
    "tool_result": {"tool_use_id": (str, "Input should be a valid string")},
    "image": {"source": (dict, "Input should be an object")},
}
_OF_ROLE = {
    "user": {"tool_use", "thinking", "redacted_thinking"},
    "assistant": {"tool_result", "image", "document"},
}
"""Blocks that a role cannot have."""

_SPOKEN = ("text", "tool_use", "thinking", "redacted_thinking")


def body_is_small(asked: Incoming) -> str | None:
    """The whole body is within the service's limit."""
    if asked.size > MOST_BYTES:
        return "Request exceeds the maximum size"
    return None


def version_is_given(asked: Incoming) -> str | None:
    """The header that names the API's version is there."""
    return None if asked.headers.get("anthropic-version") else "anthropic-version: header is required"


def text_is_unicode(asked: Incoming) -> str | None:
    """No text holds half of a surrogate pair, which is no text in UTF-8."""
    try:
        json.dumps(asked.body, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as problem:
        return (
            "The request body is not valid JSON: no low surrogate in string: line 1 column"
            f" {problem.start} (char {problem.start})"
        )
    return None


def no_other_fields(asked: Incoming) -> str | None:
    """The names of a body's fields are known."""
    others = asked.body.keys() - FIELDS - BETA_FIELDS.keys()
    return f"{min(map(str, others))}: Extra inputs are not permitted" if others else None


def betas_are_asked_for(asked: Incoming) -> str | None:
    """A field that is in a beta comes with its header."""
    for field, beta in BETA_FIELDS.items():
        if field in asked.body and not any(one.startswith(beta) for one in asked.betas):
            return f"{field}: Extra inputs are not permitted"
    return None


def required_are_there(asked: Incoming) -> str | None:
    """There is a model, a bound for the answer, and a conversation."""
    body = asked.body
    for field in ("model", "messages", "max_tokens"):
        if field not in body:
            return f"{field}: Field required"
    if not isinstance(body["model"], str):
        return "model: Input should be a valid string"
    if not body["model"]:
        return "model: String should have at least 1 character"
    if not isinstance(body["messages"], list):
        return "messages: Input should be a valid array"
    if not body["messages"]:
        return "messages: at least one message is required"
    if not isinstance(body["max_tokens"], int) or isinstance(body["max_tokens"], bool):
        return "max_tokens: Input should be a valid integer"
    if body["max_tokens"] < 1:
        return "max_tokens: must be greater than or equal to 1"
    return None


def fields_have_their_form(asked: Incoming) -> str | None:
    """Each field is of its type."""
    for field, (kind, message) in _FORMS.items():
        if field in asked.body and not isinstance(asked.body[field], kind):
            return f"{field}: {message}"
    for at, tool in enumerate(asked.body.get("tools", ())):
        if not isinstance(tool, Mapping):
            return f"tools.{at}: Input should be an object"
        if not isinstance(tool.get("name"), str) and tool.get("type", "custom") == "custom":
            return f"tools.{at}.custom.name: Field required"
    for at, block in enumerate(as_blocks(asked.body.get("system", ()))):
        if not isinstance(block, Mapping) or not isinstance(block.get("text"), str):
            return f"system.{at}: Input does not match the expected shape."
    binding = asked.body.get("thinking", {}).get("block_binding", {})
    return None if isinstance(binding, Mapping) else "thinking.block_binding: Input should be an object"


def messages_have_their_form(asked: Incoming) -> str | None:
    """Each message has a role that exists, and content."""
    for at, message in enumerate(asked.body["messages"]):
        if not isinstance(message, Mapping):
            return f"messages.{at}: Input should be an object"
        if "role" not in message:
            return f"messages.{at}.role: Field required"
        if message["role"] not in ("user", "assistant", "system"):
            return f'messages: Unexpected role "{message["role"]}". Allowed roles are "user" or "assistant"'
        if "content" not in message:
            return f"messages.{at}.content: Field required"
        if not isinstance(message["content"], (str, list)):
            return f"messages.{at}.content: Input should be a valid array"
        for field in sorted(message.keys() - {"role", "content"}):
            betas = MESSAGE_BETAS.get(field, ()) if message["role"] == "system" else ()
            if not any(one.startswith(beta) for beta in betas for one in asked.betas):
                return f"messages.{at}.{field}: Extra inputs are not permitted"
        if not isinstance(message.get("output_config", {}), Mapping):
            return f"messages.{at}.output_config: Input does not match the expected shape."
    return None


def blocks_have_their_form(asked: Incoming) -> str | None:
    """Each block has a type, what belongs to that type, and a place where it may stand."""
    for at, message in enumerate(asked.body["messages"]):
        found = _misshapen(message["role"], as_blocks(message["content"]), f"messages.{at}.content")
        if found is not None:
            return found
    return None


def _misshapen(role: str, blocks: Any, place: str) -> str | None:
    for number, block in enumerate(blocks):
        path = f"{place}.{number}"
        if not isinstance(block, Mapping):
            return f"{path}: Input should be an object"
        kind = block.get("type")
        if not isinstance(kind, str):
            return f"{path}.type: Field required"
        if role == "system" and kind not in ("text", "tool_addition", "tool_removal"):
            message = place.removesuffix(".content")
            return f"{message}: role 'system' supports text, tool_addition, and tool_removal blocks only"
        if kind in _OF_ROLE.get(role, ()):
            return f"{path}: `{kind}` blocks can not be in `{role}` messages"
        for field, (of, message) in _BLOCK_FIELDS.get(kind, {}).items():
            if field not in block:
                return f"{path}.{kind}.{field}: Field required"
            if not isinstance(block[field], of):
                return f"{path}.{kind}.{field}: {message}"
        if kind == "tool_result":
            inner = block.get("content", [])
            if not isinstance(inner, (str, list)):
                return f"{path}.tool_result.content: Input should be a valid array"
            if (found := _misshapen("", as_blocks(inner), f"{path}.tool_result.content")) is not None:
                return found
    return None


def user_speaks_first(asked: Incoming) -> str | None:
    """The conversation begins with the user."""
    first = asked.body["messages"][0]
    if first["role"] == "system":
        return None if _directs_only(first) else f"messages.0: {_HEAD}"
    return 'messages: first message must use the "user" role' if first["role"] == "assistant" else None


def system_messages_are_known(asked: Incoming) -> str | None:
    """An old model has no system messages within the conversation."""
    has = any(message.role == "system" for message in asked.messages)
    return (
        "role 'system' is not supported on this model" if has and not asked.family.system_messages else None
    )


def system_messages_are_placed(asked: Incoming) -> str | None:
    """A row of system messages ends the conversation, or an answer follows; and each has something to say."""
    given = asked.body["messages"]
    for at, (message, after) in enumerate(zip(given, [*given[1:], None], strict=True)):
        if message["role"] != "system" or _directs_only(message):
            continue
        if not message["content"]:
            return f"messages.{at}: system content must contain at least one block"
        if after is not None and after["role"] == "user":
            return (
                f"messages.{at}: role 'system' must precede an 'assistant' message or end the array; the"
                " directive-only form (content: [] with output_config) is accepted at any position"
            )
        if at and _ends_with_own_words(given[at - 1]):
            return f"messages.{at}: role 'system' must follow a 'user' message"
    return None


def messages_say_something(asked: Incoming) -> str | None:
    """No turn is empty but for an answer that is begun and ends the conversation."""
    for turn in asked.turns:
        if turn[0].role == "user" and not any(_filled(message.blocks) for message in turn):
            return f"messages.{turn[0].at}: user messages must have non-empty content"
    for message in asked.messages[:-1]:
        if message.role == "assistant" and not message.blocks:
            return (
                f"messages.{message.at}: all messages must have non-empty content except for the optional"
                " final assistant message"
            )
    return None


def texts_say_something(asked: Incoming) -> str | None:
    """Text that is there is more than white space."""
    for block in asked.system:
        if not block["text"]:
            return "system: text content blocks must be non-empty"
    for path, role, block in asked.blocks:
        if block["type"] == "text" and not block["text"].strip():
            if role == "system":
                return f"messages.{path.split('.')[1]}: system text blocks must contain non-whitespace text"
            lack = "contain non-whitespace text" if block["text"] else "be non-empty"
            return f"messages: text content blocks must {lack}"
    return None


def _filled(blocks: Any) -> bool:
    return any(block["type"] != "text" or block["text"] for block in blocks)


def _directs_only(message: Mapping[str, Any]) -> bool:
    return message["content"] == [] and "output_config" in message


def _ends_with_own_words(message: Mapping[str, Any]) -> bool:
    """Whether this is an answer, and not one that ends with a tool that the service runs itself."""
    blocks = as_blocks(message["content"])
    return message["role"] == "assistant" and (not blocks or blocks[-1]["type"] in _SPOKEN)
