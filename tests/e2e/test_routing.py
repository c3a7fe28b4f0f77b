"""Routers with the real command line: how they ask for a decision, and what follows when there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.crew import make_project
from tests.e2e.running import Desk
from tests.kit.calls import Call
from tests.kit.routing import is_router
from tests.kit.scripted_api import ScriptedProcess, scripted_process

MODELS = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5")
ONE = "flow: {pattern: supervisor, members: [a]}"
FLOWS = {
    "supervisor": ("flow: {pattern: supervisor, members: [a, b]}", "Go", "b did: Go"),
    "team": (
        "flow: {pattern: supervisor, members: "
        "[{pattern: team, name: both, description: A team., members: [a]}, b]}",
        "Go",
        "b did: Go",
    ),
    "handoff": ("flow: {pattern: handoff, members: [a, b]}", "Go !hand:a:b", "b did: Go !hand:a:b"),
}


class Office:
    """A project with a crew, and the played endpoint that its agents and routers ask."""

    def __init__(self, desk: Desk, api: ScriptedProcess) -> None:
        self.desk = desk
        self.api = api

    def run(self, flow: str, question: str, *args: str) -> tuple[int, dict[str, Any]]:
        """Run a session of a flow to its end."""
        (self.desk.home / "flow.yaml").write_text(flow)
        return self.desk.run("run", question, "--sources", "notes.md", "--flow", "flow.yaml", *args)

    def routing(self) -> list[Call]:
        """The routers' calls."""
        return [call for call in self.api.calls().messages() if is_router(call.request)]

    def refused(self) -> list[str]:
        """What the endpoint has refused."""
        return [call.request.model for call in self.api.calls().messages() if call.status != 200]


@contextmanager
def office(home: Path, dsn: str, **given: Any) -> Iterator[Office]:
    make_project(home, "ab")
    (home / "notes.md").write_text("# Notes\n\na b.\n")
    with (
        scripted_process("tests.e2e.routers:crew_with_routers", home / "calls.jsonl", given=given) as api,
        closing(Desk(home, api.base_url, dsn)) as desk,
    ):
        yield Office(desk, api)


def noted(finished: dict[str, Any]) -> str:
    """The note that a session ended with."""
    report = json.loads(finished["report"].removeprefix("```json\n").removesuffix("```\n"))
    return str(report["note"])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", FLOWS)
def test_every_current_model_routes(home: Path, dsn: str, name: str, model: str) -> None:
    """The same flow has the same end, and nothing is refused that the real service refuses."""
    flow, question, answer = FLOWS[name]
    with office(home, dsn) as at:
        code, finished = at.run(flow, question, "--model", model)
        assert (code, noted(finished)) == (0, answer)
        assert at.refused() == []
        assert {call.request.model for call in at.api.calls().messages()} == {model}
        assert len(at.routing()) == {"supervisor": 3, "team": 5, "handoff": 0}[name]
        for call in at.routing():
            assert call.request.tools == []
            assert "thinking" not in call.request.body
        routers = [run for run in finished["agent_runs"] if run["agent"] == "router"]
        assert sum(run["usage"]["model_calls"] for run in routers) == len(at.routing())


@pytest.mark.parametrize(
    ("refuses", "refusals", "strict"), [(["output_config"], 1, True), (["output_config", "strict"], 2, None)]
)
def test_an_endpoint_without_structured_output_gets_a_tool(
    home: Path, dsn: str, refuses: Sequence[str], refusals: int, strict: bool | None
) -> None:
    """The same end; what it refuses is asked for once, and not again for the rest of the session."""
    flow, question, answer = FLOWS["team"]
    with office(home, dsn, refuses=refuses) as at:
        code, finished = at.run(flow, question, "--model", MODELS[0])
        assert (code, noted(finished)) == (0, answer)
        assert [call.status for call in at.routing()] == [400] * refusals + [200] * 5
        for call in at.routing()[refusals:]:
            assert call.request.body["tool_choice"]["type"] == "auto"
            (tool,) = call.request.body["tools"]
            assert (tool["name"], tool.get("strict")) == ("decide", strict)


FAULTS = {
    "cut": "cut off at 16,000 tokens",
    "cut in its thinking": "cut off at 16,000 tokens",
    "missing": "no decision in your answer",
    "unreadable": "not readable as JSON",
    "unknown member": "no member 'z'",
}


@pytest.mark.parametrize("refuses", [[], ["output_config"]], ids=["as text", "by a tool"])
@pytest.mark.parametrize("fault", FAULTS)
def test_an_answer_without_a_decision_is_corrected(
    home: Path, dsn: str, fault: str, refuses: Sequence[str]
) -> None:
    """In its own words, behind the very answer: thinking that had been touched would be refused."""
    with office(home, dsn, fault=fault, refuses=refuses) as at:
        code, finished = at.run(ONE, "Go", "--model", MODELS[1])
        assert (code, noted(finished)) == (0, "a did: Go")
        calls = [call for call in at.routing() if call.status == 200]
        # A decision, a correction; and again for the end.
        assert [len(call.request.messages) > 1 for call in calls] == [False, True] * 2
        assert len(at.refused()) == len(refuses)
        first, corrected = calls[0], calls[1].request
        said = first.message["content"] if first.message else []
        told = corrected.tool_results()[0].text if corrected.tool_results() else corrected.last_user_text
        words = FAULTS["missing"] if (fault, refuses) == ("unreadable", ["output_config"]) else FAULTS[fault]
        assert words in told
        if said[-1]["type"] == "thinking":
            assert [message["role"] for message in corrected.messages] == ["user", "user"]
        else:
            assert corrected.body["messages"][1] == {"role": "assistant", "content": said}


def test_corrections_come_to_an_end(home: Path, dsn: str) -> None:
    """The run fails with what was wrong with the last answer."""
    with office(home, dsn, fault="always unreadable") as at:
        code, finished = at.run(ONE, "Go")
        assert code == 1
        assert "not readable as JSON" in finished["problem"]
        assert len(at.routing()) == 3
        assert at.refused() == []


def test_a_refusal_is_not_asked_for_again(home: Path, dsn: str) -> None:
    """It would come again: one call, and the run has failed in words of its own."""
    with office(home, dsn, fault="refusal") as at:
        code, finished = at.run(ONE, "Go")
        assert code == 1
        assert "The router's model refuses to decide" in finished["problem"]
        assert len(at.routing()) == 1
