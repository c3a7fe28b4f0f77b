"""Ctrl-C, cancel, ask, budgets: what a person does with a session while it runs and after it."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.running import Desk, interrupt
from tests.e2e.scripts import REPORT
from tests.kit.processes import until_sync
from tests.kit.scripted_api import ScriptedProcess


def test_ctrl_c_suspends_and_resume_goes_on(desk: Desk, api: ScriptedProcess, holds: Path) -> None:
    """An interrupted run says how to resume, exits 130 as suspended, leaves no process, and goes on."""
    (holds / "answer-winds.hold").touch()
    command = desk.start("run", "How?", "--sources", "notes.md")
    until_sync(lambda: any("answer" in c for c in _open(api)), "a researcher to wait", timeout_s=60)
    below = command.clis()
    interrupt(command)
    assert command.wait() == 130
    assert command.finished is not None
    assert command.finished["status"] == "suspended"
    assert not any(cli.is_running() and cli.status() != "zombie" for cli in below)
    (holds / "answer-winds.hold").unlink()
    (holds / "answer-winds.go").touch()
    code, finished = desk.run("resume", "--last")
    assert (code, finished["report"]) == (0, REPORT)
    again, repeated = desk.run("resume", finished["session_id"])
    assert (again, repeated["report"]) == (0, REPORT)
    assert repeated["usage"] == finished["usage"], "resuming a finished session costs nothing"


def test_cancel_stops_a_run_in_another_process(desk: Desk, api: ScriptedProcess, holds: Path) -> None:
    """A cancelled session ends soon, for good, and says so."""
    (holds / "answer-winds.hold").touch()
    command = desk.start("run", "How?", "--sources", "notes.md", HARNESS_LEASE_TTL="3")
    until_sync(lambda: any("answer" in c for c in _open(api)), "a researcher to wait", timeout_s=60)
    assert command.session_id is not None
    desk.run("cancel", command.session_id)
    assert command.wait() == 1
    assert command.finished is not None
    assert command.finished["status"] == "cancelled"
    assert command.clis() == []


def test_a_follow_up_goes_on_in_the_same_conversation(desk: Desk, api: ScriptedProcess) -> None:
    """The lead that is asked again has its earlier report before it, and its subagents' results."""
    code, finished = desk.run("run", "How?", "--sources", "notes.md")
    assert code == 0
    before = len(api.calls().messages())
    code, answer = desk.run("ask", finished["session_id"], "And who made the ropes?")
    assert code == 0
    assert answer["report"] == REPORT
    later = api.calls().messages()[before:]
    assert len(later) == 1, "everything was found before, so one turn answers"
    assert "And who made the ropes?" in later[0].request.last_user_text
    assert "What six researchers found" in str(later[0].request.body["messages"])
    assert [run["agent"] for run in answer["agent_runs"]].count("lead") == 2


def test_a_spent_budget_stops_the_next_call_and_a_raised_one_goes_on(
    desk: Desk, api: ScriptedProcess
) -> None:
    """No call is sent once the budget is spent; the session needs help, and more money finishes it."""
    code, finished = desk.run("run", "How?", "--sources", "notes.md", "--budget-usd", "0.012")
    assert code == 3
    assert finished["status"] == "needs_help"
    calls = len(api.calls().messages())
    again = desk.start("resume", finished["session_id"])
    assert again.wait() == 2, "the same budget is still spent"
    assert len(api.calls().messages()) == calls
    code, finished = desk.run("resume", finished["session_id"], "--budget-usd", "5")
    assert (code, finished["status"]) == (0, "done")


def _open(api: ScriptedProcess) -> list[str]:
    return [
        "answer" if call.request.turn == 1 and not call.request.offers("mcp__harness__delegate") else "other"
        for call in api.calls().messages()
        if call.outcome == "open"
    ]


def test_direct_calls_are_counted_from_the_transcript(desk: Desk, api: ScriptedProcess) -> None:
    """Without the gateway the session runs and its usage is what was served."""
    code, finished = desk.run("run", "How?", "--sources", "notes.md", "--direct")
    assert (code, finished["report"]) == (0, REPORT)
    served = api.calls().served()
    assert finished["usage"]["model_calls"] == len(api.calls().completed())
    assert finished["usage"]["input_tokens"] == served.input_tokens
    assert finished["usage"]["output_tokens"] == served.output_tokens
