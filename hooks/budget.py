"""No tool runs for an agent run that has no step or money left to use its result with."""

from harness.delegation import DELEGATE
from harness.hooks import BeforeTool, Deny, Hook, Run
from harness.limits import nearly_spent, spent
from harness.resume import STRUCTURED_OUTPUT


async def guard(call: BeforeTool, run: Run) -> Deny | None:
    """Refuse in the last turn, and once a limit is spent; the answer and paid results go through."""
    results_wait = call.tool == DELEGATE and call.tool_use_id in run.run.delegations
    if call.tool == STRUCTURED_OUTPUT or results_wait:
        return None
    if run.run.took_last_turn and nearly_spent(run.state, run.run):
        return Deny("This is your last turn, and no tool runs in it. Hand in your answer with what you have.")
    if reason := spent(run.state, run.run):
        return Deny(f"Your limit of {reason} is spent. Do not call tools; write up what you have.")
    return None


HOOK = Hook(name="budget", order=20, on_failure="deny", before_tool=guard)
