"""A lead whose conversation becomes too long and is summed up: undisturbed, and killed on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.gateway.conversation import conversation_key
from harness.redaction import Redactor
from harness.resume import Prompt, Refire, resume_point
from harness.state import RunState
from harness.transcript import whole
from tests.core.test_resume_point import delegate, delegation, run, search
from tests.e2e.account import Account, account
from tests.e2e.long_scripts import REPORT, stage_too_long
from tests.e2e.running import Command, Desk
from tests.kit.campaign import cases
from tests.kit.processes import kill, until_sync
from tests.kit.script import text
from tests.kit.scripted_api import ScriptedProcess, scripted_process
from tests.kit.transcripts import COMMON, Transcript

STAGES = ["lead-search", "lead-tides", "answer-tides", "summary", "lead-ropes", "answer-ropes", "report"]


@pytest.fixture
def api(home: Path, holds: Path) -> Iterator[ScriptedProcess]:
    """The played model. It refuses what the CLI keeps of the thinking from before a summary."""
    script, given = "tests.e2e.long_scripts:too_long", {"holds": str(holds)}
    with scripted_process(script, home / "calls.jsonl", given=given, refuses=True) as played:
        yield played


def begun(desk: Desk) -> Command:
    return desk.start("run", "How do they navigate?", "--sources", "notes.md")


def until_open(api: ScriptedProcess, stage: str) -> None:
    """Wait until a stage's call is on the wire."""

    def is_open() -> bool:
        return any(c.outcome == "open" and stage_too_long(c.request) == stage for c in api.calls().messages())

    until_sync(is_open, f"{stage} to be on the wire", timeout_s=60)


def lead_of(found: Account) -> RunState:
    return next(run for run in found.state.runs.values() if run.agent == "lead")


def test_a_summary_is_no_step(desk: Desk, api: ScriptedProcess) -> None:
    """The run ends as if nothing had been summed up: the summary is paid, and counts as no step."""
    command = begun(desk)
    assert command.wait() == 0
    assert command.finished is not None
    assert command.finished["report"] == REPORT
    found = account(desk, api, command.finished["session_id"], stage_too_long)
    found.check()
    assert found.answered == dict.fromkeys(STAGES, 1)
    lead = lead_of(found)
    assert (lead.steps, lead.usage.model_calls) == (4, 5)
    assert lead.usage.output_tokens == 40 + 50 + 60 + 50 + 80


KILLED = {
    "the summary is being written": ("summary", 0),
    "the step after it is on the wire": ("lead-ropes", 0),
    "its delegation is pending": ("lead-ropes", 2),
    "its subagent is at work": ("answer-ropes", 0),
}
"""The stage held at the kill, and after how many blocks."""


@pytest.mark.parametrize(("stage", "after"), cases(KILLED, {"the summary is being written"}))
def test_killed_around_a_compaction_the_run_goes_on(
    desk: Desk, api: ScriptedProcess, holds: Path, stage: str, after: int
) -> None:
    """After a resume the report is the same, and only the call on the wire is asked for again."""
    (holds / f"{stage}.hold").write_text(str(after))
    command = begun(desk)
    until_open(api, stage)
    session_id = command.session_id
    assert session_id is not None
    if after:
        until_sync(
            lambda: account(desk, api, session_id, stage_too_long).committed("delegation.requested") == 2,
            "the second delegation to be committed",
        )
    command.kill(clis_too=True)
    (holds / f"{stage}.hold").unlink()
    code, finished = desk.run("resume", session_id)
    assert (code, finished["report"]) == (0, REPORT), finished
    found = account(desk, api, session_id, stage_too_long)
    found.check()
    assert found.answered == dict.fromkeys(STAGES, 1)
    assert found.repeated - {"refused"} == {stage}
    assert lead_of(found).steps == 4


def test_with_only_the_cli_killed_the_step_after_a_summary_is_not_repeated(
    desk: Desk, api: ScriptedProcess, holds: Path
) -> None:
    """The gateway knows the conversation again by its summary, and gives the answer it has kept."""
    (holds / "lead-ropes.hold").touch()
    command = begun(desk)
    until_open(api, "lead-ropes")
    kill(*command.clis())
    (holds / "lead-ropes.go").touch()
    assert command.wait() == 0, "".join(command.errors)
    assert command.finished is not None
    assert command.finished["report"] == REPORT
    found = account(desk, api, command.finished["session_id"], stage_too_long)
    found.check()
    assert found.answered == dict.fromkeys(STAGES, 1)
    assert found.repeated - {"refused"} == set()


# -- in the small


def summed_up(told: Transcript) -> None:
    """Add what a compaction writes: a second root that names the leaf before it, and the summary."""
    boundary = {"type": "system", "subtype": "compact_boundary", "content": "Conversation compacted"}
    above = {"parentUuid": None, "logicalParentUuid": told.leaf, "uuid": "boundary"}
    told.entries.append({**COMMON, **boundary, **above})
    message = {"role": "user", "content": "This session is being continued from an earlier one."}
    summary = {"type": "user", "isCompactSummary": True, "isVisibleInTranscriptOnly": True}
    told.entries.append(
        {**COMMON, **summary, "message": message, "parentUuid": "boundary", "uuid": "summary"}
    )


def searched() -> Transcript:
    """A conversation with one search and its result, summed up afterwards."""
    told = Transcript()
    told.prompt("Why?")
    told.says(text("I look."), search("toolu_a"))
    told.result("toolu_a")
    summed_up(told)
    return told


def test_what_stands_before_and_behind_a_boundary_is_kept() -> None:
    """The second root loses nothing, and a hole before it takes nothing behind it away."""
    told = searched()
    told.says(delegate("toolu_d"))
    assert whole(told.entries) == told.entries
    hole = next(n for n, entry in enumerate(told.entries) if entry.get("type") == "assistant")
    kept = whole([*told.entries[:hole], *told.entries[hole + 1 :]])
    assert kept[-4:] == told.entries[-4:], "boundary, summary, a note and the call"


def test_killed_right_after_a_summary_the_run_is_told_to_go_on() -> None:
    """The summary is neither an outcome nor a beginning."""
    assert resume_point(run(), searched().entries) == Prompt()


@pytest.mark.parametrize("marked", [True, False], ids=["marked", "killed before the marker"])
def test_a_call_behind_a_summary_is_fired_again(marked: bool) -> None:
    """A pending delegation is resumed at, with the marker the CLI wrote or with one of ours at the tail."""
    told = searched()
    told.says(text("On."), delegate("toolu_d"))
    tail = told.leaf
    if marked:
        told.marker("toolu_d")
    pending = run(delegations=delegation("toolu_d", suspended=True))
    point = resume_point(pending, told.entries)
    assert isinstance(point, Refire)
    assert point.tool_use_id == "toolu_d"
    assert [entry["parentUuid"] for entry in point.add] == ([] if marked else [tail])


def test_a_summary_has_the_same_name_wherever_it_was_written() -> None:
    """The path of the attempt's own transcript, which the CLI puts into a summary, does not count."""

    def named(place: str, said: str = "Summary: tides.") -> str:
        told = f"{said}\n\nIf you need details, read the full transcript at: {place}/a b.jsonl\nContinue."
        return conversation_key({"messages": [{"role": "user", "content": told}]}, (), Redactor())

    assert named("/home/1-1/config") == named("/home/1-2/config")
    assert named("/home/1-1/config") != named("/home/1-1/config", "Summary: ropes.")
