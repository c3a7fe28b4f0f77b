"""What the reasons mean for which a model stops: the end of its answer, more to come, or the end of its run.

Source of the reasons: https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons
"""

from __future__ import annotations

from collections.abc import Mapping

CUT: frozenset[str] = frozenset({"max_tokens", "model_context_window_exceeded"})
"""The answer was cut off; what was said of it holds, and goes on in the next one."""

PAUSED = "pause_turn"
"""The model has paused, and goes on when it is given back what it has said."""

AT_ONCE: frozenset[str] = frozenset({"refusal", "model_context_window_exceeded"})
"""Asked again, the model would stop so again."""

_FINAL: Mapping[str, str] = {
    "refusal": (
        "The model declined to answer, and would decline again. Put the task in other words, or let another "
        "model answer what one refuses: models.fallback with models.fallback_on_refusal."
    ),
    "max_tokens": (
        "The model's answer was cut off at the longest that one may be, also when it was asked to go on. "
        "Ask for less at once."
    ),
    "model_context_window_exceeded": (
        "The conversation has filled the model's context and leaves no room for an answer. "
        "Ask for less at once."
    ),
}


def why_final(stop_reason: str | None) -> str | None:
    """Say why an agent run ends in failure whose last answer stopped so; None where it does not."""
    return _FINAL.get(stop_reason or "")
