"""What a role decides to do next: say something, call tools, or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.offline.conversation import Conversation, ToolUse

OUTPUT = "StructuredOutput"
"""The tool by which an agent with a typed output gives it."""

NOTICE = "offline: extracts chosen by word overlap; no language model was used"


@dataclass(frozen=True)
class Turn:
    """One turn of the assistant; without calls it ends the agent's work."""

    text: str = ""
    calls: tuple[ToolUse, ...] = ()


def deliver(conversation: Conversation, output: Any, text: str) -> Turn:
    """End an agent's work: with its typed output where one is wanted, else with a text.

    An output that was refused twice is not tried a third time; the text then says so.
    """
    if OUTPUT not in conversation.tools:
        return Turn(text)
    refusals = [call for call in conversation.made(OUTPUT) if call.failed]
    if len(refusals) > 1:
        return Turn(f"The output was refused twice, so it is given as text ({NOTICE}).\n\n{text}")
    return Turn("", (ToolUse(OUTPUT, output if isinstance(output, dict) else {}),))
