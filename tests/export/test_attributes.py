"""What a span says of itself to a receiver, by its kind."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, get_args

import pytest

from harness.export.attributes import attributes
from harness.export.otlp import as_json, message, request
from harness.store.spans import Ended
from harness.tracing.span import SpanKind, SpanStatus
from tests.kit.otlp_receiver import OtlpReceiver, seen
from tests.kit.spans import Sheet, content, research

OBSERVATION = "langfuse.observation"


def given(ended: Ended) -> dict[str, Any]:
    return dict(attributes(ended, "staging", "1.2.3"))


def one(kind: SpanKind, **about: Any) -> dict[str, Any]:
    sheet = Sheet(tenant="acme", flow="deep")
    status: SpanStatus = about.pop("status", "ok")
    span = sheet.add(kind, kind, status=status, **about)
    return given(Ended(span, sheet.tenant, sheet.flow))


@pytest.mark.parametrize("kind", get_args(SpanKind))
def test_every_span_says_whose_it_is(kind: SpanKind) -> None:
    """Langfuse knows no trace but by its spans: all carry session, tenant, environment, release, flow."""
    found = one(kind)
    session = found["session.id"]
    assert found["langfuse.session.id"] == found["gen_ai.conversation.id"] == session
    assert found["langfuse.user.id"] == found["user.id"] == "acme"
    assert found["langfuse.environment"] == found["deployment.environment.name"] == "staging"
    assert found["langfuse.release"] == "1.2.3"
    assert found["langfuse.trace.name"] == "deep"
    assert found["harness.checkpoint"] == 2
    assert found["harness.status"] == "ok"
    assert f"{OBSERVATION}.level" not in found


@pytest.mark.parametrize(
    ("kind", "type_", "operation"),
    [
        ("agent_run", "agent", "invoke_agent"),
        ("model", "generation", "chat"),
        ("tool", "tool", "execute_tool"),
        ("delegation", "tool", "execute_tool"),
        ("routing", "chain", None),
        ("merge", "chain", None),
        ("gate", "evaluator", None),
        ("wait", "span", None),
        ("session", "span", None),
        ("question", "span", None),
        ("result", "span", None),
    ],
)
def test_each_kind_has_its_type(kind: SpanKind, type_: str, operation: str | None) -> None:
    """Langfuse's type of observation, and the operation of the conventions."""
    found = one(kind)
    assert found[f"{OBSERVATION}.type"] == type_
    assert found.get("gen_ai.operation.name") == operation


def test_a_model_call_says_what_it_used() -> None:
    """The conventions' input includes the cache; Langfuse's parts are apart, and the cost is a total."""
    sheet = Sheet()
    span = sheet.chat(sheet.root, "claude-opus-5-5")
    found = given(Ended(span, sheet.tenant, sheet.flow))
    assert found["gen_ai.usage.input_tokens"] == 100
    assert found["gen_ai.usage.output_tokens"] == 20
    assert found["gen_ai.usage.cache_read.input_tokens"] == 30
    assert found["gen_ai.usage.cache_creation.input_tokens"] == 10
    assert json.loads(found[f"{OBSERVATION}.usage_details"]) == {
        "input": 60,
        "input_cached_tokens": 30,
        "input_cache_creation": 10,
        "output": 20,
    }
    assert json.loads(found[f"{OBSERVATION}.cost_details"]) == {"total": 0.002}
    assert found[f"{OBSERVATION}.model.name"] == found["gen_ai.response.model"] == "claude-opus-5-5"
    assert found["gen_ai.response.id"] == "msg_1"
    assert found["gen_ai.response.finish_reasons"] == ["tool_use"]
    first = datetime.fromisoformat(found[f"{OBSERVATION}.completion_start_time"])
    assert first == span.started_at + timedelta(seconds=0.25)


@pytest.mark.parametrize("kind", [kind for kind in get_args(SpanKind) if kind != "model"])
def test_only_a_model_call_has_a_cost(kind: SpanKind) -> None:
    """What an agent used in all is metadata: as usage it would count twice."""
    found = one(kind, usage={"input_tokens": 7, "output_tokens": 5}, cost_usd=0.5)
    assert not [name for name in found if name.startswith("gen_ai.usage") or "_details" in name]
    assert json.loads(found[f"{OBSERVATION}.metadata.usage"]) == {"input_tokens": 7, "output_tokens": 5}
    assert found[f"{OBSERVATION}.metadata.cost_usd"] == 0.5


def test_a_model_call_that_never_ended_has_no_usage() -> None:
    """Nothing is made up for a call whose answer never came."""
    found = one("model", status="interrupted", request_model="claude-opus-5-5")
    assert found[f"{OBSERVATION}.model.name"] == "claude-opus-5-5"
    assert not [name for name in found if "usage" in name or "cost" in name]


@pytest.mark.parametrize(
    ("status", "level", "code"),
    [
        ("ok", None, 1),
        ("error", "ERROR", 2),
        ("interrupted", "WARNING", 2),
        ("needs_help", "WARNING", 0),
        ("suspended", "WARNING", 0),
        ("cancelled", "WARNING", 0),
    ],
)
def test_how_it_ended_is_its_level_and_status(status: SpanStatus, level: str | None, code: int) -> None:
    """An error and a death are errors to OpenTelemetry; what stopped on purpose is only marked."""
    sheet = Sheet()
    problem: dict[str, Any] = {} if status == "ok" else {"problem": "It was so."}
    span = sheet.add("tool", "execute_tool x", status=status, **problem)
    ended = Ended(span, sheet.tenant, sheet.flow)
    found = given(ended)
    assert found.get(f"{OBSERVATION}.level") == level
    assert found.get(f"{OBSERVATION}.status_message") == (None if status == "ok" else "It was so.")
    arrived = seen(message(ended, "staging"))
    assert (arrived.status, arrived.message) == (code, "It was so." if code == 2 else "")


def test_content_has_langfuses_name_and_the_conventions() -> None:
    """Input and output of a tool are its arguments and result; only sizes are said of what was not kept."""
    told = one("tool", tool="search", tool_use_id="toolu_1", input=content('{"q": 1}'), output=content("hit"))
    assert told[f"{OBSERVATION}.input"] == told["gen_ai.tool.call.arguments"] == '{"q": 1}'
    assert told[f"{OBSERVATION}.output"] == told["gen_ai.tool.call.result"] == "hit"
    assert (told["gen_ai.tool.name"], told["gen_ai.tool.call.id"]) == ("search", "toolu_1")
    agent = one("agent_run", input=content("Why?"), agent="lead", bundle="lead", bundle_version="v7")
    assert agent[f"{OBSERVATION}.input"] == agent["input.value"] == "Why?"
    assert agent[f"{OBSERVATION}.prompt.name"] == agent["gen_ai.agent.name"] == "lead"
    assert agent[f"{OBSERVATION}.metadata.bundle_version"] == agent["gen_ai.agent.version"] == "v7"
    hidden = one("tool", input=content("Why?", kept=False))
    assert not [name for name in hidden if name.endswith((".input", ".arguments"))]
    assert hidden[f"{OBSERVATION}.metadata.input_chars"] == 4
    assert len(hidden[f"{OBSERVATION}.metadata.input_sha256"]) == 64


def test_json_has_ids_in_hexadecimal_and_enums_as_numbers() -> None:
    """OTLP/JSON differs from protobuf's JSON; times are nanoseconds as text."""
    sheet = research()
    document = as_json(request([message(each, "staging") for each in sheet.ended()], "staging"))
    (resource,) = document["resourceSpans"]
    about = {pair["key"]: pair["value"]["stringValue"] for pair in resource["resource"]["attributes"]}
    assert about["service.name"] == about["openinference.project.name"] == "subagent-harness"
    (scope,) = resource["scopeSpans"]
    root, lead, chat = scope["spans"][:3]
    assert scope["scope"]["name"] == "subagent-harness"
    assert root["traceId"] == lead["traceId"] == sheet.root.trace_id
    assert "parentSpanId" not in root
    assert (lead["spanId"], lead["parentSpanId"]) == (sheet.spans[1].span_id, sheet.root.span_id)
    assert (lead["kind"], chat["kind"]) == (1, 3)
    began = int(sheet.root.started_at.timestamp()) * 10**9
    assert (root["startTimeUnixNano"], root["endTimeUnixNano"]) == (str(began), str(began + 5 * 10**8))
    tokens = {pair["key"]: pair["value"] for pair in chat["attributes"]}["gen_ai.usage.input_tokens"]
    assert tokens == {"intValue": "100"}
    assert json.loads(json.dumps(document)) == document


def test_a_text_that_is_no_utf8_is_sent_all_the_same() -> None:
    """A model may write half of a surrogate pair; what cannot be carried becomes a question mark."""
    sheet = Sheet()
    span = sheet.add("tool", "execute_tool \udcff", output=content("half \ud83d of it"))
    arrived = seen(message(Ended(span, sheet.tenant, sheet.flow), "staging"))
    assert arrived.name == "execute_tool ?"
    assert arrived.attributes[f"{OBSERVATION}.output"] == "half ? of it"


def test_an_end_before_its_start_is_the_start() -> None:
    """Two machines may have written them; no receiver takes a negative time."""
    sheet = Sheet()
    arrived = seen(message(Ended(sheet.add("wait", "wait", seconds=-3), "t", "f"), "staging"))
    assert arrived.end_ns == arrived.start_ns


def test_a_whole_session_keeps_to_langfuses_rules() -> None:
    """The receiver that enforces them finds one root, no missing parent, and each token once."""
    with OtlpReceiver() as receiver:
        sheet = research()
        sent = request([message(each, "default") for each in sheet.ended()], "default")
        assert receiver.take("/v1/traces", {}, sent.SerializeToString()) == 200
        assert receiver.violations == []
        assert [root.name for root in receiver.roots()] == ["session"]
        assert receiver.missing_parents() == set()
        assert receiver.usage()["output"] == 80
        assert receiver.tree()["invoke_agent researcher", "execute_tool delegate"] == 2
