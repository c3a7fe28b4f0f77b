"""Spans on their way out while a session is at work, killed, resumed, or their receiver in trouble."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from harness.tracing.span import Span, trace_id
from tests.e2e.running import Desk
from tests.e2e.scripts import REPORT
from tests.e2e.test_traces import told
from tests.kit.campaign import cases
from tests.kit.otlp_receiver import Mode, OtlpReceiver
from tests.kit.processes import until_sync
from tests.kit.scripted_api import ScriptedProcess, scripted_process

EXPEDITION = "tests.e2e.scripts:expedition"
QUESTION = ("run", "How do they navigate?", "--sources", "notes.md")


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    """A receiver that holds what comes to Langfuse's rules."""
    with OtlpReceiver() as started:
        yield started


def check(receiver: OtlpReceiver, desk: Desk, api: ScriptedProcess, session_id: str) -> list[Span]:
    """Every span of the session has arrived once, in one whole tree, with the tokens that were served."""
    spans, record = told(desk, session_id)
    assert receiver.violations == []
    assert Counter(receiver.ids()) == Counter(span.span_id for span in spans)
    assert [root.name for root in receiver.roots()] == ["invoke_workflow research"]
    assert receiver.missing_parents() == set()
    assert {span.trace_id for span in receiver.spans} == {trace_id(session_id)}
    used = receiver.usage()
    settled = record.state.usage
    assert used["output"] == settled.output_tokens
    assert used["input"] == settled.input_tokens
    if settled.unattributed_calls == 0:
        assert used["output"] == api.calls().served().output_tokens
    return spans


def test_every_step_arrives_once(desk: Desk, api: ScriptedProcess, receiver: OtlpReceiver) -> None:
    """While the session is at work; at its end nothing is left."""
    code, finished = desk.run(*QUESTION, **receiver.environment())
    assert code == 0
    spans = check(receiver, desk, api, finished["session_id"])
    assert len(receiver.posts) > 1, "spans leave while the session is at work"
    tree = receiver.tree()
    assert tree["invoke_agent lead", "invoke_workflow research"] == 1
    assert tree["invoke_agent researcher", "execute_tool delegate"] == 6
    assert tree["chat claude-sonnet-5-5", "invoke_agent researcher"] == 12
    assert sum(tree.values()) == len(spans)


def test_a_killed_session_goes_on_in_its_trace(
    desk: Desk, api: ScriptedProcess, holds: Path, receiver: OtlpReceiver
) -> None:
    """What had arrived is not sent again, and what was open arrives as interrupted, once."""
    (holds / "answer-winds.hold").touch()
    command = desk.start(*QUESTION, **receiver.environment())
    until_sync(lambda: _held(api), "only the held researcher to be left", timeout_s=60)
    until_sync(lambda: _idle(desk, receiver, command.session_id), "all that has ended to be sent")
    command.kill()
    before = receiver.ids()
    assert before
    (holds / "answer-winds.hold").unlink()
    (holds / "answer-winds.go").touch()
    code, finished = desk.run("resume", str(command.session_id), **receiver.environment())
    assert (code, finished["report"]) == (0, REPORT)
    spans = check(receiver, desk, api, finished["session_id"])
    cut = {span.name for span in spans if span.status == "interrupted"}
    assert {"invoke_agent lead", "execute_tool delegate", "invoke_agent researcher"} <= cut
    assert receiver.ids()[: len(before)] == before


def test_a_receiver_that_is_down_loses_nothing(
    desk: Desk, api: ScriptedProcess, holds: Path, receiver: OtlpReceiver
) -> None:
    """Not through a kill and a resume either: once it is back, a flush brings the same tree."""
    receiver.mode = "reset"
    (holds / "answer-winds.hold").touch()
    command = desk.start(*QUESTION, **receiver.environment())
    until_sync(lambda: _held(api), "only the held researcher to be left", timeout_s=60)
    command.kill()
    (holds / "answer-winds.hold").unlink()
    (holds / "answer-winds.go").touch()
    code, finished = desk.run("resume", str(command.session_id), **receiver.environment())
    assert (code, finished["report"]) == (0, REPORT)
    assert receiver.ids() == []
    receiver.mode = "ok"
    _give_back(desk)
    code, _ = desk.run("trace", "flush", **receiver.environment())
    assert code == 0
    check(receiver, desk, api, finished["session_id"])


class TestShortExpedition:
    """A short expedition: who receives its spans matters, and not how many there are."""

    @pytest.fixture
    def api(self, home: Path) -> Iterator[ScriptedProcess]:
        with scripted_process(EXPEDITION, home / "calls.jsonl", given={"size": 1}) as played:
            yield played

    @pytest.mark.parametrize("mode", cases(("401", "413", "429", "503", "hang", "html"), {"401", "hang"}))
    def test_a_receiver_in_trouble_stops_no_run(
        self, desk: Desk, api: ScriptedProcess, receiver: OtlpReceiver, mode: Mode
    ) -> None:
        """The report is the same, it is said once what is left, and it is delivered later."""
        receiver.mode = mode
        command = desk.start(*QUESTION, **receiver.environment())
        assert command.wait() == 0
        assert command.finished is not None
        assert command.finished["report"] == REPORT
        said = "".join(command.errors)
        assert said.count("harness trace flush") <= 2, said
        receiver.mode = "ok"
        if mode == "413":
            return  # too large one by one: such a receiver never takes them, and they are refused for good
        code, _ = desk.run("trace", "flush", **receiver.environment())
        assert code == 0
        check(receiver, desk, api, command.finished["session_id"])

    def test_nothing_is_sent_without_keys(
        self, desk: Desk, api: ScriptedProcess, receiver: OtlpReceiver
    ) -> None:
        """And nothing is said about it; the spans wait for keys."""
        command = desk.start(*QUESTION)
        assert command.wait() == 0
        assert command.finished is not None
        assert command.errors == []
        assert receiver.posts == []
        session_id = command.finished["session_id"]
        code, _ = desk.run("trace", "flush", session_id, **receiver.environment())
        assert code == 0
        check(receiver, desk, api, session_id)

    def test_what_may_not_be_captured_does_not_leave(
        self, desk: Desk, api: ScriptedProcess, receiver: OtlpReceiver
    ) -> None:
        """Of content only the sizes are in what was posted."""
        (desk.home / "harness.toml").write_text("tracing.capture = 'metadata'\n")
        code, finished = desk.run(*QUESTION, **receiver.environment())
        assert (code, finished["report"]) == (0, REPORT)
        raw = receiver.raw()
        for words in ("How do they navigate?", "Tides, winds and stars", REPORT):
            assert words.encode() not in raw
        assert b"invoke_agent researcher" in raw


def _give_back(desk: Desk) -> None:
    """What a killed exporter had in hand comes back by itself, after two minutes: they are over now."""
    assert desk.dsn is not None
    with psycopg.connect(desk.dsn) as connection:
        connection.execute("update span set next_try = '-infinity' where sent_at is null")


def _held(api: ScriptedProcess) -> bool:
    """Whether the held call is the only one on the wire, and has been for a moment."""
    calls = api.calls().messages()
    open_ = [call for call in calls if call.outcome == "open"]
    return len(open_) == 1 and len(calls) == 1 + 2 * 3


def _idle(desk: Desk, receiver: OtlpReceiver, session_id: str | None) -> bool:
    """Whether all that has ended has been sent: then no kill falls between a post and its note."""
    spans, _ = told(desk, str(session_id))
    ended = {span.span_id for span in spans if span.ended_at}
    return ended == set(receiver.ids()) and _noted(desk, str(session_id))


def _noted(desk: Desk, session_id: str) -> bool:
    _, answer = desk.run("trace", "status", session_id)
    return bool(answer["waiting"] == 0)
