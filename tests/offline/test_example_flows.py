"""The example flows, each through the real command line without a model: real reports from real documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import ROOT
from tests.cli.processes import NO_MODEL
from tests.e2e.running import Desk

DOCUMENTS = {
    "leases.md": "# Leases and locks\n\nA lease is a claim on a session that runs out by itself.\n\n"
    "A lock is held until its owner gives it back.\n\nThe lease lasts 30 seconds by default.\n",
    "resume.md": "# How a killed run goes on\n\nA killed run goes on from its last checkpoint, and finished "
    "agent runs are never run again.\n\nThe journal is append-only.\n",
    "last_year.md": "# Notes from last year\n\nThe lease lasts 60 seconds by default.\n",
}

QUESTION = "What is a lease? How does a killed run go on?"
ANSWERS = ("A lease is a claim on a session", "A killed run goes on from its last checkpoint")

ROUTED = ["router", "researcher", "fact_checker", "writer"]
AGENTS = {
    "pipeline": ["researcher", "reviewer", "writer"],
    "fan_out": ["researcher", "analyst", "writer"],
    "supervisor": ROUTED,
    "team": ["router", *ROUTED, "reviewer"],
    "handoff": ["intake", "researcher", "writer"],
}
"""Whom each flow sets to work, in this order."""


@pytest.fixture
def desk(home: Path, dsn: str) -> Iterator[Desk]:
    """A place to run commands at, with documents and no model to reach."""
    (home / "docs").mkdir()
    for name, text in DOCUMENTS.items():
        (home / "docs" / name).write_text(text)
    table = Desk(home, NO_MODEL, dsn)
    yield table
    table.close()


@pytest.mark.parametrize("pattern", AGENTS)
def test_each_pattern_comes_to_a_report_whose_citations_hold(desk: Desk, pattern: str) -> None:
    """The agents work in the order the pattern says, and every part of the question is answered."""
    finished = run(desk, pattern, QUESTION)
    assert [each["agent"] for each in finished["agent_runs"]] == AGENTS[pattern]
    assert answered(finished) == ANSWERS
    (calls,) = (each["usage"]["model_calls"] for each in finished["agent_runs"] if each["agent"] == "writer")
    assert calls <= 2, "the writer merges what it is given, and does not search again"


def test_a_board_is_worked_on_in_rounds(desk: Desk) -> None:
    """What is not found is looked for again, what is found is checked, and then the report is written."""
    finished = run(desk, "blackboard", f"{QUESTION} How heavy is a lease?")
    agents = [each["agent"] for each in finished["agent_runs"]]
    assert (agents[0], agents[-1]) == ("researcher", "writer")
    assert agents.count("researcher") == 2
    assert "fact_checker" in agents
    assert answered(finished) == ANSWERS
    assert "heavy" in finished["report"].partition("## What could not be found")[2]


@pytest.mark.parametrize("file", ["doubted.yaml", "desk.yaml", "board.toml"])
def test_the_other_examples_come_to_an_end_too(desk: Desk, file: str) -> None:
    """Whoever works in them; none of their calls is refused."""
    assert run(desk, file, QUESTION)["report"]


def test_no_example_is_left_out() -> None:
    """A new one is run here, too."""
    known = {f"{name}.yaml" for name in (*AGENTS, "blackboard")} | {"doubted.yaml", "desk.yaml", "board.toml"}
    assert {path.name for path in (ROOT / "examples" / "flows").iterdir()} == known


def test_a_plain_question_is_handed_to_one_person(desk: Desk) -> None:
    """The intake tells a question of one part from one of several."""
    finished = run(desk, "handoff", "What is a lease?")
    assert [each["agent"] for each in finished["agent_runs"]] == ["intake", "analyst"]
    assert answered(finished) == ANSWERS[:1]


def test_what_the_documents_do_not_say_ends_in_a_report_too(desk: Desk) -> None:
    """Nobody is given an empty list to check, and the report says that there is nothing."""
    finished = run(desk, "supervisor", "What is the boiling point of Tungsten?")
    assert [each["agent"] for each in finished["agent_runs"]] == ["router", "researcher", "writer"]
    assert "do not answer this" in finished["report"]
    assert finished["citations"] == {"checked": 0, "failed": []}


def run(desk: Desk, pattern: str, question: str) -> dict[str, Any]:
    """Run an example, and give how its session ended."""
    flow = ROOT / "examples" / "flows" / (pattern if "." in pattern else f"{pattern}.yaml")
    command = desk.start("run", question, "--sources", "docs", "--offline", "--flow", str(flow))
    assert command.wait() == 0, command.errors
    finished = command.finished
    assert finished is not None
    assert finished["status"] == "done", finished
    assert {each["status"] for each in finished["agent_runs"]} == {"done"}
    used = finished["usage"]
    assert used["attempts"] == used["model_calls"], (
        "the service's rules, which are kept offline, refused a call"
    )
    return finished


def answered(finished: dict[str, Any]) -> tuple[str, ...]:
    """Give the answers that stand in a report with a number, after all of its citations were found good."""
    report, citations = finished["report"], finished["citations"]
    assert citations["failed"] == []
    assert citations["checked"] > 0
    assert "no language model was used" in report
    shortly = report.partition("## Short answer\n")[2].partition("\n## ")[0]
    return tuple(said for said in ANSWERS if said in shortly and "]" in shortly.partition(said)[2][:90])
