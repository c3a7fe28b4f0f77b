"""What hurts users of other systems: one bad agent among good ones, and what becomes of the others' work."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.crew import make_project, who
from tests.e2e.running import Desk
from tests.kit.scripted_api import ScriptedProcess, scripted_process

MEMBERS = "abcdefghijkl"


@pytest.fixture
def api(home: Path) -> Iterator[ScriptedProcess]:
    with scripted_process("tests.e2e.crew:crew", home / "calls.jsonl") as played:
        yield played


@pytest.fixture
def desk(home: Path, dsn: str, api: ScriptedProcess) -> Iterator[Desk]:
    """A project with a crew of twelve, where silence is ended soon."""
    make_project(home, MEMBERS)
    (home / "harness.toml").write_text("[limits]\nsilent_s = 6.0\n")
    (home / "notes.md").write_text("# Notes\n\na b c d.\n")
    with closing(Desk(home, api.base_url, dsn)) as table:
        yield table


def run(desk: Desk, flow: str, question: str, *more: str) -> tuple[int, dict[str, Any]]:
    """Run a session of a flow to its end."""
    (desk.home / "flow.yaml").write_text(flow)
    return desk.run("run", question, "--sources", "notes.md", "--flow", "flow.yaml", *more)


def report(finished: dict[str, Any]) -> Any:
    """The typed output that the session ended with."""
    return json.loads(finished["report"].removeprefix("```json\n").removesuffix("```\n"))


def by_source(finished: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The results of a fan-out, by branch."""
    return {result["source"]: result for result in report(finished)["results"]}


def test_one_raises_one_answers_in_prose(desk: Desk, api: ScriptedProcess) -> None:
    """The others' results survive; the prose is sent back."""
    flow = "flow: {pattern: fan_out, branches: [a, c, d], policy: {kind: best_effort}}"
    code, finished = run(desk, flow, "Go !fail:a !prose:c")
    assert (code, finished["status"]) == (0, "done")
    results = by_source(finished)
    assert {name: result["status"] for name, result in results.items()} == {
        "a": "failed", "c": "done", "d": "done",
    }  # fmt: skip
    assert "Scripted failure" in results["a"]["problem"]
    assert results["d"]["output"]["note"].startswith("d did")


def test_the_service_says_nothing_to_one(desk: Desk, api: ScriptedProcess) -> None:
    """The session is suspended and no task is thrown away; what the others have done is done."""
    flow = "flow: {pattern: fan_out, branches: [a, b, d], policy: {kind: best_effort}}"
    code, finished = run(desk, flow, "Go !hang:b")
    assert (code, finished["status"]) == (3, "suspended")
    assert f"The model service at {api.base_url} gave no sign of life for 6 s" in finished["problem"]
    statuses = {each["agent"]: each["status"] for each in finished["agent_runs"]}
    assert (statuses["a"], statuses["d"]) == ("done", "done")
    assert statuses["b"] not in ("failed", "done")


def test_all_have_to_succeed_and_one_does_not(desk: Desk) -> None:
    """The session fails, and what the others found is in its report all the same."""
    code, finished = run(desk, "flow: {pattern: fan_out, branches: [a, b]}", "Go !fail:a")
    assert (code, finished["status"]) == (1, "failed")
    assert "1 of 2 branches did not succeed" in finished["problem"]
    assert by_source(finished)["b"]["status"] == "done"


def test_a_verifier_that_is_throttled_is_no_refusal(desk: Desk, api: ScriptedProcess) -> None:
    """It is the service that is busy: the session waits with the answer, which nobody has judged yet."""
    flow = "flow: {pattern: agent, agent: a, gate: {verifier: verifier}}"
    code, finished = run(desk, flow, "Go !busy")
    assert (code, finished["status"]) == (3, "suspended")
    assert "429: Too many requests." in finished["problem"]
    statuses = {each["agent"]: each["status"] for each in finished["agent_runs"]}
    assert statuses == {"a": "checking", "verifier": "ready"}
    asked = [who(call.request) for call in api.calls().messages()]
    assert asked.count("verifier") == 5


def test_a_limit_within_a_subagent_keeps_its_findings(desk: Desk) -> None:
    """Its last turn writes up what it has; the whole is told that it needs help, the others are done."""
    flow = """
flow:
  pattern: fan_out
  policy: {kind: best_effort}
  branches: [a, {pattern: agent, agent: b, limits: {max_steps: 2}}]
"""
    code, finished = run(desk, flow, "Go")
    assert (code, finished["status"]) == (0, "done")
    results = by_source(finished)
    assert results["a"]["status"] == "done"
    assert results["b"]["status"] == "needs_help"
    assert "spent its limit of steps" in results["b"]["problem"]


def test_twelve_that_fail_alike_are_not_all_paid_for(desk: Desk, api: ScriptedProcess) -> None:
    """After the first three the rest is stopped; three at a time, no more than five have begun."""
    flow = f"flow: {{pattern: fan_out, branches: [{', '.join(MEMBERS)}]}}"
    question = "Go !once " + " ".join(f"!fail:{name}" for name in MEMBERS)
    code, finished = run(desk, flow, question, "--max-concurrent", "3")
    assert (code, finished["status"]) == (1, "failed")
    assert "The first 3 failed alike" in finished["problem"]
    asked = {who(call.request) for call in api.calls().messages()}
    assert 3 <= len(asked) <= 5
    cancelled = [each for each in finished["agent_runs"] if each["status"] == "cancelled"]
    assert len(cancelled) >= 12 - 5


def test_two_equal_tasks_are_two(desk: Desk, api: ScriptedProcess) -> None:
    """The same agent twice on the same input: two runs, two results, nothing mixed up."""
    flow = "flow: {pattern: fan_out, branches: [a, {pattern: agent, agent: a, name: again}]}"
    code, finished = run(desk, flow, "Go")
    assert code == 0
    assert set(by_source(finished)) == {"a", "again"}
    assert Counter(each["agent"] for each in finished["agent_runs"]) == {"a": 2}
    assert finished["usage"]["model_calls"] == 4


def test_an_answer_that_is_sent_back_is_mended_in_the_same_conversation(
    desk: Desk, api: ScriptedProcess
) -> None:
    """The verifier says what is wrong, the agent goes on in its Claude session, and passes."""
    flow = "flow: {pattern: agent, agent: a, gate: {verifier: verifier}}"
    code, finished = run(desk, flow, "Go !bad:a")
    assert (code, finished["status"]) == (0, "done")
    calls = [call.request for call in api.calls().messages()]
    assert [who(request) for request in calls] == ["a", "a", "verifier", "a", "verifier"]
    assert len({request.session for request in calls if who(request) == "a"}) == 1
    assert "It is bad." in calls[3].last_user_text


def test_help_is_asked_for_and_answered(desk: Desk, api: ScriptedProcess) -> None:
    """The session ends as needing help; the answer is the result of the agent's call, and nothing repeats."""
    code, finished = run(desk, "flow: {pattern: pipeline, stages: [a, b]}", "Go !help:b")
    assert (code, finished["status"]) == (3, "needs_help")
    assert "b wants to know" in finished["problem"]
    session_id = finished["session_id"]
    code, finished = desk.run("resume", session_id, "--answer", "It is 42.")
    assert (code, finished["status"]) == (0, "done")
    assert "It is 42." in report(finished)["note"]
    assert [who(call.request) for call in api.calls().messages()] == ["a", "a", "b", "b", "b"]
    code, refused = desk.run("resume", session_id, "--answer", "More.")
    assert code == 0, "a session that is done gives its report again"
    assert refused["report"] == finished["report"]


def test_a_router_grants_more_to_a_member_that_needs_help(desk: Desk, api: ScriptedProcess) -> None:
    """The same agent run goes on in its conversation; nothing it has done is done again."""
    flow = """
flow:
  pattern: supervisor
  members: [{pattern: agent, agent: a, limits: {max_steps: 1}}]
"""
    code, finished = run(desk, flow, "Go")
    assert (code, finished["status"]) == (0, "done")
    assert report(finished)["note"].startswith("a did")
    calls = [call.request for call in api.calls().messages()]
    assert [who(request) for request in calls] == ["router", "a", "router", "a", "router"]
    assert len({request.session for request in calls if who(request) == "a"}) == 1
    assert [(each["agent"], each["attempts"]) for each in finished["agent_runs"]] == [("router", 1), ("a", 1)]
