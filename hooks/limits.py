"""An agent hears in time that a limit is nearly used up, and that its next turn is the last."""

from harness.briefing import word_on_limits
from harness.hooks import Hook, Run


async def tell(run: Run) -> str | None:
    """Say it behind the results of the turn's tools, so that it stays in the conversation."""
    return word_on_limits(run)


HOOK = Hook(name="limits", order=85, on_failure="ignore", before_turn=tell)
