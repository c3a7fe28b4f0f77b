"""Work that takes its time: streams as real models send them, and tools of minutes; killed midway."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import psutil
import pytest

from tests.e2e.account import Account, account
from tests.e2e.long_scripts import BLOCK_HALF_SENT_S, STREAMED, stage_patient, stage_streaming
from tests.e2e.running import Command, Desk, desk_with_notes
from tests.kit.campaign import cases
from tests.kit.processes import kill, until_sync
from tests.kit.scripted_api import ScriptedProcess, scripted_process

Victim = Literal["harness", "harness and CLI", "CLI"]

# -- streams


@pytest.fixture
def stream(request: pytest.FixtureRequest, home: Path) -> Iterator[ScriptedProcess]:
    """A played model that streams one stage slowly; the parameter is (stage, whether it is cut)."""
    slow, cut = request.param
    given = {"slow": slow, "cut": cut, "holds": str(home)}
    with scripted_process("tests.e2e.long_scripts:streaming", home / "calls.jsonl", given=given) as played:
        yield played


@pytest.fixture
def table(home: Path, dsn: str, stream: ScriptedProcess) -> Iterator[Desk]:
    """A desk with the analyst's documents, whose model streams."""
    with desk_with_notes(home, stream.base_url, dsn) as desk:
        yield desk


def asking(table: Desk) -> Command:
    return table.start("run", "How?", "--sources", "notes.md", "--flow", "single")


def until_half_sent(stream: ScriptedProcess, stage: str) -> None:
    """Wait until about half of a stage's second block is on its way."""

    def asked() -> bool:
        return any(stage_streaming(call.request) == stage for call in stream.calls().messages())

    until_sync(asked, f"{stage} to be asked for", timeout_s=60)
    time.sleep(BLOCK_HALF_SENT_S)


@pytest.mark.parametrize(
    "stream",
    cases({"in a call": (("search-winds", True),), "in the report": (("report", True),)}, {"in a call"}),
    indirect=True,
)
def test_an_answer_that_breaks_off_in_mid_block_is_asked_for_again(
    table: Desk, stream: ScriptedProcess
) -> None:
    """The run ends as it would have, no tool runs on half a call, and what may have been paid is told."""
    command = asking(table)
    assert command.wait() == 0
    assert command.finished is not None
    assert command.finished["report"] == STREAMED
    found = account(table, stream, command.finished["session_id"], stage_streaming)
    found.check()
    assert set(found.answered.values()) == {1}
    assert found.state.usage.unattributed_calls == 1
    assert found.committed("tool.requested") == 2


@pytest.mark.parametrize(
    ("stream", "stage"),
    cases(
        {
            "a call": (("search-winds", False), "search-winds"),
            "the report": (("report", False), "report"),
        },
        {"the report"},
    ),
    indirect=["stream"],
)
def test_killed_while_a_block_is_half_sent(table: Desk, stream: ScriptedProcess, stage: str) -> None:
    """Nothing of the half block survives: only this step is asked for again, and the sums hold."""
    command = asking(table)
    until_half_sent(stream, stage)
    command.kill()
    session_id = command.session_id
    assert session_id is not None
    code, finished = table.run("resume", session_id)
    assert (code, finished["report"]) == (0, STREAMED)
    found = account(table, stream, session_id, stage_streaming)
    found.check()
    assert found.repeated <= {stage}
    assert found.committed("tool.requested") == 2


# -- tools


BUNDLE = """---
name: analyst
role: experimenter
description: Runs things that take long.
tools: [Bash]
output: markdown
limits: {max_steps: 5, max_cost_usd: 1.0, timeout_s: 1500}
replay: %s
---
You run things that take long.
"""

TOOLS = '''"""Tools that take as long as they are told."""

import asyncio

from harness import Tool, ToolContext, Toolset
from harness.records import Record


class Wait(Record):
    seconds: float
    notes: str


async def wait(context: ToolContext, given: Wait) -> str:
    with open(given.notes, "a") as notes:
        notes.write("began\\n")
    await asyncio.sleep(given.seconds)
    with open(given.notes, "a") as notes:
        notes.write("ended\\n")
    return "slept"


TOOLSET = Toolset(
    "lab",
    (
        Tool("measure", "Measures for a while.", Wait, wait, replay="idempotent"),
        Tool("look", "Looks for a while.", Wait, wait, replay="read_only"),
        Tool("launch", "Launches something.", Wait, wait),
    ),
)
'''

CALL = "toolu_long"


@dataclass(frozen=True)
class Long:
    """A tool that takes long. `again`: its replay class lets it run a second time."""

    tool: str
    seconds: int
    again: bool
    replay: str = "{}"

    def __str__(self) -> str:
        return f"{self.tool}{' again' if self.again else ''} {self.seconds} s"

    def call(self, notes: Path) -> dict[str, Any]:
        """Give the model's call."""
        if self.tool != "Bash":
            return {"name": self.tool, "input": {"seconds": self.seconds, "notes": str(notes)}, "id": CALL}
        # A single long sleep is refused by the CLI; the model asks for the time it needs.
        work = f"echo began >> {notes}; for i in $(seq {self.seconds}); do sleep 1; done"
        command = f"{work}; echo ended >> {notes}; echo slept"
        given = {"command": command, "description": "wait", "timeout": 1000 * (self.seconds + 100)}
        return {"name": "Bash", "input": given, "id": CALL}


MEASURE = Long("mcp__lab__measure", 10, again=True)
LOOK = Long("mcp__lab__look", 10, again=True)
LAUNCH = Long("mcp__lab__launch", 10, again=False)
SHELL = Long("Bash", 10, again=False)
SHELL_AGAIN = Long("Bash", 10, again=True, replay="{Bash: idempotent}")
ALL = (MEASURE, LOOK, LAUNCH, SHELL, SHELL_AGAIN)


@dataclass
class Lab:
    """A project whose analyst makes one long call."""

    desk: Desk
    api: ScriptedProcess
    notes: Path
    long: Long

    def began(self) -> int:
        """How often the tool has begun."""
        return self.notes.read_text().split().count("began") if self.notes.exists() else 0

    def start(self) -> Command:
        """Start a session and wait until its tool is at work."""
        command = self.desk.start("run", "Wait.", "--flow", "single")
        until_sync(lambda: self.began() == 1, "the tool to begin", timeout_s=60)
        return command

    def end(self, command: Command) -> Account:
        """Wait for the session's end and give its account, which must add up."""
        code = command.wait(self.long.seconds + 120)
        finished = command.finished
        assert finished is not None, "".join(command.errors)
        assert (code, finished["status"]) == (0, "done"), finished
        found = account(self.desk, self.api, finished["session_id"], stage_patient)
        found.check()
        return found


@pytest.fixture
def lab(request: pytest.FixtureRequest, home: Path, dsn: str) -> Iterator[Lab]:
    """The project, for the long tool of the parameter."""
    long: Long = request.param
    folder = home / "subagents" / "analyst"
    folder.mkdir(parents=True)
    (home / "harness.toml").write_text("")
    (folder / "AGENT.md").write_text(BUNDLE % long.replay)
    (folder / "tools.py").write_text(TOOLS)
    notes = home / "notes.log"
    given = {"calls": [long.call(notes)]}
    with scripted_process("tests.e2e.long_scripts:patient", home / "calls.jsonl", given=given) as api:
        with closing(Desk(home, api.base_url, dsn)) as desk:
            yield Lab(desk, api, notes, long)
        # A shell outlives a CLI that is killed.
        kill(*(p for p in psutil.process_iter() if str(notes) in " ".join(_command_line(p))))


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def killed_midway(lab: Lab, victim: Victim, after_s: float) -> None:
    """Kill in the middle of the tool: what may run again does, under its id, the rest is told as unknown."""
    command = lab.start()
    time.sleep(after_s)
    if victim == "CLI":
        kill(*command.clis())
    else:
        command.kill(clis_too=victim == "harness and CLI")
        assert command.session_id is not None
        command = lab.desk.start("resume", command.session_id)
    found = lab.end(command)
    assert found.answered == {"begin": 1, "report": 1}, "no model call is repeated"
    report = found.state.report or ""
    run = next(iter(found.state.runs.values()))
    assert list(run.tools) == [CALL]
    if lab.long.again:
        assert lab.began() == 2
        assert found.committed("tool.requested") == 2
        assert f"{CALL}: slept" in report
    else:
        assert lab.began() == 1
        assert found.committed("tool.requested") == 1
        assert "whether it took effect is unknown" in report


def undisturbed(lab: Lab) -> None:
    """Let the tool take its time; it runs once, and the agent gets its result."""
    found = lab.end(lab.start())
    assert (lab.began(), found.committed("tool.requested")) == (1, 1)
    assert f"{CALL}: slept" in (found.state.report or "")
    assert found.state.runs[next(iter(found.state.runs))].attempts == 1


QUICK: tuple[tuple[Long, Victim], ...] = ((MEASURE, "harness"), (LAUNCH, "harness and CLI"), (SHELL, "CLI"))


@pytest.mark.parametrize(("lab", "victim"), QUICK, indirect=["lab"], ids=str)
def test_killed_in_the_middle_of_a_tool(lab: Lab, victim: Victim) -> None:
    """Ten seconds of work: what may be repeated is run again, an unsafe call is not."""
    killed_midway(lab, victim, 1)


@pytest.mark.campaign
@pytest.mark.parametrize("victim", ["harness", "harness and CLI", "CLI"])
@pytest.mark.parametrize("lab", ALL, indirect=True, ids=str)
def test_killed_in_the_middle_of_any_tool(lab: Lab, victim: Victim) -> None:
    """The same for every kind of tool and every victim."""
    killed_midway(lab, victim, 5)


LONG = [replace(each, seconds=200) for each in ALL]


@pytest.mark.campaign
@pytest.mark.timeout(600)
@pytest.mark.parametrize("lab", [LONG[0], LONG[3]], indirect=True, ids=str)
def test_a_tool_of_200_seconds_is_left_alone(lab: Lab) -> None:
    """Longer than any lease and any deadline of a hook."""
    undisturbed(lab)


HALFWAY: tuple[tuple[Long, Victim], ...] = (
    (LONG[0], "harness"),
    (LONG[2], "harness"),
    (LONG[3], "harness and CLI"),
    (LONG[4], "CLI"),
)


@pytest.mark.campaign
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("lab", "victim"), HALFWAY, indirect=["lab"], ids=str)
def test_killed_100_seconds_into_a_tool(lab: Lab, victim: Victim) -> None:
    """A tool of 200 s, killed halfway: what may be repeated takes its 200 s again."""
    killed_midway(lab, victim, 100)
