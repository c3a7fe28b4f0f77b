"""Sessions recorded with the real CLI and run again without a model, up to the first change."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from harness import Harness, from_environment
from harness.errors import NotReplayable
from tests.cli.processes import NO_MODEL, run_process
from tests.e2e.crew import make_project
from tests.e2e.plays import stopped_at
from tests.e2e.running import ROOT, Desk
from tests.e2e.scripts import REPORT, stage_of
from tests.kit.campaign import cases
from tests.kit.processes import until_sync
from tests.kit.script import Reply, Request, text, tool_use
from tests.kit.scripted_api import ScriptedProcess, scripted_process

CALLS = 7
"""Three turns of the lead, and two of each of two researchers, one a round."""

NOBODY = {"ANTHROPIC_API_KEY": "", "ANTHROPIC_BASE_URL": NO_MODEL}
"""No key, and nobody who answers."""


@pytest.fixture
def api(home: Path, holds: Path) -> Iterator[ScriptedProcess]:
    """A short expedition: every agent's process takes a second."""
    given = {"holds": str(holds), "size": 1}
    with scripted_process("tests.e2e.scripts:expedition", home / "calls.jsonl", given=given) as played:
        yield played


Recorded = Callable[..., dict[str, Any]]


@pytest.fixture
def recorded(desk: Desk) -> Recorded:
    """Records a session to its end."""

    def record(*args: str, code: int = 0) -> dict[str, Any]:
        ended, finished = desk.run("run", "How?", "--sources", "notes.md", "--record", *args)
        assert ended == code, finished
        return finished

    return record


def replayed(desk: Desk, session_id: str, *args: str) -> tuple[int, dict[str, Any]]:
    """Replay it, with nobody to ask; give the exit code and the report."""
    code, report = desk.run("replay", session_id, *args, **NOBODY)
    assert report["event"] == "replay.finished"
    assert report["replays"] == session_id
    return code, report


def same(desk: Desk, finished: dict[str, Any], *args: str) -> dict[str, Any]:
    """Replay a session that must come out the same, with every call of it."""
    code, report = replayed(desk, finished["session_id"], *args)
    assert (code, report["same"], report["problem"]) == (0, True, None), report
    assert report["compared"] == report["recorded"] > 0
    assert report["report"] == finished["report"]
    return report


def test_a_recorded_session_runs_again_without_a_key_or_a_model(
    desk: Desk, api: ScriptedProcess, recorded: Recorded
) -> None:
    """Lead and subagents, to the same report; it is a session of its own, marked, and costs nothing."""
    finished = recorded()
    report = same(desk, finished)
    assert report["compared"] == CALLS
    assert report["bundles"] == []
    assert len(api.calls().messages()) == CALLS, "the model was not called again"
    code, shown = desk.run("show", report["session_id"])
    assert code == 0
    assert (shown["upstream"], shown["replays"]) == ("replay", finished["session_id"])
    assert (shown["status"], shown["cost_usd"]) == ("done", 0.0)
    assert shown["usage"]["output_tokens"] == finished["usage"]["output_tokens"]
    assert shown["sources"] == 1
    _, listed = desk.run("sessions")
    marks = {each["session_id"]: each["replays"] for each in listed["sessions"]}
    assert marks == {report["session_id"]: finished["session_id"], finished["session_id"]: None}
    code, again = desk.run("resume", report["session_id"], **NOBODY)
    assert (code, again["report"]) == (0, REPORT)


def changed_bundle(folder: Path, before: str, now: str) -> Path:
    """A project in which one word of the researcher's prompt is another."""
    bundle = folder / "subagents" / "researcher"
    shutil.copytree(ROOT / "subagents" / "researcher", bundle)
    file = bundle / "AGENT.md"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, now))
    return folder


def test_a_changed_prompt_stops_the_replay_at_its_agents_first_call(desk: Desk, recorded: Recorded) -> None:
    """The lead's turn is the same; the diff shows the changed word and little else."""
    finished = recorded()
    other = changed_bundle(desk.home / "other", "You are a source researcher.", "You are a source rummager.")
    code, report = replayed(desk, finished["session_id"], "--against", str(other))
    assert (code, report["same"], report["status"]) == (1, False, "suspended")
    stopped = report["stopped"]
    assert (stopped["why"], stopped["agent"], stopped["call"]) == ("differs", "researcher", 1)
    (found,) = report["differences"]
    assert found["part"] == "system prompt"
    lines = found["diff"].splitlines()
    assert "-You are a source researcher." in lines
    assert "+You are a source rummager." in lines
    assert len(lines) < 8, "the change, and not the prompt"
    assert [changed["bundle"] for changed in report["bundles"]] == ["researcher"]
    same(desk, finished)

    told = run_process(
        "replay", finished["session_id"][:8], "--against", str(other), dsn=desk.dsn, cwd=desk.home, **NOBODY
    )
    assert told.returncode == 1
    assert "differs from the recording in its system prompt." in told.stdout
    assert "+You are a source rummager." in told.stdout
    assert "\x1b" not in told.stdout, "a pipe gets no colours"


def test_a_stopped_replay_goes_on_once_the_change_is_undone(desk: Desk, recorded: Recorded) -> None:
    """It can be resumed like any session, and is killed like any: nothing of it is lost."""
    finished = recorded()
    other = changed_bundle(desk.home / "other", "You are a source researcher.", "You are a source rummager.")
    command = stopped_at(
        desk, ("replay", finished["session_id"], "--against", str(other)), "after replay.stopped"
    )
    assert command is not None, "it has to come to the difference"
    command.kill(clis_too=True)
    _, listed = desk.run("sessions")
    (replay,) = (each["session_id"] for each in listed["sessions"] if each["replays"])
    code, ended = desk.run("resume", replay, **NOBODY)
    assert (code, ended["status"], ended["report"]) == (0, "done", REPORT)
    assert ended["cost_usd"] == 0


STAGES = {"a researcher's answer": "answer-tides", "the lead's second turn": "lead-1"}


@pytest.mark.parametrize("stage", cases(STAGES, {"the lead's second turn"}))
def test_a_recording_is_whole_across_a_kill(
    desk: Desk, api: ScriptedProcess, holds: Path, stage: str
) -> None:
    """Killed with kill -9 and resumed, each completed call is in it once; a clean replay is the same."""
    (holds / f"{stage}.hold").write_text("0")
    command = desk.start("run", "How?", "--sources", "notes.md", "--record")
    until_sync(lambda: _held(api, stage), f"{stage} to be on the wire", timeout_s=60)
    command.kill()
    (holds / f"{stage}.hold").unlink()
    (holds / f"{stage}.go").touch()
    assert command.session_id is not None
    code, finished = desk.run("resume", command.session_id)
    assert (code, finished["report"]) == (0, REPORT)
    assert same(desk, finished)["recorded"] == CALLS


def _held(api: ScriptedProcess, stage: str) -> bool:
    return any(call.outcome == "open" and stage_of(call.request) == stage for call in api.calls().messages())


def test_a_follow_up_is_replayed_too(desk: Desk, recorded: Recorded) -> None:
    """It is asked again in the replay, once its first question is done."""
    finished = recorded()
    code, answered = desk.run("ask", finished["session_id"], "And who made the ropes?")
    assert code == 0
    report = same(desk, answered)
    assert report["compared"] == CALLS + 1


def test_a_session_that_was_not_recorded_cannot_be_replayed(desk: Desk, recorded: Recorded) -> None:
    """Neither can a replay; each is said in a sentence, and nothing is created."""
    code, plain = desk.run("run", "How?", "--sources", "notes.md")
    assert code == 0
    for session_id, says in (
        (plain["session_id"], "was not recorded; record the next one with: harness run --record"),
        (same(desk, recorded())["session_id"], "is itself a replay; replay the recorded one: harness replay"),
    ):
        _, before = desk.run("sessions")
        refused = desk.start("replay", session_id, **NOBODY)
        assert (refused.wait(), refused.lines) == (2, [])
        assert says in "".join(refused.errors)
        assert desk.run("sessions")[1] == before


def test_the_setting_records_every_session(desk: Desk) -> None:
    """Without an option; a session with a Claude login, which has no wire, runs all the same."""
    (desk.home / "harness.toml").write_text("record = true\n")
    _, finished = desk.run("run", "How?", "--sources", "notes.md", "--flow", "single")
    same(desk, finished)
    code, _ = desk.run("run", "How?", "--sources", "notes.md", "--direct")
    assert code == 0


async def test_a_program_replays_a_session(desk: Desk, recorded: Recorded) -> None:
    """By the library: the replay is a session, and what it found is a record."""
    finished = await asyncio.to_thread(recorded)
    options = {"dsn": desk.dsn, "home": desk.home / "harness"}
    async with Harness(project=desk.home, settings=from_environment(desk.home, options, {})) as harness:
        session = await harness.replay(finished["session_id"])
        assert (await session.result()).report == REPORT
        report = await harness.compared(session.id)
        assert (report.same, report.compared, report.status) == (True, CALLS, "done")
        with pytest.raises(NotReplayable, match="is no replay"):
            await harness.compared(finished["session_id"])


# -- flows


class TestCrew:
    """Routers, refusals and calls for help in a replay."""

    @pytest.fixture
    def api(self, home: Path) -> Iterator[ScriptedProcess]:
        with scripted_process("tests.e2e.crew:crew", home / "calls.jsonl") as played:
            yield played

    FLOWS: ClassVar = {
        "a router": ("{pattern: supervisor, members: [a, b]}", "Go", 0),
        "a router grants more": (
            "{pattern: supervisor, members: [{pattern: agent, agent: a, limits: {max_steps: 1}}]}",
            "Go",
            0,
        ),
        "one branch fails": (
            "{pattern: fan_out, branches: [a, b, c], policy: {kind: best_effort}}",
            "Go !fail:b",
            0,
        ),
        "an answer is sent back": ("{pattern: agent, agent: a, gate: {verifier: verifier}}", "Go !bad:a", 0),
        "a budget of steps": ("{pattern: agent, agent: a, limits: {max_steps: 1}}", "Go", 3),
    }

    @pytest.mark.parametrize(
        "name",
        cases(list(FLOWS), {"a router", "one branch fails", "an answer is sent back"}),
    )
    def test_a_flow_is_replayed(self, desk: Desk, name: str) -> None:
        """The same calls to the same end, whatever that is."""
        flow, question, code = self.FLOWS[name]
        make_project(desk.home)
        (desk.home / "flow.yaml").write_text(f"flow: {flow}\n")
        ended, finished = desk.run(
            "run", question, "--sources", "notes.md", "--flow", "flow.yaml", "--record"
        )
        assert ended == code, finished
        report = same(desk, finished)
        assert report["status"] == finished["status"]


class TestLongConversation:
    """A lead whose conversation is summed up on the way."""

    @pytest.fixture
    def api(self, home: Path, holds: Path) -> Iterator[ScriptedProcess]:
        given = {"holds": str(holds)}
        # Behind its summary the CLI keeps thinking that was bound to what it sums up: refused once.
        script, log = "tests.e2e.long_scripts:too_long", home / "calls.jsonl"
        with scripted_process(script, log, given=given, refuses=True) as played:
            yield played

    def test_a_compaction_is_replayed(self, recorded: Recorded, desk: Desk) -> None:
        """The refusal of what was too long, the summary, and the step after it."""
        finished = recorded()
        report = same(desk, finished)
        assert report["compared"] == finished["usage"]["model_calls"]


# -- tools

BUNDLE = """---
name: analyst
role: analyst
description: Answers a question alone.
output: markdown
limits: {max_steps: 9, timeout_s: 120}
---
You answer questions.
"""

TOOLS = '''from pathlib import Path

from harness import Tool, ToolContext, Toolset
from harness.records import Record


class Nothing(Record):
    """No input."""


async def ring(context: ToolContext, given: Nothing) -> str:
    """Leave a mark."""
    with (Path(__file__).parent / "rung").open("a") as file:
        file.write("x")
    return "It rang."


TOOLSET = Toolset("bell", (Tool("ring", "Rings the bell.", Nothing, ring, replay="{replay}"),))
'''


def ringer(request: Request) -> Reply:
    """Ring once, and tell."""
    if request.turn == 0:
        return Reply([tool_use("mcp__bell__ring", {})])
    return Reply([text("# Bell\n\nIt rang.")])


class TestTools:
    """Tools in a replay: run for real, unless their effect would happen again."""

    @pytest.fixture
    def api(self, home: Path) -> Iterator[ScriptedProcess]:
        with scripted_process("tests.e2e.test_replay:ringer", home / "calls.jsonl") as played:
            yield played

    def _record(self, desk: Desk, replay: str) -> tuple[dict[str, Any], Path]:
        folder = desk.home / "subagents" / "analyst"
        folder.mkdir(parents=True)
        (folder / "AGENT.md").write_text(BUNDLE)
        (folder / "tools.py").write_text(TOOLS.replace("{replay}", replay))
        code, finished = desk.run("run", "Ring?", "--flow", "single", "--record")
        assert code == 0, finished
        assert (folder / "rung").read_text() == "x"
        return finished, folder

    def test_an_unsafe_tool_is_not_run_again(self, desk: Desk) -> None:
        """The replay stops before it and says so; with --run-tools it goes to the end."""
        finished, folder = self._record(desk, "unsafe")
        code, report = replayed(desk, finished["session_id"])
        assert code == 1
        assert (report["stopped"]["why"], report["compared"]) == ("unsafe tool", 1)
        assert "analyst calls mcp__bell__ring, which is unsafe" in report["problem"]
        assert (folder / "rung").read_text() == "x"
        same(desk, finished, "--run-tools")
        assert (folder / "rung").read_text() == "xx"

    def test_a_changed_tool_stops_the_replay_at_the_first_call(self, desk: Desk) -> None:
        """Its description is what the model chooses it by; what it answers is seen at the next call."""
        finished, folder = self._record(desk, "read_only")
        same(desk, finished)
        tools = (folder / "tools.py").read_text()
        (folder / "tools.py").write_text(tools.replace("Rings the bell.", "Rings a bell."))
        code, report = replayed(desk, finished["session_id"])
        assert (code, report["stopped"]["call"]) == (1, 1)
        (found,) = report["differences"]
        assert found["part"] == "tool mcp__bell__ring"
        assert "+Rings a bell." in found["diff"]
        (folder / "tools.py").write_text(tools.replace('return "It rang."', 'return "Silence."'))
        code, report = replayed(desk, finished["session_id"])
        assert (code, report["stopped"]["call"]) == (1, 2)
        assert "+Silence." in json.dumps(report["differences"])
