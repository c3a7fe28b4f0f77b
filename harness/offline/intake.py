"""The intake: looks once at what the documents cover, and hands the question on by its number of parts."""

from __future__ import annotations

from harness.offline.conversation import Conversation, ToolUse
from harness.offline.fill import conforming
from harness.offline.planner import sub_questions
from harness.offline.search import HITS, SEARCH
from harness.offline.turn import NOTICE, OUTPUT, Turn, deliver

HANDS_ON = "handoff_to"
"""The field of an output that names who goes on."""


def act(conversation: Conversation) -> Turn:
    """Search once, then name the first of those who can be named for one part, the last for several."""
    asked = conversation.question
    if SEARCH in conversation.tools and not conversation.hurried and not conversation.made(SEARCH):
        return Turn("Looking at what there is.", (ToolUse(SEARCH, {"query": asked[:300], "limit": HITS}),))
    schema = conversation.tools.get(OUTPUT, {}).get("input_schema")
    fields = schema.get("properties") if isinstance(schema, dict) else None
    named = fields.get(HANDS_ON) if isinstance(fields, dict) else None
    known = named.get("enum") if isinstance(named, dict) else None
    parts = sub_questions(asked)
    following = "" if not isinstance(known, list) or not known else known[-1 if len(parts) > 1 else 0]
    reason = f"By its words the question has {len(parts)} part{'s' * (len(parts) != 1)} ({NOTICE})."
    output = {HANDS_ON: following, "question": asked, "questions": parts, "reason": reason}
    given = conforming(schema, {name: each for name, each in output.items() if name in (fields or output)})
    return deliver(conversation, given, reason)
