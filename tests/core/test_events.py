"""Events on their way into the store and back: typed, versioned, and nothing lost that JSON can hold."""

from __future__ import annotations

import json
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness import events as ev
from harness.flow import Agent, Lead
from harness.records import Limits, NeedsHelp, Outcome, Usage
from harness.store.journal import _text
from harness.tracing.span import span_id, trace_id
from tests.kit.journals import printing_seeds, task

HARD = "NUL \x00, half a pair \ud83d, é, \u2028, \U0001f600"
TASK = task("researcher", {"objective": HARD, HARD: [HARD, None, 1.5, True]})
USAGE = Usage(input_tokens=1, output_tokens=2, model_calls=1, attempts=2)

SAMPLES: list[ev.AnyPayload] = [
    ev.SessionCreated(
        tenant="t", question=HARD, flow_name="f", flow=Lead(members=("researcher",)), upstream="live",
        limits=Limits(max_cost_usd=2.5), model="m", bundles={"lead": "v"}, sources=3, project="/p",
    ),
    ev.SessionResumed(token=2, host="h", pid=1, limits=Limits(max_steps=1)),
    ev.SessionForked(
        origin="o", root="r", at=7, edits={"question": HARD}, conversations={"c": "d"}, answered=("call",)
    ),
    ev.SessionAsked(question=HARD),
    ev.SessionSuspended(reason=HARD),
    ev.SessionFinished(status="done", report=HARD, problem=None, citations={"checked": [HARD]}),
    ev.AgentRunCreated(
        agent="a", bundle_version="v", parent_id=None, path="q0", task=TASK, members=("b",), limits=Limits(),
        continues="other",
    ),
    ev.AgentRunStarted(
        attempt=1, entry="refire", recovered=True, claude_session_id="c", folder="/f", transcript_from=4,
        tool_use_id="toolu",
    ),
    ev.CliStarted(attempt=1, host="h", boot_id="b", pid=1, process_started=1.25),
    ev.AgentRunSuspended(tool_use_id="toolu", work_s=0.5),
    ev.AgentRunInterrupted(reason=HARD, work_s=0.5),
    ev.AgentRunFinished(
        outcome=Outcome(status="needs_help", output={HARD: HARD}, help=NeedsHelp(reason="cost")), work_s=1
    ),
    ev.AgentRunReopened(limits=Limits(timeout_s=1)),
    ev.ModelRequested(call_id="c", request_hash="h", ordinal=1, auxiliary=True, last_turn=True, model="m"),
    ev.ModelFinished(
        call_id="c", auxiliary=False, model="m", message_id="i", stop_reason="end_turn", usage=USAGE,
        cost_usd=0.1, first_token_s=None,
    ),
    ev.ModelFailed(call_id="c", auxiliary=False, status=529, problem=HARD, usage=USAGE),
    ev.ModelReplayed(call_id="c", auxiliary=False),
    ev.ModelRetried(
        call_id="c", auxiliary=False, status=529, problem=HARD, lost=True, pause_s=0.5, model="n"
    ),
    ev.ToolRequested(tool_use_id="t", tool="x", input={HARD: [HARD]}, call_id=None, replay="unsafe"),
    ev.ToolFinished(
        tool_use_id="t", tool="x", error=HARD, result_hash="h", result_chars=2, sources=("S1",), cached=True
    ),
    ev.ToolDenied(tool_use_id="t", tool="x", hook="h", reason=HARD),
    ev.HelpAsked(tool_use_id="t", help=NeedsHelp(reason="blocked", findings=HARD, missing=HARD)),
    ev.AgentRunAnswered(output={HARD: HARD}, work_s=1),
    ev.GateDecided(by="schema", verdict="fix", problem=HARD),
    ev.RoutingDecided(number=1, to="a", task=TASK, reason=HARD),
    ev.MergeDecided(
        place="p",
        path="q0",
        parent_id=None,
        policy="quorum",
        branches=(ev.MergedBranch(number=1, name="a", status="done"),),
        problem=HARD,
    ),
    ev.DelegationRequested(tool_use_id="t", call_id="c", tasks=(TASK, TASK)),
    ev.DelegationJoined(tool_use_id="t", into="s", tasks=(TASK,)),
    ev.DelegationVoided(tool_use_id="t", reason=HARD),
    ev.ReplayStopped(
        why="differs", problem=HARD, agent="a", path="q0", call=1, interrupted=True,
        differences=(ev.Difference(part="model", diff=HARD),),
    ),
]  # fmt: skip

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
"""Also NUL and halves of surrogate pairs."""


def kinds() -> set[str]:
    union = typing.get_args(ev.AnyPayload)[0]
    return {payload.model_fields["kind"].default for payload in typing.get_args(union)}


def stored(payload: ev.AnyPayload) -> dict[str, Any]:
    """What the store gives back of a payload."""
    text = _text(payload.model_dump(mode="python", fallback=str))
    assert text.isascii(), "UTF-8 cannot carry halves of surrogate pairs, so nothing but ASCII is sent"
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def read(payload: ev.AnyPayload, **changed: Any) -> ev.AnyPayload:
    return ev.read_payload(payload.kind, type(payload).VERSION, stored(payload) | changed)


def test_there_is_a_sample_of_every_kind() -> None:
    """A new kind of event has to be added to the tests below."""
    assert [payload.kind for payload in SAMPLES] == list(dict.fromkeys(p.kind for p in SAMPLES))
    assert {payload.kind for payload in SAMPLES} == kinds()


@pytest.mark.parametrize("payload", SAMPLES, ids=lambda payload: payload.kind)
def test_every_payload_comes_back_as_it_was(payload: ev.AnyPayload) -> None:
    """Through JSON, with NUL and halves of surrogate pairs in its texts and keys."""
    assert read(payload) == payload


@printing_seeds
@given(st.dictionaries(ANY_TEXT, JSON | ANY_TEXT, max_size=4), ANY_TEXT)
def test_whatever_an_agent_says_comes_back(given: dict[str, Any], said: str) -> None:
    """Inputs of tools and outputs of agents are not looked into."""
    for payload in (
        ev.ToolRequested(tool_use_id="t", tool="x", input=given, call_id=None, replay="read_only"),
        ev.AgentRunFinished(outcome=Outcome(status="done", output=given, problem=said), work_s=0),
        ev.SessionFinished(status="done", report=said, problem=said, citations=given),
    ):
        assert read(payload) == payload


def test_values_json_does_not_know_are_stored_as_text() -> None:
    """What a library's user puts into an output becomes a text, not an error."""
    payload = ev.AgentRunFinished(outcome=Outcome(status="done", output={"at": complex(1, 2)}), work_s=0)
    assert stored(payload)["outcome"]["output"] == {"at": "(1+2j)"}


@pytest.mark.parametrize("payload", SAMPLES, ids=lambda payload: payload.kind)
def test_an_unknown_field_is_refused(payload: ev.AnyPayload) -> None:
    """What this version would not understand it does not drop either."""
    with pytest.raises(ValidationError, match="extra_forbidden"):
        read(payload, surprise=1)


@pytest.mark.parametrize("payload", SAMPLES, ids=lambda payload: payload.kind)
@pytest.mark.parametrize("step", [1, -1])
def test_another_version_is_refused(payload: ev.AnyPayload, step: int) -> None:
    """Even where the shape fits: a newer harness may mean something else, an older one has no upcaster."""
    with pytest.raises(ValueError, match="is not version"):
        ev.read_payload(payload.kind, type(payload).VERSION + step, stored(payload))


def test_an_unknown_kind_is_refused() -> None:
    """A kind that only a newer harness writes cannot be skipped."""
    with pytest.raises(ValidationError, match="does not match any of the expected tags"):
        ev.read_payload("session.teleported", 1, {"kind": "session.teleported"})


def test_a_row_says_what_its_payload_is() -> None:
    """A payload of another kind than the row's is damage."""
    payload = ev.SessionAsked(question="Why?")
    with pytest.raises(ValueError, match=r"session\.suspended of version 1 is not"):
        ev.read_payload("session.suspended", 1, stored(payload))


def test_upcasters_lift_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event of version 1 is read by the code of version 3, and the stored dict is left alone."""

    def to_2(payload: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in payload.items() if name != "text"} | {"q": payload["text"]}

    def to_3(payload: dict[str, Any]) -> dict[str, Any]:
        return {"kind": payload["kind"], "question": payload["q"].strip()}

    monkeypatch.setattr(ev.SessionAsked, "VERSION", 3)
    monkeypatch.setitem(ev.UPCASTERS, ("session.asked", 1), to_2)
    monkeypatch.setitem(ev.UPCASTERS, ("session.asked", 2), to_3)
    old = {"kind": "session.asked", "text": " Why? "}
    assert ev.read_payload("session.asked", 1, old) == ev.SessionAsked(question="Why?")
    assert old == {"kind": "session.asked", "text": " Why? "}
    newer = {"kind": "session.asked", "q": "Why?"}
    assert ev.read_payload("session.asked", 2, newer) == ev.SessionAsked(question="Why?")
    with pytest.raises(ValueError, match="is not version 3"):
        ev.read_payload("session.asked", 4, {"kind": "session.asked", "question": "Why?"})


def test_both_flows_come_back_typed() -> None:
    """A later process gets the flow itself, not a dict."""
    for flow in (Agent(agent="a"), Lead(agent="l", members=("a", "b"))):
        payload = ev.SessionCreated(
            tenant="t", question="q", flow_name="f", flow=flow, upstream="direct", limits=Limits()
        )
        back = read(payload)
        assert isinstance(back, ev.SessionCreated)
        assert back.flow == flow


def test_trace_and_span_ids_have_the_form_of_open_telemetry() -> None:
    """16 and 8 bytes as hex; another session, kind or key is another span."""
    assert len(bytes.fromhex(trace_id("s"))) == 16
    parts = [("s", "model", "k"), ("s2", "model", "k"), ("s", "tool", "k"), ("s", "model", "k2")]
    ids = {span_id(*each) for each in parts}
    assert len(ids) == 4
    assert {len(bytes.fromhex(id)) for id in ids} == {8}
