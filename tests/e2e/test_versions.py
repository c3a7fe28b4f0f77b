"""Versions with the real CLI: sessions that keep what they began with, and a new version that fails."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.processes import run_process
from tests.e2e.crew import crew, make_project, who
from tests.e2e.running import Desk
from tests.kit.processes import until_sync
from tests.kit.script import Reply, Request
from tests.kit.scripted_api import ScriptedProcess, scripted_process

LINE = "flow: {pattern: pipeline, stages: [a, b]}\n"


def clumsy(request: Request, holds: str = "") -> Reply:
    """The crew, of which a version that is told to be clumsy always fails."""
    if "Be clumsy." in request.system_text:
        return Reply(status=400, error="It was clumsy.")
    return crew(request, holds)


@pytest.fixture
def api(home: Path) -> Iterator[ScriptedProcess]:
    (home / "holds").mkdir()
    given = {"holds": str(home / "holds")}
    with scripted_process("tests.e2e.test_versions:clumsy", home / "calls.jsonl", given=given) as played:
        yield played


@pytest.fixture
def desk(home: Path, dsn: str, api: ScriptedProcess) -> Iterator[Desk]:
    make_project(home, "ab")
    (home / "flows").mkdir()
    (home / "flows" / "line.yaml").write_text(LINE)
    (home / "notes.md").write_text("# Notes\n\na b.\n")
    with closing(Desk(home, api.base_url, dsn)) as table:
        yield table


RUN = ("run", "Go", "--sources", "notes.md", "--flow", "line")


def told(api: ScriptedProcess, name: str) -> list[str]:
    """What the agent's own prompt said at each of its calls."""
    calls = [call.request for call in api.calls().messages() if who(call.request) == name]
    return ["new" if "Be new." in each.system_text else "old" for each in calls]


def version_of(project: Path, name: str, says: str) -> Path:
    """A new version of an agent, beside the project's own."""
    place = project / "next" / name
    shutil.copytree(project / "subagents" / name, place)
    with (place / "AGENT.md").open("a") as file:
        file.write(says + "\n")
    return place


def test_a_killed_session_goes_on_with_the_agents_that_it_began_with(
    desk: Desk, api: ScriptedProcess
) -> None:
    """Though one was changed on disk and the other is gone; a session that begins then gets what is there."""
    holds, agents = desk.home / "holds", desk.home / "subagents"
    (holds / "a.hold").touch()
    command = desk.start(*RUN)
    until_sync(
        lambda: any(call.outcome == "open" for call in api.calls().messages()),
        "a to be at work",
        timeout_s=90,
    )
    command.kill(clis_too=True)
    (holds / "a.hold").unlink()
    (holds / "a.go").touch()
    new = version_of(desk.home, "a", "Be new.")
    shutil.rmtree(agents / "a")
    shutil.copytree(new, agents / "a")
    shutil.move(agents / "b", desk.home / "b")
    assert command.session_id is not None
    code, finished = desk.run("resume", command.session_id)
    assert code == 0, finished
    assert "b did: Go" in finished["report"]
    assert set(told(api, "a") + told(api, "b")) == {"old"}
    code, doctor = desk.run("doctor", "--session", command.session_id)
    assert code == 0, doctor

    shutil.move(desk.home / "b", agents / "b")
    code, finished = desk.run(*RUN)
    assert code == 0, finished
    assert told(api, "a")[-1] == "new"


def test_a_new_version_that_fails_is_aborted_with_the_numbers_of_both(
    desk: Desk, api: ScriptedProcess
) -> None:
    """By the session whose end crosses the limit; who begins afterwards gets the old version."""
    new = version_of(desk.home, "a", "Be clumsy.")
    code, begun = desk.run(
        "rollout",
        "start",
        str(new),
        "--for-tenant",
        "pilot",
        "--min-sessions",
        "1",
        "--max-failure-rate",
        "0.5",
    )
    assert code == 0
    assert (begun["rollout"]["name"], begun["rollout"]["percent"]) == ("a", 100)
    code, good = desk.run(*RUN)
    assert code == 0, good
    _, status = desk.run("rollout", "status")
    (rollout,) = status["rollouts"]
    assert (rollout["status"], rollout["arms"]["old"]["ended"], rollout["arms"]["new"]["begun"]) == (
        "running", 1, 0,
    )  # fmt: skip
    code, bad = desk.run(*RUN, "--tenant", "pilot")
    assert code != 0, bad
    assert bad["status"] in ("failed", "needs_help")
    _, status = desk.run("rollout", "status")
    (rollout,) = status["rollouts"]
    assert rollout["status"] == "aborted"
    assert rollout["reason"] == (
        "With the new version 1 of 1 sessions failed (100 %), with the old one 0 of 1 (0 %); "
        "the limit is 50 points more."
    )
    figures = {
        arm: (each["ended"], each["failed"], each["failure_rate"]) for arm, each in rollout["arms"].items()
    }
    assert figures == {"old": (1, 0, 0.0), "new": (1, 1, 1.0)}
    assert rollout["arms"]["old"]["passed"] == 2
    code, after = desk.run(*RUN, "--tenant", "pilot")
    assert code == 0, after
    shown = run_process("rollout", "status", dsn=desk.dsn, cwd=desk.home)
    assert shown.returncode == 0, shown.stderr
    assert rollout["reason"] in shown.stdout
    assert "1 (100 %)" in shown.stdout
