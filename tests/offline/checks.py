"""Checking an answer of the policy as any reader of the Messages API would."""

from __future__ import annotations

import copy
import json
from typing import Any

from jsonschema import Draft202012Validator

from harness.offline.policy import respond
from harness.records import OFFLINE_MODEL

from .documents import DOCUMENTS
from .simulator import CORPUS_TOOLS, Corpus, ask_lead, asked, play

SCHEMA_OF_A_MESSAGE = Draft202012Validator(
    {
        "type": "object",
        "required": ["id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"],
        "properties": {
            "id": {"type": "string", "pattern": "^msg_[0-9a-f]{24}$"},
            "type": {"const": "message"},
            "role": {"const": "assistant"},
            "model": {"const": OFFLINE_MODEL},
            "stop_reason": {"enum": ["end_turn", "tool_use"]},
            "content": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "anyOf": [
                        {
                            "required": ["type", "text"],
                            "properties": {
                                "type": {"const": "text"},
                                "text": {"type": "string", "minLength": 1},
                            },
                        },
                        {
                            "required": ["type", "id", "name", "input"],
                            "properties": {
                                "type": {"const": "tool_use"},
                                "id": {"type": "string", "pattern": "^toolu_[0-9a-f]{24}$"},
                                "input": {"type": "object"},
                            },
                        },
                    ]
                },
            },
        },
    }
)


def check(request: dict[str, Any]) -> dict[str, Any]:
    """Answer a request and check the answer as any reader of the API would."""
    before = copy.deepcopy(request)
    message = respond(request)
    assert request == before, "the request was changed"
    SCHEMA_OF_A_MESSAGE.validate(message)
    calls = [block for block in message["content"] if block["type"] == "tool_use"]
    tools = request.get("tools")
    offered = [one.get("name") for one in tools if isinstance(one, dict)] if isinstance(tools, list) else []
    assert all(call["name"] in offered for call in calls)
    assert len({call["id"] for call in calls}) == len(calls)
    assert (message["stop_reason"] == "tool_use") == bool(calls)
    assert json.loads(json.dumps(message)) == message
    assert all(count >= 0 for count in message["usage"].values())
    return message


def conversations() -> list[dict[str, Any]]:
    """Requests of whole sessions: every turn of the lead and of its subagents."""
    corpus = Corpus(DOCUMENTS, passage=300)
    lead = ask_lead("What is the difference between a lease and a lock?", corpus)
    alone = play(asked("<question>What is a lease?</question>", CORPUS_TOOLS), corpus)
    return [
        {**agent.request(), "messages": agent.messages[:turn]}
        for agent in (lead, alone, *lead.subagents)
        for turn in range(1, len(agent.messages) + 1, 2)
    ]
