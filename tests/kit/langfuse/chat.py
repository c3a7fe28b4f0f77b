"""Whether a generation is shown as a conversation: its input and output as Langfuse's parser wants them.

Sources:
https://github.com/langfuse/langfuse/blob/62751446149b702b419a9292ddfc2280cdf74b8c/packages/shared/src/utils/chatml/core.ts
https://github.com/langfuse/langfuse/blob/62751446149b702b419a9292ddfc2280cdf74b8c/packages/shared/src/utils/chatml/adapters/openai.ts
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_ROLES = ("system", "user", "assistant", "tool")


def problems(given: Any, made: Any) -> list[str]:
    """Say what keeps a conversation from being shown whole; `made` is None where there was no answer."""
    return [*_input(given), *([] if made is None else _message(made, "the output", ("assistant",)))]


def _input(given: Any) -> Iterator[str]:
    if not isinstance(given, Mapping) or not isinstance(given.get("messages"), list):
        yield f"the input is no conversation ({type(given).__name__})"
        return
    messages = given["messages"]
    if not messages:
        yield "the input has no message"
        return
    if more := given.keys() - {"messages", "tools"}:
        yield f"{sorted(more)} of the input would stand beside the conversation"
    for number, message in enumerate(messages):
        yield from _message(message, f"message {number}", _ROLES)
    roles = [message.get("role") for message in messages if isinstance(message, Mapping)]
    if "system" in roles[1:] and roles[0] != "system":
        yield "the system's message is not the first"
    if "user" not in roles:
        yield "nobody asks anything"


def _message(message: Any, where: str, roles: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(message, Mapping) or message.get("role") not in roles:
        yield f"{where} is no message of {' or '.join(roles)}"
        return
    content, calls = message.get("content"), message.get("tool_calls")
    parts = content if isinstance(content, list) else []
    if not isinstance(content, str | list | None) or any(not _shown(part) for part in parts):
        yield f"the content of {where} would be shown as JSON"
    if content in (None, "", []) and not calls and message["role"] != "tool":
        yield f"{where} says nothing"
    for call in calls or ():
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("arguments"), str):
            yield f"a tool call of {where} is no card"
        elif not (call.get("id") and call.get("type") and function.get("name")):
            yield f"a tool call of {where} has no id, type or name"
    if message["role"] == "tool" and not message.get("tool_call_id"):
        yield f"{where} does not say which call it answers"


def _shown(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") in ("text", "image_url", "thinking")
