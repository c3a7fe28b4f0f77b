"""The blocks of a message's content as texts that a person can read, without the bytes among them.

https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

_JSON = json.JSONEncoder(ensure_ascii=False, default=str, separators=(",", ":"))


def dumps(value: Any) -> str:
    """Write JSON that UTF-8 can carry: half of a surrogate pair becomes a question mark."""
    written = _JSON.encode(value)
    return written if written.isascii() else written.encode("utf-8", "replace").decode()


def blocks_of(content: Any) -> list[Mapping[str, Any]]:
    """The blocks of a content, which may be a mere text, or nothing."""
    if content is None:
        return []
    given = content if isinstance(content, list) else [content]
    return [each if isinstance(each, Mapping) else {"type": "text", "text": str(each)} for each in given]


def parts_of(block: Mapping[str, Any]) -> Iterator[Any]:
    """A block as texts; of a kind that is not known, as it is but for its bytes."""
    source = block.get("source")
    match block.get("type"):
        case "text":
            yield str(block.get("text") or "")
        case ("image" | "document") as kind if isinstance(source, Mapping):
            title = f" '{block['title']}'" if block.get("title") else ""
            yield from _file(f"{kind}{title}", source)
        case "search_result" | "web_search_result":
            yield f"{block.get('title') or 'Search result'}: {source or block.get('url') or ''}"
            yield from _all_parts(block.get("content"))
        case str(kind) if kind.endswith("_tool_result"):
            yield f"[{kind.replace('_', ' ')}]"
            yield from _all_parts(block.get("content"))
        case _:
            yield _without_bytes(block)


def _all_parts(content: Any) -> Iterator[Any]:
    for block in blocks_of(content):
        yield from parts_of(block)


def _file(what: str, source: Mapping[str, Any]) -> Iterator[Any]:
    data = source.get("data")
    match source.get("type"):
        case "text":
            yield from (f"[{what}]", str(data))
        case "content":
            yield f"[{what}]"
            yield from _all_parts(source.get("content"))
        case "base64" if isinstance(data, str):
            size = len(data) * 3 // 4 - data[-2:].count("=")
            yield f"[{what}: {source.get('media_type')}, {size:,} bytes]"
        case _:
            yield f"[{what}: {source.get('url') or source.get('file_id') or 'not shown'}]"


def _without_bytes(value: Any) -> Any:
    match value:
        case Mapping():
            hidden = {"cache_control", "signature", "encrypted_content", "encrypted_index"}
            hidden |= {"data"} if value.get("type") == "base64" else set()
            return {name: _without_bytes(part) for name, part in value.items() if name not in hidden}
        case list():
            return [_without_bytes(part) for part in value]
        case _:
            return value


def text_of(parts: Any) -> str:
    """One text of parts; what is no list could not be looked through."""
    if not isinstance(parts, list):
        return str(parts)
    return "\n\n".join(part if isinstance(part, str) else dumps(part) for part in parts)


def thought_of(block: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """A block of thinking, and the field of a message that it stands in."""
    text = str(block.get("thinking") or "")
    if block.get("type") == "thinking" and text:
        return "thinking", {"type": "thinking", "content": in_words(text, "Thought: ")}
    size = len(str(block.get("data") or block.get("signature") or ""))
    said = f"[encrypted by the model's service: {size:,} characters]"
    return "redacted_thinking", {"type": "redacted_thinking", "data": said}


def is_literal(text: str) -> bool:
    """Whether a text is JSON of a word, however often it was quoted."""
    return len(text) < 20 and text.strip(' \t\r\n"') in ("true", "false", "null")


def in_words(text: str, before: str) -> str:
    """The text, after a word if it is JSON: Langfuse reads it as what it says, which then is no text."""
    return before + text if is_literal(text) or fields_of(text) is not None else text


def fields_of(text: str) -> Collection[str] | None:
    """The names in a text that is a JSON object or list; None for another text.

    What is none but may be a dict as Python writes it is taken for an object with a `role`.
    """
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ("role",) if "'" in text and text.lstrip()[:1] == "{" else None
    return value if isinstance(value, dict) else ()
