"""What a session's spans tell, beside what the upstream has served: with the real CLI."""

from __future__ import annotations

import asyncio
from pathlib import Path

from harness.store.database import Database
from harness.store.record import SessionRecord, read_record
from harness.store.spans import read_spans
from harness.tracing.span import Span
from tests.e2e.running import Desk, interrupt
from tests.e2e.scripts import ROUNDS
from tests.kit.langfuse_chat import problems, read
from tests.kit.processes import until_sync
from tests.kit.scripted_api import ScriptedProcess
from tests.kit.traces import calls, outline, usage_of, violations


def told(desk: Desk, session_id: str) -> tuple[list[Span], SessionRecord]:
    """A session's spans and its record."""

    async def read() -> tuple[list[Span], SessionRecord]:
        async with await Database.open(desk.dsn or "") as database:
            return await read_spans(database, session_id), await read_record(database, session_id)

    return asyncio.run(read())


RESEARCHER = [
    "      invoke_agent researcher",
    "        chat claude-sonnet-5-5",
    "        execute_tool mcp__corpus__search",
    "        chat claude-sonnet-5-5",
    "        execute_tool StructuredOutput",
]


def test_a_run_is_one_tree(desk: Desk, api: ScriptedProcess) -> None:
    """Each subagent under the delegation that asked for it, each call under its agent, in order."""
    code, finished = desk.run("run", "How do they navigate?", "--sources", "notes.md")
    assert code == 0
    spans, record = told(desk, finished["session_id"])
    assert violations(spans, record.journal, record.state) == []
    rounds = [
        ["    chat claude-opus-5-5", "    execute_tool delegate", *RESEARCHER * len(topics)]
        for topics in ROUNDS
    ]
    assert outline(spans) == [
        "invoke_workflow research",
        "  invoke_agent lead",
        *rounds[0][:2],
        *rounds[0][2:],
        *rounds[1],
        "    chat claude-opus-5-5",
    ]


def test_tokens_are_those_of_the_end_of_an_answer(desk: Desk, api: ScriptedProcess) -> None:
    """A stream tells other numbers at its beginning; each call and the sum are what was served."""
    code, finished = desk.run("run", "How do they navigate?", "--sources", "notes.md")
    assert code == 0
    spans, _ = told(desk, finished["session_id"])
    served = api.calls()
    assert usage_of(spans).output_tokens == served.served().output_tokens
    assert usage_of(spans).input_tokens == served.served().input_tokens
    by_message = {call.message["id"]: call for call in served.completed() if call.message}
    for span in calls(spans):
        call = by_message.pop(span.attributes["message_id"])
        assert call.message is not None
        for name in ("input_tokens", "output_tokens"):
            assert span.attributes["usage"][name] == call.message["usage"][name]
        assert span.attributes["model"] == call.message["model"]
    assert by_message == {}


def test_what_goes_in_and_comes_out_is_there(desk: Desk, api: ScriptedProcess) -> None:
    """Of every step: the question, tasks, prompts, answers, tool inputs and results, the report."""
    _, finished = desk.run("run", "How do they navigate?", "--sources", "notes.md")
    spans, _ = told(desk, finished["session_id"])
    for span in spans:
        if span.kind in ("agent_run", "model", "tool", "delegation"):
            assert span.attributes["input"]["text"], span.name
            assert span.attributes["output"]["text"], span.name
    for span in calls(spans):
        asked, answered = (span.attributes[side]["text"] for side in ("input", "output"))
        assert problems(asked, answered) == []
        assert "x-anthropic-billing-header" not in asked
        view = read(asked, answered)
        assert view.roles[:2] == ["system", "user"]
        assert view.tools
    whole = read(*(calls(spans)[-1].attributes[side]["text"] for side in ("input", "output")))
    assert [call["name"] for each in whole.messages for call in each.calls] == ["mcp__harness__delegate"] * 2
    by_kind = {span.kind: span for span in spans}
    assert by_kind["turn"].attributes["input"]["text"] == "How do they navigate?"
    assert by_kind["turn"].attributes["output"]["text"] == finished["report"]


def test_a_clean_stop_leaves_nothing_open_and_the_trace_goes_on(
    desk: Desk, api: ScriptedProcess, holds: Path
) -> None:
    """Ctrl-C ends the spans as suspended; the resume adds to the same tree, with the wait between."""
    (holds / "answer-winds.hold").touch()
    command = desk.start("run", "How do they navigate?", "--sources", "notes.md")
    until_sync(
        lambda: any(call.outcome == "open" for call in api.calls().messages() if call.request.turn == 1),
        "the held call to be on the wire",
        timeout_s=60,
    )
    interrupt(command)
    command.wait()
    assert command.session_id is not None
    spans, record = told(desk, command.session_id)
    assert violations(spans, record.journal, record.state) == []
    stopped = {span.kind for span in spans if span.status == "suspended"}
    assert {"agent_run", "delegation"} <= stopped
    (holds / "answer-winds.hold").unlink()
    (holds / "answer-winds.go").touch()
    code, _ = desk.run("resume", command.session_id)
    assert code == 0
    after, record = told(desk, command.session_id)
    assert violations(after, record.journal, record.state) == []
    ended = [span for span in spans if span.kind != "turn"]
    assert [span for span in after if span.span_id in {span.span_id for span in ended}] == ended
    (turn,) = (span for span in after if span.kind == "turn")
    assert (turn.started_at, turn.status) == (spans[0].started_at, "ok")
    assert [span.name for span in after if span.kind == "wait"] == ["wait"]
