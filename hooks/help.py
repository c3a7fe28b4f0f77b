"""A call for help is committed, and waits without a process until it has been answered."""

from harness.events import HelpAsked
from harness.help import NEED_HELP, read
from harness.hooks import Allow, BeforeTool, Decision, Defer, Deny, Hook, Run


async def ask(call: BeforeTool, run: Run) -> Decision | None:
    """Commit a new call and sleep; let an answered one through, so that its tool gives the answer."""
    if call.tool != NEED_HELP:
        return None
    if call.tool_use_id in run.run.help_asked:
        return Defer() if run.run.told is None else Allow()
    help_ = read(call.input)
    if isinstance(help_, str):
        return Deny(help_)
    await run.record(HelpAsked(tool_use_id=call.tool_use_id, help=help_))
    return Defer()


HOOK = Hook(name="help", order=45, on_failure="deny", before_tool=ask)
