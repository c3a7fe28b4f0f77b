"""Plans, projects, agents and the database: commands that start no session."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.processes import NO_MODEL, document, run_process
from tests.kit.processes import clean_env


def test_the_plan_is_an_estimate_and_creates_nothing(home: Path) -> None:
    """It names every agent with model, limits and cost, states what it assumes, and touches no store."""
    (home / "notes.md").write_text("# Tides\n")
    env = clean_env(home, NO_MODEL, HARNESS_HOME=str(home / "data"))
    planned = run_process("run", "Why?", "--sources", "notes.md", "--plan", "--json", cwd=home, **env)
    assert planned.returncode == 0, planned.stderr
    plan = json.loads(planned.stdout)
    assert [agent["agent"] for agent in plan["agents"]] == ["lead", "researcher", "fact_checker"]
    assert plan["cost_usd"] == pytest.approx(sum(agent["cost_usd"] for agent in plan["agents"]))
    assert plan["cost_usd"] > 0
    assert plan["assumptions"]["first_prompt"] > 0
    assert not (home / "data").exists()
    text = run_process("run", "Why?", "--plan", "--offline", "--flow", "single", cwd=home, **env).stdout
    assert "analyst" in text
    assert "costs nothing" in text


def test_a_plan_shows_prices_of_ones_own_and_the_fallback(home: Path) -> None:
    """What a model costs has to be said in harness.toml; the estimate goes by it and names it."""
    lines = ["[models]", 'lead = "house-model-1"', 'fallback = "house-model-2"']
    lines += [f'[prices."house-model-{number}"]\ninput = 1000\noutput = 2000' for number in (1, 2)]
    env = clean_env(home, NO_MODEL, HARNESS_HOME=str(home / "data"))
    (home / "harness.toml").write_text("\n".join(lines[:3]))
    unknown = run_process("run", "Why?", "--plan", cwd=home, **env)
    assert unknown.returncode == 2
    assert "The price of the model 'house-model-1' is not known" in unknown.stderr
    (home / "harness.toml").write_text("\n".join(lines))
    plan = json.loads(run_process("run", "Why?", "--plan", "--json", cwd=home, **env).stdout)
    assert plan["cost_usd"] > 50
    assert plan["own_prices"]["house-model-1"]["output"] == 2000
    text = run_process("run", "Why?", "--plan", cwd=home, **env).stdout
    assert "Your own price of house-model-1: $1000 in and $2000 out, per million tokens." in text
    assert "is answered by house-model-2." in text


def test_a_project_grows_from_two_commands(home: Path) -> None:
    """A new folder gets settings and a first agent, which is listed as its own and has no errors."""
    env = {"HOME": str(home), "HARNESS_HOME": str(home / "data")}
    assert run_process("init", "mine", cwd=home, **env).returncode == 0
    project = home / "mine"
    made = run_process("agents", "new", "tide_reader", cwd=project, **env)
    assert made.returncode == 0, made.stderr
    listed = json.loads(run_process("agents", "--json", cwd=project, **env).stdout)["agents"]
    own = [agent for agent in listed if agent["origin"]]
    assert [agent["name"] for agent in own] == ["tide_reader"]
    assert {"lead", "researcher", "fact_checker", "analyst"} <= {agent["name"] for agent in listed}
    lint = run_process("agents", "lint", "--json", cwd=project, **env)
    assert lint.returncode == 0
    assert [f for f in json.loads(lint.stdout)["findings"] if f["level"] == "error"] == []


def test_lint_ends_with_two_when_an_agent_cannot_be_used(home: Path) -> None:
    """An agent with more than ten tools is named, and a script notices."""
    folder = home / "subagents" / "greedy"
    folder.mkdir(parents=True)
    tools = ", ".join(f"Tool{number}" for number in range(11))
    (folder / "AGENT.md").write_text(
        f"---\nname: greedy\nrole: eater\ndescription: Eats.\noutput: markdown\ntools: [{tools}]\n---\nEat.\n"
    )
    ended = run_process("agents", "lint", cwd=home, HOME=str(home))
    assert ended.returncode == 2
    assert "error: greedy: has 11 tools" in ended.stdout
    assert run_process("agents", "lint", "--flow", "single", cwd=home, HOME=str(home)).returncode == 0


@pytest.mark.parametrize(
    ("tool", "says"),
    [
        ("Nosuch", "tools: nobody offers 'Nosuch'; name a toolset (board, corpus, files, web)"),
        ("read", "tools: nobody offers 'read' (did you mean 'Read'?)"),
        (
            "mcp__sums__add",
            "tools: 'mcp__sums__add' is one tool of 'sums'; ask for all of them: tools: [sums]",
        ),
        ("mcp__summs__add", "tools: nobody offers 'mcp__summs__add' (did you mean 'sums'?)"),
    ],
)
def test_a_tool_that_nobody_offers_is_said_before_anything_starts(home: Path, tool: str, says: str) -> None:
    """By the check of agents, by that of a flow, and by the run, which creates nothing."""
    (home / "harness.toml").write_text('[mcp_servers.sums]\nurl = "https://sums.example.com/mcp"\n')
    folder = home / "subagents" / "analyst"
    folder.mkdir(parents=True)
    good = (
        "---\nname: analyst\nrole: analyst\ndescription: Answers.\noutput: markdown\n"
        "tools: [corpus, sums, Bash]\n---\nAnswer.\n"
    )
    (folder / "AGENT.md").write_text(good)
    env = clean_env(home, NO_MODEL, HARNESS_HOME=str(home / "data"))
    assert run_process("flows", "check", "single", cwd=home, **env).returncode == 0
    (folder / "AGENT.md").write_text(good.replace("Bash", tool))
    for command in (("agents", "lint"), ("flows", "check", "single"), ("run", "Why?", "--flow", "single")):
        ended = run_process(*command, cwd=home, **env)
        assert ended.returncode == 2, command
        assert says in ended.stdout + ended.stderr
        assert "analyst" in ended.stdout + ended.stderr
    assert not (home / "data").exists()


def test_lint_shows_what_is_wrong_with_a_flow(home: Path) -> None:
    """Its agents, its depth and its crowds in one list; the exit code says that it cannot be run."""
    (home / "harness.toml").write_text('[mcp_servers.papers]\nurl = "https://papers.example.com/mcp"\n')
    folder = home / "subagents" / "librarian"
    folder.mkdir(parents=True)
    (folder / "AGENT.md").write_text(
        "---\nname: librarian\nrole: librarian\ndescription: Finds papers.\noutput: markdown\n"
        "tools: [papers]\n---\nFind papers.\n"
    )
    inner = "{agent: librarian, name: worker1}"
    for depth in range(4):
        inner = f"{{pattern: team, name: team{depth}, description: Deep., members: [{inner}]}}"
    (home / "deep.yaml").write_text(f"flow: {inner}\n")
    ended = run_process("agents", "lint", "--flow", "deep.yaml", "--json", cwd=home, HOME=str(home))
    assert ended.returncode == 2, ended.stderr
    found = json.loads(ended.stdout)["findings"]
    assert [each["level"] for each in found] == ["error", *["warning"] * (len(found) - 2), "note"]
    said = " ".join(each["message"] for each in found)
    for part in ("4th supervisor", "nested 3 deep", "'worker1' is no real role", "termination is missing"):
        assert part in said
    assert "MCP server 'papers' is counted as one tool" in found[-1]["message"]
    assert found[0]["agent"] is None


async def test_the_state_of_the_database_is_one_document(dsn: str, empty_dsn: str) -> None:
    """Pending migrations are told, applied on demand, and gone afterwards."""
    assert (await document("db", "status", dsn=dsn))["pending"] == []
    assert len((await document("db", "status", dsn=empty_dsn))["pending"]) >= 2
    assert len((await document("db", "migrate", dsn=empty_dsn))["applied"]) >= 2
    assert (await document("db", "status", dsn=empty_dsn))["pending"] == []
    assert await document("db", "migrate", dsn=empty_dsn) == {"applied": []}


def test_a_home_without_a_database_can_be_asked_about(home: Path) -> None:
    """Looking makes nothing."""
    env = {"HOME": str(home), "HARNESS_HOME": str(home / "data")}
    status = json.loads(run_process("db", "status", "--json", cwd=home, **env).stdout)
    assert (status["kind"], status["running"], status["pending"]) == ("embedded", False, None)
    stopped = run_process("db", "stop", "--json", cwd=home, **env)
    assert (stopped.returncode, json.loads(stopped.stdout)) == (0, {"stopped": False})
    assert not (home / "data").exists()
