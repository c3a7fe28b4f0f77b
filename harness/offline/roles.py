"""Which role an agent plays, told from the tools it is offered, or from what it has called so far."""

from __future__ import annotations

from collections.abc import Callable

from harness.offline import analyst, checker, intake, lead, researcher, reviewer, writer
from harness.offline.conversation import Conversation
from harness.offline.delegation import DELEGATE
from harness.offline.report import title_of
from harness.offline.search import READ, SEARCH
from harness.offline.turn import NOTICE, OUTPUT, Turn

Role = Callable[[Conversation], Turn]


def role_of(conversation: Conversation) -> Role:
    """Give the role's way to act; one who can do nothing else can only say little."""
    within_reach = {*conversation.tools, *(call.name for call in conversation.all_calls)}
    if DELEGATE in within_reach:
        return lead.act
    wanted = _output_fields(conversation)
    if "verdicts" in wanted:
        return checker.act
    if "findings" in wanted:
        return researcher.act
    if "verdict" in wanted:
        return reviewer.act
    if intake.HANDS_ON in wanted:
        return intake.act
    if OUTPUT not in within_reach and any(
        isinstance(_given(conversation, name), list) for name in writer.GIVEN
    ):
        return writer.act
    if within_reach & {SEARCH, READ, OUTPUT}:
        return analyst.act
    return speak


def speak(conversation: Conversation) -> Turn:
    """Say what can be said without tools: a title for a conversation, or that nothing can be looked up."""
    if conversation.tools:
        return Turn(f"None of the tools offered can look this up ({NOTICE}).")
    if conversation.is_job:
        return Turn(
            f"Nothing has been looked up, so this is not answered: {conversation.question} ({NOTICE})."
        )
    return Turn(title_of(conversation.question)[:80] or f"Nothing was asked ({NOTICE}).")


def _given(conversation: Conversation, field: str) -> object:
    return (conversation.task or {}).get(field)


def _output_fields(conversation: Conversation) -> set[str]:
    schema = conversation.tools.get(OUTPUT, {}).get("input_schema")
    fields = schema.get("properties") if isinstance(schema, dict) else None
    return set(fields) if isinstance(fields, dict) else set()
