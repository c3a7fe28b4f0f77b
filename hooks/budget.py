"""No tool runs for an agent run that has no step or money left to use its result with."""

from harness.delegation import DELEGATE
from harness.hooks import BeforeTool, Deny, Hook, Run
from harness.limits import spent


async def guard(call: BeforeTool, run: Run) -> Deny | None:
    """Refuse once a limit is spent; the typed answer and results that are paid for still go through."""
    results_wait = call.tool == DELEGATE and call.tool_use_id in run.run.delegations
    if call.tool == "StructuredOutput" or results_wait:
        return None
    reason = spent(run.state, run.run)
    if reason is None:
        return None
    return Deny(f"Your limit of {reason} is spent. Do not call tools; write up what you have.")


HOOK = Hook(name="budget", order=20, on_failure="deny", before_tool=guard)
