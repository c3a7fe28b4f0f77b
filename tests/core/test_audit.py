"""What the audit of a session's record calls a gap, and what it does not."""

from __future__ import annotations

import pytest

from harness import events as ev
from harness.audit import audit
from harness.plan import plan
from harness.records import Outcome
from tests.kit.journals import RESEARCH, Book, created, finished, requested, run_created, started
from tests.kit.script import tool_use
from tests.kit.transcripts import Transcript

CLAUDE = "claude-1"


def answering(tool: str, *, ended: bool) -> list[str]:
    """The gaps of an agent run whose last message calls a tool that no event speaks of."""
    book, told = Book(), Transcript()
    book.add(created())
    (spec,) = plan(RESEARCH, book.state).create
    book.add(run_created(spec), spec.id)
    book.add(started(book.state.runs[spec.id], claude_session_id=CLAUDE), spec.id)
    told.prompt("Why?")
    message = told.says(tool_use(tool, {"answer": "x"}, id="toolu"))
    book.add(requested("call"), spec.id)
    book.add(finished("call", message_id=message), spec.id)
    if ended:
        book.add(ev.AgentRunFinished(outcome=Outcome(status="done", output="x"), work_s=0), spec.id)
    return [gap.what for gap in audit(book.events, {CLAUDE: told.entries})]


def test_a_typed_answer_that_settled_a_run_needs_no_checkpoint() -> None:
    """Cut off between the message and its tool call, a run ends with what the transcript holds."""
    assert answering("StructuredOutput", ended=True) == []


@pytest.mark.parametrize("ended", [True, False])
def test_any_other_call_without_a_checkpoint_is_a_gap(ended: bool) -> None:
    """A tool may have run that nobody had committed."""
    gaps = answering("mcp__corpus__search", ended=ended)
    assert "the call toolu of mcp__corpus__search has no checkpoint" in gaps
