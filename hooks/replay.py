"""In a replay no tool runs whose effect would happen again: the replay stops before its call."""

from harness.events import ReplayStopped
from harness.hooks import BeforeTool, Deny, Hook, Run


async def guard(call: BeforeTool, run: Run) -> Deny | None:
    """Stop a replay at an unsafe call, unless the person has said that tools are to run."""
    created = run.state.created
    if created is None or created.replays is None or created.run_tools or call.replay != "unsafe":
        return None
    place = " ".join([run.run.agent, *run.run.path.split("/")[1:]])
    problem = (
        f"{place} calls {call.tool}, which is unsafe: its effect would happen a second time. "
        "Let it run with --run-tools."
    )
    if run.state.replay_stopped is None:
        stopped = ReplayStopped(
            why="unsafe tool",
            problem=problem,
            agent=run.run.agent,
            path=run.run.path,
            call=run.run.steps,
        )
        await run.record(stopped)
    return Deny(problem)


HOOK = Hook(name="replay", order=48, on_failure="deny", before_tool=guard)
