"""The checkpoint: a tool call is committed to the journal before it may run."""

from harness.events import ToolRequested
from harness.hooks import BeforeTool, Deny, Hook, Run


async def snapshot(call: BeforeTool, run: Run) -> Deny | None:
    """Commit the call; refuse to repeat one that may have had its effect and must not have it twice."""
    before = run.run.tools.get(call.tool_use_id)
    if before is not None and before.replay == "unsafe" and before.finished:
        return Deny("This call has run to its end, but its result was lost, so it is not repeated.")
    if before is not None and before.replay == "unsafe":
        return Deny(
            "This call was interrupted earlier and whether it took effect is unknown, so it is not repeated. "
            "Check its effect by other means, or report that its outcome is unknown."
        )
    await run.record(
        ToolRequested(
            tool_use_id=call.tool_use_id,
            tool=call.tool,
            input=dict(call.input),
            call_id=run.run.last_call,
            replay=call.replay,
        )
    )
    return None


HOOK = Hook(name="snapshot", order=50, on_failure="deny", before_tool=snapshot)
