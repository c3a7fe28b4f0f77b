"""No tool runs for a process that may no longer advance the session, or after a person has cancelled it."""

from harness.hooks import BeforeTool, Deny, Hook, Run


async def guard(call: BeforeTool, run: Run) -> Deny | None:
    """Refuse once the lease is gone or the session is being cancelled."""
    if not run.lease_held:
        return Deny("This process has lost the session's lease; another one goes on with the work.")
    if run.cancelled:
        return Deny("The session is being cancelled.")
    return None


HOOK = Hook(name="lease", order=10, on_failure="deny", before_tool=guard)
