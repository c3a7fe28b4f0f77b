"""What people and agents decided, decided otherwise in a fork: an answer, a verdict, a pipeline's stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.crew import make_project, who
from tests.e2e.running import Desk
from tests.kit.scripted_api import ScriptedProcess, scripted_process


@pytest.fixture
def api(home: Path, holds: Path) -> Iterator[ScriptedProcess]:
    """The crew."""
    with scripted_process("tests.e2e.crew:crew", home / "calls.jsonl", given={"holds": str(holds)}) as played:
        yield played


def asked(desk: Desk, flow: str, question: str) -> dict[str, object]:
    """Ask the crew in a flow, and give the last line."""
    make_project(desk.home)
    (desk.home / "flow.yaml").write_text(f"flow: {flow}\n")
    return desk.run("run", question, "--sources", "notes.md", "--flow", "flow.yaml")[1]


def seq_of(desk: Desk, session_id: object, kind: str) -> int:
    """The number of the newest event of a kind, found by going back from the end."""
    _, view = desk.run("show", str(session_id))
    if kind == "end":
        return int(view["events"])
    runs = {run["agent"]: run for run in view["agent_runs"]}
    return int(runs[kind]["ended_seq"])


def members(api: ScriptedProcess, since: int = 0) -> list[str]:
    """Who has asked the model."""
    return [who(call.request) for call in api.calls().messages()[since:]]


def test_a_call_for_help_is_answered_in_a_fork(desk: Desk, api: ScriptedProcess) -> None:
    """The agent goes on where it asked, at once; in the origin its call stays open."""
    ended = asked(desk, "{pattern: agent, agent: a}", "Go !help:a")
    assert ended["status"] == "needs_help"
    last, calls = seq_of(desk, ended["session_id"], "end"), len(members(api))
    for answer in ("North.", "South."):
        code, forked = desk.run("resume", str(ended["session_id"]), "--at", str(last), "--answer", answer)
        assert (code, forked["status"]) == (0, "done"), forked
        assert answer in forked["report"]
        assert forked["session_id"] != ended["session_id"]
    assert members(api, calls) == ["a", "a"]
    assert desk.run("show", str(ended["session_id"]))[1]["status"] == "needs_help"


def test_a_verdict_is_turned_in_a_fork(desk: Desk, api: ScriptedProcess) -> None:
    """A pass made a fix sends the answer back in the same conversation, and the verifier judges again."""
    ended = asked(desk, "{pattern: agent, agent: a, gate: {verifier: verifier}}", "Go")
    assert ended["status"] == "done"
    at, calls = seq_of(desk, ended["session_id"], "verifier"), len(members(api))
    code, forked = desk.run(
        "resume", str(ended["session_id"]), "--at", str(at),
        "--edit", "outcome.output.verdict=fix", "--edit", "outcome.output.problem=Say more.",
    )  # fmt: skip
    assert (code, forked["status"]) == (0, "done"), forked
    assert members(api, calls) == ["a", "verifier"]
    told = api.calls().messages()[calls].request.last_user_text
    assert "Say more." in told


def test_a_pipeline_goes_on_with_an_edited_stage(desk: Desk, api: ScriptedProcess) -> None:
    """The stage after it gets what the edit says, and only that one runs."""
    ended = asked(desk, "{pattern: pipeline, stages: [a, b]}", "Go")
    at, calls = seq_of(desk, ended["session_id"], "a"), len(members(api))
    code, forked = desk.run(
        "resume", str(ended["session_id"]), "--at", str(at),
        "--edit", 'outcome.output={"note": "a was edited"}',
    )  # fmt: skip
    assert (code, forked["status"]) == (0, "done"), forked
    assert set(members(api, calls)) == {"b"}
    assert "a was edited" in api.calls().messages()[calls].request.first_user_text
