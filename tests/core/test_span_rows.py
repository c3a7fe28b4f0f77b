"""What is written of a span: its name, its attributes, and as much of its content as may be kept."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness import events as ev
from harness.flow import Agent, Supervisor
from harness.records import Outcome, Usage
from harness.state import RunState
from harness.tracing.content import Keeper
from harness.tracing.describe import Row, Shown, SpanRows, span_rows
from tests.core.test_events import SAMPLES
from tests.core.test_trace import SUSPENDED, lead_at_work
from tests.kit.journals import RESUMED, Book, created, finished, requested, started, task, tool_requested
from tests.kit.stepping import Stepped

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SEEN = NOW - timedelta(minutes=5)


def rows(
    book: Book,
    payload: ev.AnyPayload,
    run: RunState | None = None,
    shown: Shown = Shown(),  # noqa: B008  (a frozen record)
    keeper: Keeper = Keeper(),  # noqa: B008
) -> SpanRows:
    """What an event would write, and the event folded in."""
    run_id = run.id if run else None
    moves = book.state.trace.moves(payload, run_id, book.state.runs)
    found = span_rows(moves, payload, book.state, shown=shown, at=NOW, seen_at=SEEN, keeper=keeper)
    book.add(payload, run_id)
    return found


def opened(*given: Any, **named: Any) -> Row:
    """The one row that an event inserts."""
    (row,) = rows(*given, **named).opened
    return row


def closed(*given: Any, **named: Any) -> Row:
    """The one row whose end an event writes."""
    (row,) = rows(*given, **named).closed
    return row


def test_a_model_call_tells_what_it_used() -> None:
    """Its end holds usage, price, time to first token and the attempts before it."""
    book, run = lead_at_work()
    book.state.created = created(upstream="live")
    begins = opened(book, requested("c2", model="m-1"), run, Shown(input=[{"role": "user"}]))
    assert (begins["name"], begins["kind"]) == ("chat m-1", "model")
    assert begins["opened"]["request_model"] == "m-1"
    assert begins["opened"]["input"]["text"] == '[{"role": "user"}]'
    retry = ev.ModelRetried(
        call_id="c2", auxiliary=False, status=529, problem="Busy.", lost=False, pause_s=0.5
    )
    assert rows(book, retry, run) == SpanRows([], [])
    usage = Usage(input_tokens=7, output_tokens=3, cache_read_input_tokens=2, model_calls=1, attempts=2)
    ends = closed(book, finished("c2", usage=usage, cost_usd=0.25), run, Shown(output=[{"type": "text"}]))
    assert ends["closed"]["usage"] == usage.model_dump()
    assert ends["closed"]["cost_usd"] == 0.25
    assert ends["closed"]["first_token_s"] == 0.1
    assert ends["closed"]["retries"] == [{"status": 529, "problem": "Busy.", "lost": False, "pause_s": 0.5}]
    assert ends["closed"]["output"]["json_text"]


@pytest.mark.parametrize("upstream", ["offline", "replay"])
def test_what_nobody_is_paid_for_costs_nothing(upstream: str) -> None:
    """A receiver that is told no price takes one from its own list."""
    book, run = lead_at_work()
    book.state.created = created(upstream=upstream)
    opened(book, requested("c2"), run)
    assert closed(book, finished("c2", cost_usd=0.25), run)["closed"]["cost_usd"] == 0.0


def test_an_agent_run_tells_what_it_used_in_all() -> None:
    """Under names that no receiver adds up: the calls below it are counted already."""
    book, run = lead_at_work()
    done = ev.AgentRunFinished(outcome=Outcome(status="done", output={"a": 1}), work_s=2.5)
    ends = closed(book, done, run)
    assert ends["closed"]["usage"]["model_calls"] == 1
    assert ends["closed"]["cost_usd"] == 0.5
    assert ends["closed"]["work_s"] == 2.5
    assert json.loads(ends["closed"]["output"]["text"]) == {"a": 1}


def test_names_follow_the_conventions() -> None:
    """As OpenTelemetry names the steps of agents."""
    book, run = lead_at_work()
    asked = ev.DelegationRequested(tool_use_id="d", call_id="c1", tasks=(task("researcher", {"q": 1}),))
    assert opened(book, tool_requested("t"), run)["name"] == "execute_tool mcp__corpus__search"
    assert opened(book, asked, run)["name"] == "execute_tool delegate"
    assert opened(book, ev.ModelReplayed(call_id="c1", auxiliary=False), run)["name"] == "chat (kept answer)"
    assert opened(book, ev.GateDecided(by="check", verdict="pass"), run)["name"] == "gate check"


def test_what_was_cut_off_ends_at_the_last_sign_of_life() -> None:
    """Not when somebody found it dead; the time between is a wait of its own."""
    book, run = lead_at_work()
    opened(book, tool_requested("t"), run)
    found = rows(book, RESUMED)
    assert {row["ended_at"] for row in found.closed} == {SEEN}
    assert {row["status"] for row in found.closed} == {"interrupted"}
    wait = found.opened[-1]
    assert (wait["started_at"], wait["ended_at"], wait["kind"]) == (SEEN, NOW, "wait")


def test_a_clean_stop_says_why() -> None:
    """On everything that was open."""
    book, _ = lead_at_work()
    ends = closed(book, SUSPENDED)
    assert (ends["status"], ends["ended_at"]) == ("suspended", NOW)
    assert ends["closed"]["problem"] == "It was stopped."


def test_a_long_text_is_cut_and_named() -> None:
    """Its beginning is kept, with the length and the hash of the whole."""
    text = "ab" * 500
    kept = Keeper(max_chars=100).keep(text)
    assert kept == {
        "text": text[:100],
        "chars": 1000,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "cut": True,
        "json_text": False,
    }


def test_only_sizes_are_kept_when_only_they_may_be() -> None:
    """Metadata says how large and which; nothing says nothing."""
    (kept,) = [Keeper("metadata").keep({"secret": "x"})]
    assert kept is not None
    assert (kept["text"], kept["chars"], kept["cut"]) == (None, 15, False)
    assert Keeper("none").keep("x") is None


@pytest.mark.parametrize("capture", ["metadata", "none"])
@pytest.mark.parametrize("payload", SAMPLES, ids=lambda payload: payload.kind)
def test_no_content_gets_past_the_setting(payload: ev.AnyPayload, capture: Any) -> None:
    """Of no kind of event, in no attribute: what agents say and are told is content."""
    said = "what-was-said"
    book, run = lead_at_work()
    marked = _marked(payload, said)
    given = None if payload.kind.startswith("session.") else run
    found = rows(book, marked, given, Shown(input=said, output=said), Keeper(capture))
    assert said not in json.dumps([found.opened, found.closed], default=str)


def _marked(payload: ev.AnyPayload, said: str) -> ev.AnyPayload:
    """The same event, with these words wherever it holds content."""
    content = {
        "question", "report", "answer", "input", "output", "proposal", "problem", "reason",
    }  # fmt: skip
    changes: dict[str, Any] = {
        name: {"x": said} if name in ("input", "output") else said
        for name in content & set(type(payload).model_fields)
    }
    if isinstance(payload, ev.AgentRunFinished):
        changes["outcome"] = Outcome(status="failed", output=said, problem=said)
    return payload.model_copy(update=changes)


@pytest.mark.parametrize("payload", SAMPLES, ids=lambda payload: payload.kind)
def test_every_kind_of_event_can_be_described(payload: ev.AnyPayload) -> None:
    """Also where it comes unexpected, of a run or of none, with odd characters in it."""
    for with_run in (True, False):
        book, run = lead_at_work()
        found = rows(book, payload, run if with_run else None, Shown(output={"x": "\x00\ud83d"}))
        for row in (*found.opened, *found.closed):
            json.dumps(row, default=str)
            assert "\x00" not in row.get("name", "")


def test_a_session_says_what_it_is() -> None:
    """Its root tells the question, the flow and whose it is."""
    row = opened(Book(), created(question="Why?"))
    assert row["name"] == "invoke_workflow test"
    assert row["opened"]["input"]["text"] == "Why?"
    assert row["opened"]["tenant"] == "t"
    assert row["started_at"] == NOW
    assert "ended_at" not in row


def test_a_turn_tells_its_own_cost_and_the_sessions() -> None:
    """A question asked later is not charged what the first one cost."""
    book, run = lead_at_work()
    book.state.created = created(upstream="live")
    book.add(ev.AgentRunFinished(outcome=Outcome(status="done", output="x"), work_s=1), run.id)
    done = ev.SessionFinished(status="done", report="It is so.", problem=None)
    first = closed(book, done)["closed"]
    assert (first["output"]["text"], first["cost_usd"], first["session_cost_usd"]) == ("It is so.", 0.5, 0.5)
    assert first["usage"]["model_calls"] == 1
    rows(book, RESUMED)
    asked = opened(book, ev.SessionAsked(question="And?"))["opened"]
    assert (asked["input"]["text"], asked["turn"]) == ("And?", 2)
    second = closed(book, done)["closed"]
    assert (second["cost_usd"], second["session_cost_usd"]) == (0.0, 0.5)
    assert (second["usage"]["model_calls"], second["session_usage"]["model_calls"]) == (0, 1)


def test_a_delegation_is_told_alike_before_and_after_a_death() -> None:
    """Its end after a resume is a span of its own, and has the same tool and the same input."""
    book, run = lead_at_work()
    asked = ev.DelegationRequested(tool_use_id="d", call_id="c1", tasks=(task("researcher", {"q": 1}),))
    before = opened(book, asked, run)
    rows(book, RESUMED)
    over = ev.ToolFinished(tool_use_id="d", tool="mcp__harness__delegate")
    after = opened(book, over, run, Shown(input={"tasks": []}, output="Found."))
    assert after["name"] == before["name"] == "execute_tool delegate"
    assert after["opened"] == before["opened"]
    assert after["opened"]["tool"] == "delegate"


def test_what_a_router_decides_is_its_output() -> None:
    """Whom it sends what, and why; where it gives up, its decision has failed."""
    session = Stepped(Supervisor(charter="Decide.", members=(Agent(agent="a"),)))
    (path,) = session.create()
    book, run = session.book, session.run(path)
    rows(book, started(run, entry="route"), run)
    given = ev.RoutingDecided(number=1, to="a", task=task("a", {"q": 1}), reason="It is next.")
    decided = closed(book, given, run)["closed"]
    assert json.loads(decided["output"]["text"]) == {"to": "a", "reason": "It is next.", "input": {"q": 1}}
    rows(book, started(run, entry="route"), run)
    failed = ev.AgentRunFinished(outcome=Outcome(status="failed", problem="No decision."), work_s=1)
    route = next(row for row in rows(book, failed, run).closed if "steps" not in row["closed"])
    assert (route["status"], route["closed"]["problem"]) == ("error", "No decision.")


def test_to_finish_is_a_decision_of_a_router() -> None:
    """It is none that was cut off."""
    session = Stepped(Supervisor(charter="Decide.", members=(Agent(agent="a"),)))
    (path,) = session.create()
    book, run = session.book, session.run(path)
    rows(book, started(run, entry="route"), run)
    done = ev.AgentRunFinished(outcome=Outcome(status="done", output="So."), work_s=1)
    route = next(row for row in rows(book, done, run).closed if "steps" not in row["closed"])
    assert route["status"] == "ok"
    assert json.loads(route["closed"]["output"]["text"]) == {"action": "finish"}


def test_an_offline_session_names_no_model_of_anybodys() -> None:
    """Agents ask for one all the same; receivers would price it by its name."""
    book, run = lead_at_work()
    book.state.created = created(upstream="offline", model="claude-opus-5-5")
    call = opened(book, requested("c2", model="claude-opus-5-5"), run)
    assert (call["name"], call["opened"]["provider"]) == ("chat offline-extractive", "offline")
    done = ev.SessionFinished(status="done", report="So.", problem=None)
    turn = next(row["closed"] for row in rows(book, done).closed if "session_usage" in row["closed"])
    assert turn["cost_usd"] == turn["session_cost_usd"] == 0.0
    assert "claude" not in json.dumps([call, _turn_row("offline")], default=str)


def test_in_a_replay_the_recording_answers() -> None:
    """The calls keep the names of their models, and are of no company."""
    book, run = lead_at_work()
    book.state.created = created(upstream="replay", model="claude-opus-5-5")
    call = opened(book, requested("c2", model="claude-opus-5-5"), run)
    assert (call["name"], call["opened"]["provider"]) == ("chat claude-opus-5-5", "replay")


def _turn_row(upstream: Any) -> Row:
    return opened(Book(), created(upstream=upstream, model="claude-opus-5-5"))


def test_a_turn_in_which_nothing_was_done_costs_nothing() -> None:
    """Somebody resumed what had ended, and it ended at once."""
    book, run = lead_at_work()
    book.state.created = created(upstream="live")
    book.add(ev.AgentRunFinished(outcome=Outcome(status="failed", problem="No."), work_s=1), run.id)
    over = ev.SessionFinished(status="failed", report=None, problem="No.")
    assert closed(book, over)["closed"]["cost_usd"] == 0.5
    rows(book, RESUMED)
    again = opened(book, over)
    assert (again["kind"], again["opened"]["turn"]) == ("turn", 2)
    assert (again["closed"]["cost_usd"], again["closed"]["session_cost_usd"]) == (0.0, 0.5)


def test_a_turn_that_begins_with_an_answer_does_not_last_as_long_as_the_wait() -> None:
    """The wait is told as a number; a receiver would count it as time of the turn."""
    book, run = lead_at_work()
    needs = Outcome(status="needs_help", problem="Which?")
    book.add(ev.AgentRunFinished(outcome=needs, work_s=1), run.id)
    book.add(ev.SessionFinished(status="needs_help", report=None, problem="Which?"))
    book.add(RESUMED)
    ended_at = run.ended_at
    turn, wait = rows(book, ev.AgentRunReopened(limits=run.limits, answer="That."), run).opened
    assert turn["started_at"] == wait["started_at"] == wait["ended_at"] == NOW
    assert ended_at is not None
    assert wait["opened"]["waited_s"] == (NOW - ended_at).total_seconds()


def test_a_resume_writes_what_has_no_rows_yet() -> None:
    """The turn, and whom others hang below: of a session whose spans were not kept before."""
    book, run = lead_at_work()
    found = rows(book, RESUMED)
    assert [(row["kind"], row.get("status")) for row in found.opened] == [
        ("turn", None), ("agent_run", "interrupted"), ("wait", "ok"),
    ]  # fmt: skip
    turn, lead, _ = found.opened
    assert (lead["parent_span_id"], lead["name"]) == (turn["span_id"], f"invoke_agent {run.agent}")
    assert turn["opened"]["input"]["text"] == "Why?"
