"""Sessions with a further question, forked: each question belongs to the conversation it was asked in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import Desk
from tests.e2e.scripts import ALONE, ANSWER, FOLLOW_UP
from tests.kit.scripted_api import ScriptedProcess, scripted_process


@pytest.fixture
def api(home: Path, holds: Path) -> Iterator[ScriptedProcess]:
    """The analyst that works alone."""
    with scripted_process(
        "tests.e2e.scripts:alone", home / "calls.jsonl", given={"holds": str(holds)}
    ) as played:
        yield played


@pytest.fixture
def asked(desk: Desk) -> tuple[str, int]:
    """A session in which a further question was asked and answered; and its last event before that."""
    code, finished = desk.run("run", "How?", "--sources", "notes.md", "--flow", "single")
    assert (code, finished["report"]) == (0, ALONE)
    last = int(desk.run("show", finished["session_id"])[1]["events"])
    code, finished = desk.run("ask", finished["session_id"], FOLLOW_UP)
    assert (code, finished["report"]) == (0, ANSWER)
    return finished["session_id"], last


def test_a_further_question_is_not_in_a_fork_from_before_it(
    desk: Desk, api: ScriptedProcess, asked: tuple[str, int]
) -> None:
    """The fork gives the first report again without a call, and can be asked anew in its conversation."""
    session_id, last = asked
    calls = len(api.calls().messages())
    code, forked = desk.run("resume", session_id, "--at", str(last))
    assert (code, forked["report"]) == (0, ALONE)
    assert len(api.calls().messages()) == calls
    code, answer = desk.run("ask", forked["session_id"], FOLLOW_UP)
    assert (code, answer["report"]) == (0, ANSWER)
    (call,) = api.calls().messages()[calls:]
    said = str(call.request.messages)
    assert said.count(FOLLOW_UP) == 1
    assert "What one analyst found" in said


def test_a_further_question_is_asked_otherwise(
    desk: Desk, api: ScriptedProcess, asked: tuple[str, int]
) -> None:
    """Edited where it was asked, it is all the fork's conversation knows of it."""
    session_id, last = asked
    calls = len(api.calls().messages())
    question = f"Quickly: {FOLLOW_UP}"
    code, forked = desk.run("resume", session_id, "--at", str(last + 2), "--edit", f"question={question}")
    assert (code, forked["report"]) == (0, ANSWER), forked
    (call,) = api.calls().messages()[calls:]
    assert question in call.request.last_user_text
    assert str(call.request.messages).count(FOLLOW_UP) == 1
    assert desk.run("show", forked["session_id"])[1]["questions"] == ["How?", question]
