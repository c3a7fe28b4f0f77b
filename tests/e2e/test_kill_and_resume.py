"""A lead with two rounds of three subagents, killed with SIGKILL at each stage, and resumed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.running import Command, Desk
from tests.e2e.scripts import REPORT, ROUNDS, lead_turn, topic_of
from tests.kit.campaign import cases
from tests.kit.processes import until_sync
from tests.kit.scripted_api import ScriptedProcess

TOPICS = [topic for round_ in ROUNDS for topic in round_]

CALLS = 3 + 2 * len(TOPICS)
"""Three turns of the lead, and two of each researcher."""


def test_two_rounds_run_in_order_without_a_process_for_the_sleeping_lead(
    desk: Desk, api: ScriptedProcess, holds: Path
) -> None:
    """The lead's process is gone while its subagents work, and every task is done once, in its round."""
    (holds / "answer-winds.hold").touch()
    command = desk.start("run", "How do they navigate?", "--sources", "notes.md")
    until_sync(lambda: _running(command) == {"researcher": 1}, "only the held researcher to be left")
    assert len(command.clis()) == 1, "the sleeping lead must hold no process"
    (holds / "answer-winds.go").touch()
    assert command.wait() == 0
    finished = command.finished
    assert finished is not None
    assert finished["status"] == "done"
    assert finished["report"] == REPORT
    assert finished["usage"]["model_calls"] == CALLS
    assert [run["agent"] for run in finished["agent_runs"]] == ["lead"] + ["researcher"] * 6
    order = [topic_of(call.request) or "lead" for call in api.calls().messages()]
    assert order[0] == "lead"
    second = [place for place, who in enumerate(order) if who == "lead"][1]
    assert set(order[1:second]) == set(ROUNDS[0])
    assert set(order[second + 1 : -1]) == set(ROUNDS[1])


STAGES = {
    "the lead's first call": ("lead-0", 0),
    "the delegation is pending": ("lead-0", 2),
    "subagents are at work": ("answer-winds", 0),
    "the lead's second turn": ("lead-1", 0),
    "the report": ("report", 0),
}


CASES = {name: (stage, False) for name, stage in STAGES.items()} | {
    "subagents are at work, and die too": (STAGES["subagents are at work"], True)
}
"""The CLIs outlive the harness, as they do after a real kill, unless they are killed too."""


@pytest.mark.parametrize(
    ("stage", "clis_too"),
    cases(CASES, {"the delegation is pending", "subagents are at work, and die too"}),
)
def test_a_killed_run_goes_on_where_it_was(
    desk: Desk, api: ScriptedProcess, holds: Path, stage: tuple[str, int], clis_too: bool
) -> None:
    """The report is the same, no finished agent run is repeated, only the call on the wire is paid twice."""
    name, after = stage
    (holds / f"{name}.hold").write_text(str(after))
    command = desk.start("run", "How do they navigate?", "--sources", "notes.md")
    until_sync(lambda: _on_the_wire(api, command, name, after), f"{name} to be on the wire", timeout_s=60)
    command.kill(clis_too=clis_too)
    done = {line["id"] for line in command.lines if line.get("status") == "done"}
    before = len(api.calls().messages())
    (holds / f"{name}.hold").unlink()
    (holds / f"{name}.go").touch()
    assert command.session_id is not None
    code, finished = desk.run("resume", command.session_id)
    assert (code, finished["status"], finished["report"]) == (0, "done", REPORT)
    calls = api.calls().messages()
    again = len(calls) - CALLS
    on_the_wire = 3 if name.startswith("answer") else 1
    assert 0 <= again <= on_the_wire, f"{again} calls too many, {before} before the kill"
    per_topic = Counter(topic_of(call.request) for call in calls if not lead_turn(call.request))
    for topic in TOPICS:
        assert 2 <= per_topic[topic] <= 3, per_topic
    finished_before = [run for run in finished["agent_runs"] if run["id"] in done]
    assert all(run["attempts"] == 1 for run in finished_before)


def _running(command: Command) -> dict[str, int]:
    status = {line["id"]: line for line in command.lines if line.get("event") == "agent_run"}
    begun = [
        line for line in command.lines if line.get("event") == "agent_run" and line["status"] == "running"
    ]
    if len(begun) < 4:
        return {}
    return dict(Counter(line["agent"] for line in status.values() if line["status"] == "running"))


def _on_the_wire(api: ScriptedProcess, command: Command, name: str, after: int) -> bool:
    wanted = name.partition("-")[2]
    for call in api.calls().messages():
        if call.outcome != "open":
            continue
        if lead_turn(call.request) and name.startswith(("lead", "report")):
            done = len(call.request.tool_results("mcp__harness__delegate"))
            stage = "report" if done == 2 else f"lead-{done}"
            return stage == name and (after == 0 or _delegation_pending(command))
        if topic_of(call.request) == wanted and call.request.turn == 1:
            return True
    return False


def _delegation_pending(command: Command) -> bool:
    """Give the hook time to have committed: the call has been streamed, the message has not ended."""
    import time

    time.sleep(1.0)
    return command.process.poll() is None
