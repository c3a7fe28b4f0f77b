"""The built-in hooks, one by one, on a lead at work."""

from __future__ import annotations

from typing import Any

import pytest

from harness import events as ev
from harness.delegation import DELEGATE
from harness.hook_chain import load_hooks
from harness.hooks import AfterTool, Allow, BeforeTool, Decision, Defer, Deny
from harness.plan import plan
from harness.records import Limits, Outcome
from harness.settings import Settings
from tests.kit.hooked import FakeRun, at_work, before
from tests.kit.journals import RESEARCH, finished, requested, run_created, started, tool_requested

HOOKS = {hook.name: hook for hook in load_hooks(None, Settings())}
TASKS = {"tasks": [{"to": "researcher", "input": {"objective": "Find out."}}]}


async def ask(name: str, call: BeforeTool, run: FakeRun) -> Decision | None:
    guard = HOOKS[name].before_tool
    assert guard is not None
    return await guard(call, run)


def said(decision: Decision | None) -> str:
    assert isinstance(decision, Deny)
    return decision.reason


async def test_no_tool_runs_without_the_lease() -> None:
    """Nor after a person has cancelled the session."""
    assert await ask("lease", before("Bash"), at_work()) is None
    assert "lost the session's lease" in said(await ask("lease", before("Bash"), at_work(lease_held=False)))
    assert "being cancelled" in said(await ask("lease", before("Bash"), at_work(cancelled=True)))


def spent(**limits: Any) -> FakeRun:
    run = at_work(Limits(**limits))
    run.book.add(finished("call-1", cost_usd=2.0), run.run_id)
    return run


@pytest.mark.parametrize("limits", [{"max_steps": 1}, {"max_cost_usd": 2}])
async def test_no_tool_runs_when_a_limit_is_spent(limits: dict[str, Any]) -> None:
    """The agent is told to write up what it has; the typed answer still goes through."""
    run = spent(**limits)
    assert "write up what you have" in said(await ask("budget", before("mcp__corpus__search"), run))
    assert "spent" in said(await ask("budget", before(DELEGATE, TASKS), run))
    assert await ask("budget", before("StructuredOutput"), run) is None
    assert await ask("budget", before("Read"), spent(max_steps=2, max_cost_usd=2.01)) is None


async def test_results_that_are_paid_for_are_handed_over() -> None:
    """When the tasks have spent the budget, the lead that wakes still gets what they found."""
    run = await woken(spent(max_cost_usd=2))
    assert await ask("budget", before(DELEGATE, TASKS), run) is None
    assert await ask("delegation", before(DELEGATE, TASKS), run) == Allow()


async def asleep(run: FakeRun) -> FakeRun:
    """Delegate, sleep and create the tasks."""
    run.book.add(requested("call-2"), run.run_id)
    assert await ask("delegation", before(DELEGATE, TASKS), run) == Defer()
    run.book.add(ev.AgentRunSuspended(tool_use_id="toolu_1", work_s=1), run.run_id)
    for spec in plan(RESEARCH, run.state).create:
        run.book.add(run_created(spec), spec.id)
    return run


async def woken(run: FakeRun) -> FakeRun:
    """The same with all tasks ended and the lead at work again."""
    await asleep(run)
    for child in run.state.children(run.run_id):
        run.book.add(ev.AgentRunFinished(outcome=Outcome(status="done", output={}), work_s=1), child.id)
    run.book.add(started(run.run, entry="refire"), run.run_id)
    return run


async def test_a_delegation_is_committed_before_the_lead_sleeps() -> None:
    """The first call of a turn is recorded with its tasks and deferred."""
    run = at_work()
    assert await ask("delegation", before(DELEGATE, TASKS), run) == Defer()
    delegation = run.run.delegations["toolu_1"]
    assert (delegation.call_id, delegation.suspended) == ("call-1", False)
    assert [task.destination for task in delegation.tasks] == ["researcher"]


async def test_other_tools_are_nothing_to_the_delegation() -> None:
    """Only the delegate tool is looked at."""
    run = at_work()
    assert await ask("delegation", before("mcp__other__delegate", TASKS), run) is None
    assert run.kinds == []


async def test_a_further_call_of_the_turn_joins_the_first() -> None:
    """Two would not survive being deferred: the second is recorded with the first and refused."""
    run = at_work()
    await ask("delegation", before(DELEGATE, TASKS), run)
    for id in ("toolu_2", "toolu_3"):
        assert "joined to your first" in said(await ask("delegation", before(DELEGATE, TASKS, id=id), run))
    assert list(run.run.delegations) == ["toolu_1"]
    assert run.run.delegations["toolu_1"].joined == ["toolu_2", "toolu_3"]
    assert len(run.run.delegations["toolu_1"].tasks) == 3


async def test_nothing_joins_what_was_voided_or_slept_for() -> None:
    """A voided request starts nothing, so what joined it would be lost; a slept-for one is over."""
    run = at_work()
    await ask("delegation", before(DELEGATE, TASKS), run)
    run.book.add(ev.DelegationVoided(tool_use_id="toolu_1", reason="lost"), run.run_id)
    assert await ask("delegation", before(DELEGATE, TASKS, id="toolu_2"), run) == Defer()
    run.book.add(ev.AgentRunSuspended(tool_use_id="toolu_2", work_s=1), run.run_id)
    assert await ask("delegation", before(DELEGATE, TASKS, id="toolu_3"), run) == Defer()
    assert list(run.run.delegations) == ["toolu_1", "toolu_2", "toolu_3"]


async def test_a_later_turn_is_a_delegation_of_its_own() -> None:
    """Also when the delivery of the earlier one was never recorded."""
    run = await woken(at_work())
    run.book.add(requested("call-3"), run.run_id)
    assert await ask("delegation", before(DELEGATE, TASKS, id="toolu_9"), run) == Defer()
    assert run.run.delegations["toolu_9"].joined == []


async def test_the_lead_sleeps_until_every_task_has_ended() -> None:
    """Asked for again too early the call is deferred again; at the end it goes through."""
    run = await asleep(at_work())
    assert await ask("delegation", before(DELEGATE, TASKS), run) == Defer()
    run = await woken(at_work())
    assert await ask("delegation", before(DELEGATE, TASKS), run) == Allow()


async def test_a_call_that_cannot_be_run_is_refused_unrecorded() -> None:
    """Nothing is delegated by half."""
    run = at_work()
    wrong = {"tasks": [*TASKS["tasks"], {"to": "nobody", "input": {}}]}
    assert "tasks[1].to" in said(await ask("delegation", before(DELEGATE, wrong), run))
    assert run.kinds == []


async def test_a_tool_call_is_committed_before_it_runs() -> None:
    """With its input, its replay class and the model call it came from."""
    run = at_work()
    assert await ask("snapshot", before("Bash", {"command": "ls"}, replay="unsafe"), run) is None
    payload = run.book.events[-1].payload
    assert isinstance(payload, ev.ToolRequested)
    assert (payload.tool, payload.input, payload.call_id) == ("Bash", {"command": "ls"}, "call-1")
    assert payload.replay == "unsafe"


@pytest.mark.parametrize("replay", ["read_only", "idempotent"])
@pytest.mark.parametrize("ended", [True, False])
async def test_a_call_that_may_run_again_does(replay: Any, ended: bool) -> None:
    """After a kill it is asked for under the same id, whether or not it had ended."""
    run = at_work()
    run.book.add(tool_requested("toolu_1", replay=replay), run.run_id)
    if ended:
        run.book.add(ev.ToolFinished(tool_use_id="toolu_1", tool="x"), run.run_id)
    assert await ask("snapshot", before("x", replay=replay), run) is None


async def test_an_unsafe_call_is_never_repeated() -> None:
    """Cut off, its effect is unknown; ended, it had its effect and only the result was lost."""
    run = at_work()
    run.book.add(tool_requested("toolu_1", "Bash", replay="unsafe"), run.run_id)
    assert "whether it took effect is unknown" in said(
        await ask("snapshot", before("Bash", replay="unsafe"), run)
    )
    run.book.add(ev.ToolDenied(tool_use_id="toolu_1", tool="Bash", hook="snapshot", reason="x"), run.run_id)
    assert "unknown" in said(await ask("snapshot", before("Bash", replay="unsafe"), run))
    run.book.add(ev.ToolFinished(tool_use_id="toolu_1", tool="Bash"), run.run_id)
    assert "run to its end" in said(await ask("snapshot", before("Bash", replay="unsafe"), run))
    assert "tool.requested" not in run.kinds[1:]


@pytest.mark.parametrize("error", [None, "It broke."])
async def test_the_end_of_a_call_is_recorded(error: str | None) -> None:
    """With a hash and the size of what the agent was given, and what it has read, unless it failed."""
    run = at_work()
    run.book.add(tool_requested("toolu_1"), run.run_id)
    result = [{"type": "text", "text": '{"hits": [{"source": "S2"}, {"source": "S1"}]}'}]
    after = HOOKS["spans"].after_tool
    assert after is not None
    await after(AfterTool("toolu_1", "mcp__corpus__search", {}, result, error, 5), run)
    payload = run.book.events[-1].payload
    assert isinstance(payload, ev.ToolFinished)
    assert payload.sources == (() if error else ("S2", "S1"))
    assert (payload.error, payload.result_chars > 0, len(payload.result_hash or "")) == (error, True, 64)
    assert run.run.tools["toolu_1"].finished


async def test_a_result_that_is_no_text_can_be_recorded() -> None:
    """Halves of surrogate pairs and values of other kinds do not stop it."""
    run = at_work()
    after = HOOKS["spans"].after_tool
    assert after is not None
    for result in ("half \ud83d", None, {"x": complex(1)}, b"bytes"):
        await after(AfterTool("toolu_1", "Bash", {}, result, None, None), run)
    assert run.kinds == ["tool.finished"] * 4
