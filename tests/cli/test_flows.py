"""`harness flows`, and `harness run` with a flow of one's own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.cli.processes import run_process

CLAIMS = """\
description: Has claims checked.
flow:
  pattern: pipeline
  stages: [researcher, {agent: fact_checker, take: {claims: previous.findings}}]
"""

BAD = """\
flow:
  pattern: pipeline
  stages: [reseacher, {pattern: fan_out, policy: {kind: quorum, n: 3}, branches: [fact_checker]}]
"""


@pytest.fixture
def project(home: Path) -> Path:
    """A project with a good flow, a doubtful one and a bad one."""
    (home / "harness.toml").touch()
    (home / "flows").mkdir()
    (home / "flows" / "claims.yaml").write_text(CLAIMS)
    (home / "flows" / "twice.toml").write_text(
        'flow = { pattern = "pipeline", stages = ["researcher", "analyst"] }\n'
    )
    (home / "bad.yaml").write_text(BAD)
    return home


def run(project: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return run_process(*args, cwd=project, HOME=str(project), HARNESS_HOME=str(project / "data"))


def test_flows_are_listed_with_their_origin(project: Path) -> None:
    """The built-in ones and the project's, for people and for programs."""
    ended = run(project, "flows", "--json")
    assert ended.returncode == 0, ended.stderr
    listed = {flow["name"]: flow for flow in json.loads(ended.stdout)["flows"]}
    assert set(listed) == {"research", "single", "claims", "twice"}
    assert listed["research"]["origin"] is None
    assert listed["claims"]["origin"].endswith("flows/claims.yaml")
    assert listed["claims"]["description"] == "Has claims checked."
    text = run(project, "flows").stdout
    assert "claims *" in text
    assert "* from the project" in text


def test_check_says_all_problems_at_once(project: Path) -> None:
    """A bad flow ends with 2 and a line for each problem; nothing is on stdout and nothing is created."""
    ended = run(project, "flows", "check", "bad.yaml")
    assert (ended.returncode, ended.stdout) == (2, "")
    lines = ended.stderr.splitlines()
    assert all(line.startswith("Error: bad.yaml: ") for line in lines)
    assert len(lines) == 2
    for says in (
        "stages.0.agent: there is no bundle 'reseacher'",
        "stages.1.policy.n: 3 branches are wanted",
    ):
        assert says in ended.stderr
    listed = run(project, "flows", "check", "bad.yaml", "--json")
    assert listed.returncode == 2
    assert [f"Error: {problem}" for problem in json.loads(listed.stdout)["problems"]] == lines
    assert not (project / "data").exists()


def test_check_passes_what_can_be_run_and_says_its_doubts(project: Path) -> None:
    """A good flow ends with 0, by its name and by its file; warnings stop nothing."""
    for flow in ("claims", "flows/claims.yaml", "research"):
        ended = run(project, "flows", "check", flow)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{flow} can be run.\n", "")
    doubtful = run(project, "flows", "check", "twice")
    assert doubtful.returncode == 0
    assert "warning: " in doubtful.stdout
    assert "stages.1.take: it takes nothing of the stages before it" in doubtful.stdout


def test_show_draws_what_is_taken_from_where(project: Path) -> None:
    """The tree has the sources that were found by name, and the chart is Mermaid's."""
    drawn = run(project, "flows", "show", "claims")
    assert drawn.returncode == 0, drawn.stderr
    assert "1. researcher" in drawn.stdout
    assert "objective <- question" in drawn.stdout
    assert run(project, "flows", "show", "claims", "--mermaid").stdout.startswith("flowchart TD\n")
    both = json.loads(run(project, "flows", "show", "claims", "--json").stdout)
    assert both["tree"].splitlines() == drawn.stdout.splitlines()
    refused = run(project, "flows", "show", "bad.yaml")
    assert (refused.returncode, refused.stdout) == (2, "")


def test_run_takes_a_name_or_a_file(project: Path) -> None:
    """The plan of a flow of one's own names each agent in its place, and a bad flow is refused."""
    planned = run(project, "run", "Why?", "--flow", "claims", "--plan", "--json")
    assert planned.returncode == 0, planned.stderr
    plan = json.loads(planned.stdout)
    assert plan["flow"] == "claims"
    assert [(agent["node"], agent["part"], agent["runs"]) for agent in plan["agents"]] == [
        ("researcher", "stage", 1),
        ("fact_checker", "stage", 1),
    ]
    refused = run(project, "run", "Why?", "--flow", "bad.yaml", "--plan", "--offline")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "stages.0.agent" in refused.stderr
    assert "stages.1.policy.n" in refused.stderr


def test_the_plan_of_nested_patterns_counts_everyone(project: Path) -> None:
    """A supervisor's decisions, its members and what is within them are each a line of their own."""
    example = str(ROOT / "examples" / "flows" / "desk.yaml")
    planned = run(project, "run", "Why?", "--flow", example, "--plan", "--json")
    assert planned.returncode == 0, planned.stderr
    plan = json.loads(planned.stdout)
    assert [agent["node"] for agent in plan["agents"]] == [
        "router",
        "researcher",
        "fact_checker",
        "doubted/researcher",
        "doubted/doubts/fact_checker",
        "doubted/doubts/opponent",
        "writer",
    ]
    router = plan["agents"][0]
    assert (router["part"], router["steps"], router["runs"]) == ("router", 5, 1)
    assert plan["cost_usd"] == pytest.approx(sum(agent["cost_usd"] for agent in plan["agents"]))


def test_a_supervisor_is_not_run_without_the_gateway(project: Path) -> None:
    """Its decisions are calls that only the gateway can make."""
    example = str(ROOT / "examples" / "flows" / "desk.yaml")
    refused = run(project, "run", "Why?", "--flow", example, "--direct")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "leave --direct out" in refused.stderr
