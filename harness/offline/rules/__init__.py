"""What the Messages API refuses, and the thinking that it signs."""

from harness.offline.rules.table import RULES, Refusal, Rule, refusal, refusal_of
from harness.offline.rules.thinking import THINKING, first_thinking, thinking_block

__all__ = [
    "RULES",
    "THINKING",
    "Refusal",
    "Rule",
    "first_thinking",
    "refusal",
    "refusal_of",
    "thinking_block",
]
