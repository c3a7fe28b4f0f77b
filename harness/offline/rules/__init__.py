"""What the Messages API refuses, and the thinking that it signs."""

from harness.offline.rules.families import family_of
from harness.offline.rules.table import RULES, Refusal, Rule, refusal, refusal_of
from harness.offline.rules.thinking import THINKING, thinking_block

__all__ = ["RULES", "THINKING", "Refusal", "Rule", "family_of", "refusal", "refusal_of", "thinking_block"]
