"""Sessions forked at their events and resumed: what was finished is neither done nor paid again."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness import events as ev
from harness.state import SessionState, fold
from harness.store.database import Database
from harness.store.embedded import EmbeddedServer
from harness.store.record import SessionRecord, read_record
from tests.e2e.fork_scripts import REPORT, STAGES, TOPICS, report_on, stage_of
from tests.e2e.running import Command, Desk, desk_with_notes, interrupt
from tests.kit.campaign import cases
from tests.kit.databases import fresh_database
from tests.kit.homes import new_home
from tests.kit.processes import until_sync
from tests.kit.rows import rows_of
from tests.kit.scripted_api import ScriptedProcess, scripted_process
from tests.kit.seeds import run_seed

SURVEY = "tests.e2e.fork_scripts:survey"


@pytest.fixture
def api(home: Path, holds: Path) -> Iterator[ScriptedProcess]:
    """The played survey."""
    given = {"holds": str(holds)}
    with scripted_process(SURVEY, home / "calls.jsonl", given=given) as played:
        yield played


@dataclass
class Old:
    """A session that has ended, with all that is stored of it."""

    desk: Desk
    api: ScriptedProcess
    id: str

    def __post_init__(self) -> None:
        self.journal = _record(self.desk, self.id).journal
        self.stored = rows_of(self.desk.dsn or "", self.id)
        self.mark()

    def mark(self) -> None:
        """Count calls from here on."""
        self.calls = len(self.api.calls().messages())

    def at(self, kind: str, number: int = 0, **fields: Any) -> int:
        """The number of an event of this kind with these fields: the `number`th, from 0 or from the end."""
        found = [
            event.seq
            for event in self.journal
            if event.payload.kind == kind
            if all(getattr(event.payload, name) == value for name, value in fields.items())
        ]
        return found[number]

    def topic(self, at: int) -> str:
        """The topic of the agent run that an event belongs to."""
        run_id = self.journal[at - 1].agent_run_id or ""
        return str(fold(self.id, self.journal).runs[run_id].task.payload.get("objective"))

    def answered(self, at: int) -> set[str]:
        """The stages whose answers the journal had at this event."""
        known = {e.payload.message_id for e in self.journal[:at] if isinstance(e.payload, ev.ModelFinished)}
        calls = self.api.calls().messages()
        return {stage_of(call.request) for call in calls if (call.message or {}).get("id") in known}

    def asked_since(self) -> Counter[str]:
        """The stages that the upstream was asked for since it ended or was marked."""
        return Counter(stage_of(call.request) for call in self.api.calls().messages()[self.calls :])

    def is_as_it_was(self) -> bool:
        """Whether all that is stored of it is byte for byte the same."""
        return rows_of(self.desk.dsn or "", self.id) == self.stored


@pytest.fixture(scope="module")
def survey(postgres: EmbeddedServer, migrated_template: str) -> Iterator[Old]:
    """A survey that was made without a disturbance; whatever is forked from it, it stays as it is."""
    with (
        new_home() as home,
        fresh_database(postgres.dsn, migrated_template) as dsn,
        scripted_process(SURVEY, home / "calls.jsonl") as api,
        desk_with_notes(home, api.base_url, dsn) as desk,
    ):
        code, finished = desk.run("run", "How?", "--sources", "notes.md")
        assert (code, finished["report"]) == (0, REPORT), finished
        assert Counter(stage_of(call.request) for call in api.calls().messages()) == Counter(STAGES)
        yield Old(desk, api, finished["session_id"])


@pytest.fixture
def old(survey: Old) -> Old:
    """The survey, with calls counted from the beginning of the test."""
    survey.mark()
    return survey


def resumed(old: Old, at: int | str, *edits: str, report: str = REPORT) -> SessionState:
    """Fork and resume in one; nothing that was answered by then is asked for again, and all adds up."""
    given = [part for edit in edits for part in ("--edit", edit)]
    code, finished = old.desk.run("resume", old.id, "--at", str(at), *given)
    assert (code, finished["report"]) == (0, report), finished
    assert finished["session_id"] != old.id
    record = _record(old.desk, finished["session_id"])
    state = record.state
    assert [gap.what for gap in record.gaps] == []
    assert state.forked is not None
    asked = old.asked_since()
    assert not set(asked) & old.answered(state.forked.at), asked
    assert set(asked.values()) <= {1}, asked
    assert finished["usage"]["model_calls"] == asked.total()
    assert finished["usage"]["unattributed_calls"] == 0
    assert old.is_as_it_was()
    return state


POINTS: dict[str, Callable[[Old], int]] = {
    "the session was created": lambda old: 1,
    "the delegation was asked for": lambda old: old.at("delegation.requested"),
    "the lead sleeps": lambda old: old.at("agent_run.suspended"),
    "one subagent has finished": lambda old: old.at("agent_run.finished"),
    "a subagent is at a tool": lambda old: old.at("tool.requested", tool="mcp__corpus__search"),
    "before the report": lambda old: old.at("model.requested", -1),
    "the report": lambda old: old.at("agent_run.finished", -1),
    "its end": lambda old: len(old.journal),
}


@pytest.mark.parametrize(
    "point", cases(POINTS, {"the lead sleeps", "a subagent is at a tool", "before the report", "its end"})
)
def test_a_fork_ends_as_its_origin_did(old: Old, point: Callable[[Old], int]) -> None:
    """The same report, for the calls that were not answered by the point, and the origin stays as it was."""
    at = point(old)
    state = resumed(old, at)
    assert state.inherited.usage.model_calls == len(old.answered(at))
    answers = [event for event in old.journal[:at] if isinstance(event.payload, ev.AgentRunFinished)]
    done = {event.agent_run_id or "" for event in answers}
    assert all(state.runs[run_id].attempts == 1 for run_id in done)


def test_at_a_tool_the_call_itself_is_made_again_and_not_its_message(old: Old) -> None:
    """A tool's checkpoint may precede the end of the message that calls it, which is there all the same."""
    at = old.at("tool.requested", -1, tool="mcp__corpus__search")
    topic = old.topic(at)
    call = old.journal[at - 1].payload
    assert isinstance(call, ev.ToolRequested)
    state = resumed(old, at)
    assert f"search-{topic}" not in old.asked_since()
    run = next(run for run in state.runs.values() if run.task.payload.get("objective") == topic)
    assert next(iter(run.tools)) == call.tool_use_id
    assert run.steps == 2


def test_forked_anywhere_it_ends_alike(old: Old) -> None:
    """At events that chance chooses, each fork of the same origin."""
    dice = random.Random(run_seed())
    for at in dice.sample(range(1, len(old.journal) + 1), 4):
        print(f"at {at}, {old.journal[at - 1].payload.kind}; repeat with HARNESS_TEST_SEED={run_seed()}")
        old.mark()
        resumed(old, at)


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_forked_at_every_event_it_ends_alike(old: Old) -> None:
    """There is no event that is no point."""
    wrong: dict[str, str] = {}
    for event in old.journal:
        old.mark()
        try:
            resumed(old, event.seq)
        except AssertionError as problem:
            wrong[f"{event.seq} {event.payload.kind}"] = str(problem)
    assert wrong == {}


def test_the_report_follows_an_edited_task(old: Old) -> None:
    """The agent run whose task was changed works on it, and nobody else's work is repeated."""
    created = (event.seq for event in old.journal if event.payload.kind == "agent_run.created")
    at = next(seq for seq in created if old.topic(seq) == "winds")
    report = report_on("All about tides.", "All about gales.", "All about ropes.")
    resumed(old, at, "task.payload.objective=gales", report=report)
    assert "answer-gales" in old.asked_since()
    assert "answer-winds" not in old.asked_since()


def test_the_report_follows_an_edited_answer(old: Old) -> None:
    """The lead is told what the edit says; the agent run itself is not run again."""
    at = old.at("agent_run.finished")
    topic = old.topic(at)
    found = ["Nothing, 42." if each == topic else f"All about {each}." for each in TOPICS]
    state = resumed(old, at, "outcome.output.summary=Nothing, 42.", report=report_on(*found))
    assert not {f"search-{topic}", f"answer-{topic}"} & set(old.asked_since())
    assert state.forked is not None
    assert state.forked.edits == {"outcome.output.summary": "Nothing, 42."}


def test_the_report_follows_an_edited_delegation(old: Old) -> None:
    """The task that runs is the edited one, though the lead's own words were others."""
    at = old.at("delegation.requested")
    report = report_on("All about ebbs.", "All about winds.", "All about ropes.")
    resumed(old, at, "tasks.0.payload.objective=ebbs", report=report)
    assert "lead-0" not in old.asked_since()


def test_a_fork_is_forked(old: Old) -> None:
    """Before and after the point of the first fork; what is inherited keeps the first session's ids."""
    at = old.at("agent_run.suspended", -1)
    first = resumed(old, at)
    fork = Old(old.desk, old.api, first.id)
    for point in (old.at("agent_run.finished"), len(fork.journal) - 2):
        fork.mark()
        second = resumed(fork, point)
        assert second.root_id == old.id
        assert second.forked is not None
        assert second.forked.origin == fork.id
        assert fold(fork.id, fork.journal[:point]).runs.keys() <= second.runs.keys()
    assert old.is_as_it_was()


def test_a_fork_of_a_session_at_work_touches_nothing_of_it(
    desk: Desk, api: ScriptedProcess, holds: Path
) -> None:
    """Resumed beside it with the same agent runs, it neither ends its CLIs nor sweeps its folders."""
    (holds / "answer-winds.hold").touch()
    command = desk.start("run", "How?", "--sources", "notes.md")
    until_sync(
        lambda: _ended(command) == 1 and _open(api) == ["answer-winds"],
        "one researcher to end, and the other to wait",
        timeout_s=60,
    )
    at_work, folders = command.clis(), _folders(desk, command.session_id)
    assert len(at_work) == 1
    code, forked = desk.run("fork", command.session_id or "", "--at", str(_head(desk, command)))
    assert (code, forked["origin"]) == (0, command.session_id)
    before = len(api.calls().messages())
    beside = desk.start("resume", forked["session_id"])
    until_sync(lambda: _open(api) == ["answer-winds"] * 2, "both to wait for the same answer", timeout_s=60)
    assert command.clis() == at_work, "the CLI of the session that was forked"
    assert _folders(desk, command.session_id) == folders
    (holds / "answer-winds.hold").unlink()
    (holds / "answer-winds.go").touch()
    assert (command.wait(), beside.wait()) == (0, 0)
    for ended in (command.finished, beside.finished):
        assert ended is not None
        assert ended["report"] == REPORT
    asked = Counter(stage_of(call.request) for call in api.calls().messages()[before:])
    assert asked == {"answer-winds": 1, "lead-1": 2, "search-ropes": 2, "answer-ropes": 2, "report": 2}


def test_a_fork_that_is_stopped_sweeps_only_its_own(desk: Desk, api: ScriptedProcess, holds: Path) -> None:
    """Both go on in a conversation that was laid out on disk for the CLI: one's stays when the other ends."""
    (holds / "report.hold").touch()
    command = desk.start("run", "How?", "--sources", "notes.md")
    until_sync(lambda: _open(api) == ["report"], "the lead to write its report", timeout_s=60)
    laid_out = _laid_out(desk)
    assert len(laid_out) == 1
    beside = desk.start("resume", command.session_id or "", "--at", str(_head(desk, command)))
    until_sync(lambda: len(_laid_out(desk)) == 2, "the fork's conversation to be laid out", timeout_s=60)
    until_sync(lambda: _open(api) == ["report"] * 2, "both to write", timeout_s=60)
    interrupt(beside)
    assert beside.wait() == 130
    assert _laid_out(desk) == laid_out
    (holds / "report.go").touch()
    assert command.wait() == 0
    assert command.finished is not None
    assert command.finished["report"] == REPORT


def _laid_out(desk: Desk) -> list[Path]:
    return sorted((desk.home / "tmp").glob("claude-resume-*/projects/*/*.jsonl"))


def _ended(command: Command) -> int:
    return sum(line.get("status") == "done" for line in command.lines)


def _open(api: ScriptedProcess) -> list[str]:
    return [stage_of(call.request) for call in api.calls().messages() if call.outcome == "open"]


def _folders(desk: Desk, session_id: str | None) -> list[Path]:
    return sorted((desk.home / "harness" / "sessions" / str(session_id)).glob("*/config"))


def _head(desk: Desk, command: Command) -> int:
    return len(_record(desk, command.session_id or "").journal)


def _record(desk: Desk, session_id: str) -> SessionRecord:
    async def read() -> SessionRecord:
        async with await Database.open(desk.dsn or "") as database:
            return await read_record(database, session_id)

    return asyncio.run(read())
