"""What stands between an agent and the machine, tried with the real CLI and its real shell tool."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import Desk
from tests.kit.processes import API_KEY
from tests.kit.script import Reply, Request, text, tool_use
from tests.kit.scripted_api import ScriptedProcess, scripted_process

GUARDS = ("lease", "budget", "delegation", "snapshot")
"""Every built-in hook that must stop the tool when it fails."""

BUNDLE = """---
name: analyst
role: shell operator
description: Runs one command.
tools: [Bash]
output: markdown
limits: {max_steps: 5, max_cost_usd: 1.0, timeout_s: 120}
---
You run commands.
"""


def shell(request: Request, command: str) -> Reply:
    """Ask for one shell command, then tell what came of it."""
    if request.turn == 0:
        return Reply([tool_use("Bash", {"command": command, "description": "run it"})])
    return Reply([text("RESULT " + " ".join(result.text for result in request.tool_results()))])


def project(desk: Desk, hooks: dict[str, str], settings: str = "") -> None:
    """Make the desk's home a project with one shell bundle and hooks of its own."""
    (desk.home / "harness.toml").write_text(settings)
    (desk.home / "subagents" / "analyst").mkdir(parents=True)
    (desk.home / "subagents" / "analyst" / "AGENT.md").write_text(BUNDLE)
    (desk.home / "hooks").mkdir()
    for name, source in hooks.items():
        (desk.home / "hooks" / f"{name}.py").write_text(source)


@pytest.fixture
def touched(home: Path) -> Path:
    """The file that the shell command would make."""
    return home / "touched"


@pytest.fixture
def api(home: Path, touched: Path) -> Iterator[ScriptedProcess]:
    with scripted_process(
        "tests.e2e.test_guards:shell", home / "calls.jsonl", given={"command": f"touch {touched}"}
    ) as a:
        yield a


FAILING = """import asyncio
from harness.hooks import Hook

async def fail(call, run):
    {body}

HOOK = Hook(name="{name}", order=1, on_failure="deny", before_tool=fail)
"""


@pytest.mark.parametrize(
    "body", ["raise RuntimeError('broken')", "await asyncio.sleep(3600)"], ids=["raises", "hangs"]
)
@pytest.mark.parametrize("name", GUARDS)
def test_a_guard_that_fails_stops_the_tool(desk: Desk, touched: Path, name: str, body: str) -> None:
    """Whatever guarding hook raises or hangs, the shell command does not run and the agent is told why."""
    project(desk, {name: FAILING.format(name=name, body=body)}, "[hooks]\ndeadline_s = 1.0\n")
    code, finished = desk.run("run", "Touch it.", "--flow", "single")
    assert code == 0, finished
    assert not touched.exists(), "the tool ran although its guard failed"
    assert f"hook '{name}' failed" in finished["report"]


def test_a_watcher_that_fails_stops_nothing(desk: Desk, touched: Path) -> None:
    """Spans never stop a run: the command runs although the hook that records its end raises."""
    source = FAILING.format(name="spans", body="raise RuntimeError('broken')")
    source = source.replace('on_failure="deny", before_tool', 'on_failure="ignore", after_tool')
    project(desk, {"spans": source})
    code, _ = desk.run("run", "Touch it.", "--flow", "single")
    assert code == 0
    assert touched.exists()


def test_a_hook_of_the_project_adds_to_the_built_in_ones(desk: Desk, touched: Path) -> None:
    """A new file in hooks/ is in force at once."""
    deny = "from harness.hooks import Deny, Hook\n\nasync def no(call, run):\n    return Deny('No.')\n\n"
    project(
        desk, {"watch": deny + 'HOOK = Hook(name="watch", order=30, on_failure="deny", before_tool=no)\n'}
    )
    code, finished = desk.run("run", "Touch it.", "--flow", "single")
    assert code == 0
    assert not touched.exists()
    assert "hook error: No." in finished["report"]


class TestEnvironment:
    @pytest.fixture
    def api(self, home: Path) -> Iterator[ScriptedProcess]:
        with scripted_process(
            "tests.e2e.test_guards:shell", home / "calls.jsonl", given={"command": "env"}
        ) as api:
            yield api

    def test_an_agent_sees_no_secret(self, desk: Desk, api: ScriptedProcess, dsn: str) -> None:
        """What an agent prints holds no key, DSN or Langfuse variable; the upstream got the real key."""
        project(desk, {})
        secrets = {
            "LANGFUSE_SECRET_KEY": "sk-lf-canary",
            "LANGFUSE_PUBLIC_KEY": "pk-lf-canary",
            "PGPASSWORD": "pg-canary",
            "AWS_SECRET_ACCESS_KEY": "aws-canary",
            "MY_DATABASE_URL": "postgres://canary:canary@127.0.0.1/x",
        }
        code, finished = desk.run("run", "Print it.", "--flow", "single", **secrets)
        assert code == 0
        printed = finished["report"]
        assert "PATH=" in printed, "the command must have printed an environment"
        for word in ("canary", API_KEY, "LANGFUSE", "HARNESS_DSN", "PGPASSWORD", dsn):
            assert word not in printed
        calls = api.calls().messages()
        assert calls
        assert {call.request.api_key for call in calls} == {API_KEY}
        assert "canary" not in json.dumps([call.request.body for call in calls])
