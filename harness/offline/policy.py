"""The offline model: a request of the Messages API goes in, a complete message comes out.

No model, no network, no clock and no chance are in it: the same request always gets the same answer, and
everything it knows stands in the request. What it writes is extracts of documents, and it says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from harness.offline import router
from harness.offline.conversation import ToolUse, read_conversation
from harness.offline.fill import conforming
from harness.offline.kept import read_on, with_whole_results
from harness.offline.roles import role_of
from harness.offline.turn import Turn
from harness.records import OFFLINE_MODEL

BYTES_PER_TOKEN = 4
"""Usage is an estimate: UTF-8 bytes of what would be sent and returned, four to a token, rounded up."""


def respond(request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the body of a Messages API request with a complete assistant message.

    It never raises for a request that is a mapping, however odd. Ids are hashes of the request: the same on a
    repeat, and different for every turn of a conversation. The usage is an estimate (see BYTES_PER_TOKEN).
    """
    turn = _forced(request) or _typed(request) or _played(request)
    key = hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()
    content: list[dict[str, Any]] = []
    if turn.text.strip() or not turn.calls:
        content.append({"type": "text", "text": turn.text.strip() or "Nothing to say."})
    for number, call in enumerate(turn.calls):
        content.append(
            {"type": "tool_use", "id": _id("toolu", key, number), "name": call.name, "input": call.input}
        )
    return {
        "id": _id("msg", key, 0),
        "type": "message",
        "role": "assistant",
        "model": OFFLINE_MODEL,
        "content": content,
        "stop_reason": "tool_use" if turn.calls else "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": _tokens([request.get(part) for part in ("system", "tools", "messages")]),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": _tokens(content),
        },
    }


def _played(request: Mapping[str, Any]) -> Turn:
    conversation = read_conversation(request)
    parts = read_on(conversation)
    if parts:
        return Turn("Reading the rest of a long result.", tuple(parts))
    conversation = with_whole_results(conversation)
    return role_of(conversation)(conversation)


def _forced(request: Mapping[str, Any]) -> Turn | None:
    """Answer a request that demands one certain tool: its input is filled as its schema asks."""
    choice = request.get("tool_choice")
    if not isinstance(choice, dict) or choice.get("type") != "tool":
        return None
    tool = read_conversation(request).tools.get(str(choice.get("name")))
    if tool is None:
        return None
    filled = conforming(tool.get("input_schema"))
    return Turn("", (ToolUse(str(choice["name"]), filled if isinstance(filled, dict) else {}),))


def _typed(request: Mapping[str, Any]) -> Turn | None:
    """Answer a request whose text has to be JSON of a given schema."""
    config = request.get("output_config")
    wanted = config.get("format") if isinstance(config, dict) else request.get("output_format")
    if not isinstance(wanted, dict) or not isinstance(wanted.get("schema"), dict):
        return None
    if router.is_decision(wanted["schema"]):
        return router.route(request, wanted["schema"])
    return Turn(json.dumps(conforming(wanted["schema"]), ensure_ascii=False))


def _id(kind: str, key: str, number: int) -> str:
    return f"{kind}_{hashlib.sha256(f'{kind}/{number}/{key}'.encode()).hexdigest()[:24]}"


def _tokens(value: object) -> int:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)
