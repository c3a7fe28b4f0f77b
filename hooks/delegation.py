"""A delegation is committed before the lead sleeps, and its results are handed over when it wakes."""

from harness.delegation import DELEGATE, results_ready, unusable
from harness.delegation import tasks as read_tasks
from harness.events import DelegationJoined, DelegationRequested
from harness.hooks import Allow, BeforeTool, Decision, Defer, Deny, Hook, Run
from harness.prompts import render
from harness.state import Delegation


async def delegate(call: BeforeTool, run: Run) -> Decision | None:
    """Commit a first call and sleep, join a further one of the same turn, wake when every task has ended."""
    if call.tool != DELEGATE:
        return None
    known = run.run.delegations.get(call.tool_use_id)
    if known is not None and not known.voided:
        return Allow() if results_ready(run.state, run.run, known) else Defer()
    problem = unusable(call.input, run)
    if problem is not None:
        return Deny(problem)
    tasks = read_tasks(call, run)
    first = next((d for d in run.run.delegations.values() if _of_this_turn(d, run)), None)
    if first is not None:
        await run.record(DelegationJoined(tool_use_id=call.tool_use_id, into=first.tool_use_id, tasks=tasks))
        return Deny(render("delegation_joined", run.project))
    await run.record(
        DelegationRequested(tool_use_id=call.tool_use_id, call_id=run.run.last_call, tasks=tasks)
    )
    return Defer()


def _of_this_turn(delegation: Delegation, run: Run) -> bool:
    """Whether it was asked for in the turn at work: earlier ones have been slept for or voided."""
    return delegation.call_id == run.run.last_call and not (delegation.suspended or delegation.voided)


HOOK = Hook(name="delegation", order=40, on_failure="deny", before_tool=delegate)
