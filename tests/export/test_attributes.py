"""What a span says of itself to a receiver, by its kind."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, get_args

import pytest

from harness.export.attributes import attributes
from harness.export.otlp import as_json, message, request
from harness.export.parcels import pack
from harness.records import Usage
from harness.store.spans import Ended
from harness.tracing.span import SpanKind, SpanStatus
from tests.kit.langfuse.prices import phoenix_cost
from tests.kit.otlp_receiver import OtlpReceiver
from tests.kit.seen import Seen, seen
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
    assert found["langsmith.metadata.thread_id"] == session
    assert found["openinference.span.kind"]
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
        ("turn", "chain", "invoke_workflow"),
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
    costs = {"input_tokens": 0.001, "output_tokens": 0.001}
    span = sheet.chat(sheet.root, "claude-opus-5-5", costs=costs)
    found = given(Ended(span, sheet.tenant, sheet.flow))
    assert found["gen_ai.usage.input_tokens"] == 100
    assert found["gen_ai.usage.output_tokens"] == 20
    assert found["gen_ai.usage.cache_read.input_tokens"] == 30
    assert found["gen_ai.usage.cache_creation.input_tokens"] == 10
    assert found["gen_ai.usage.cache_write.input_tokens"] == 10
    assert json.loads(found[f"{OBSERVATION}.usage_details"]) == {
        "input": 60,
        "input_cached_tokens": 30,
        "input_cache_creation": 10,
        "output": 20,
    }
    assert json.loads(found[f"{OBSERVATION}.cost_details"]) == {
        "input": 0.001, "output": 0.001, "total": 0.002,
    }  # fmt: skip
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
    assert found[f"{OBSERVATION}.metadata.usage.input_tokens"] == 7
    assert found[f"{OBSERVATION}.metadata.usage.output_tokens"] == 5
    assert found[f"{OBSERVATION}.metadata.cost_usd"] == 0.5


LOST = Usage(attempts=2, unattributed_calls=1).model_dump()
REFUSED = Usage(attempts=1).model_dump()


@pytest.mark.parametrize(
    ("about", "unattributed"),
    [
        ({"status": "interrupted"}, True),
        ({"status": "suspended"}, True),
        ({"status": "error", "usage": LOST}, True),
        ({"status": "error", "usage": REFUSED}, None),
        ({"replayed": True}, None),
    ],
)
def test_a_call_without_an_answer_costs_nothing(about: dict[str, Any], unattributed: bool | None) -> None:
    """Langfuse prices what is told no cost by the length of its texts; what may be paid is marked."""
    found = one("model", request_model="claude-opus-5-5", input=content("Why?"), **about)
    assert found[f"{OBSERVATION}.model.name"] == "claude-opus-5-5"
    assert json.loads(found[f"{OBSERVATION}.cost_details"]) == {"total": 0}
    assert found.get(f"{OBSERVATION}.metadata.unattributed") is unattributed
    assert found.get("gen_ai.usage.output_tokens", 0) == 0


def test_a_call_of_unknown_price_is_priced_by_nobody_here() -> None:
    """Its usage is known: whoever knows a price for the model may use it."""
    sheet = Sheet()
    span = sheet.chat(sheet.root, "some-model", cost_usd=None)
    found = given(Ended(span, sheet.tenant, sheet.flow))
    assert f"{OBSERVATION}.cost_details" not in found


def test_the_first_token_is_never_after_the_end() -> None:
    """The wire's clock may be ahead of the one that ends spans."""
    sheet = Sheet()
    span = sheet.chat(sheet.root, first_token_s=0.53, seconds=0.5)
    found = given(Ended(span, sheet.tenant, sheet.flow))
    assert datetime.fromisoformat(found[f"{OBSERVATION}.completion_start_time"]) == span.ended_at
    assert found["gen_ai.response.time_to_first_chunk"] == 0.5


def test_how_a_model_was_asked_are_its_parameters() -> None:
    """As Langfuse shows them, and as the conventions name them."""
    asked = {"max_tokens": 32_000, "stream": True, "effort": "high", "thinking": "adaptive"}
    found = one("model", request_model="m", parameters=asked)
    assert json.loads(found[f"{OBSERVATION}.model.parameters"]) == asked
    assert found["gen_ai.request.max_tokens"] == 32_000
    assert found["gen_ai.request.stream"] is True
    assert found["gen_ai.request.reasoning.level"] == "high"


def test_an_offline_call_is_of_no_companys_model() -> None:
    """Receivers price by the model's name, and would invent a bill."""
    about = {"request_model": "offline-extractive", "model": "offline-extractive", "provider": "offline"}
    found = one("model", **about) | one("agent_run", agent="lead", provider="offline")
    assert found["gen_ai.provider.name"] == found["gen_ai.system"] == "offline"
    assert not [name for name, value in found.items() if "claude" in str(value) or "anthropic" in str(value)]


def test_a_replayed_call_is_answered_by_the_recording() -> None:
    """OpenInference's model is who answers, and no price fits; the others name what was recorded."""
    found = one("model", request_model="claude-opus-5-5", model="claude-opus-5-5", provider="replay")
    assert found["llm.model_name"] == found["gen_ai.provider.name"] == found["gen_ai.system"] == "replay"
    assert found["gen_ai.request.model"] == found["gen_ai.response.model"] == "claude-opus-5-5"
    assert phoenix_cost([_seen(found)]) == 0


def test_a_call_that_another_model_answered_is_priced_as_that_model() -> None:
    """Phoenix prices by OpenInference's name of the model, and by the one asked for without it."""
    sheet = Sheet()
    span = sheet.chat(sheet.root, "claude-haiku-5-5", request_model="claude-opus-5-5")
    found = given(Ended(span, sheet.tenant, sheet.flow))
    assert found["llm.model_name"] == "claude-haiku-5-5"
    tokens = 60 * 0.1 + 30 * 0.01 + 10 * 0.125 + 20 * 0.5
    assert phoenix_cost([_seen(found)]) == pytest.approx(tokens / 1e6)


def _seen(attributes: dict[str, Any]) -> Seen:
    return Seen("", "", "", "", 0, 0, "", 0, 0, attributes)


@pytest.mark.parametrize("kind", ["agent_run", "model"])
def test_where_a_prompt_is_at_work_its_bundle_is_the_version(kind: SpanKind) -> None:
    """By it Langfuse compares versions; it links prompts only that are its own."""
    found = one(kind, agent="lead", bundle_version="0123456789abcdef", bundle="lead")
    assert found["langfuse.version"] == "0123456789ab"
    assert found["gen_ai.agent.name"] == found["agent.name"] == "lead"
    assert f"{OBSERVATION}.prompt.name" not in found
    assert "langfuse.version" not in one("tool", agent="lead", bundle_version="0123456789abcdef")


def test_a_run_is_not_its_agent() -> None:
    """The conventions' id is one of an agent; a run has a name of our own."""
    sheet = Sheet()
    lead = sheet.agent("lead")
    found = given(Ended(sheet.search(lead), sheet.tenant, sheet.flow))
    assert found["harness.run.id"] == lead.agent_run_id
    assert "gen_ai.agent.id" not in found


def test_a_trace_has_its_tags_on_every_span() -> None:
    """Langfuse takes those of any span for the trace's."""
    sheet = Sheet()
    for span in sheet.spans:
        found = given(Ended(span, sheet.tenant, sheet.flow, ("deep", "live", "nightly")))
        assert found["langfuse.trace.tags"] == ["deep", "live", "nightly"]


def test_an_error_says_which_one() -> None:
    """A status of the service is kinder to group by than a sentence."""
    assert one("model", status="error", **{"status_code": 1})["error.type"] == "error"
    sheet = Sheet()
    span = sheet.add("model", "chat m", status="error")
    span.attributes["status"] = 529
    assert given(Ended(span, "t", "f"))["error.type"] == "529"
    assert one("tool", status="error", hook="budget", problem="No.")["error.type"] == "refused"


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
    told = one(
        "tool",
        tool="search",
        tool_use_id="toolu_1",
        input=content('{"q": 1}', json_text=True),
        output=content("hit"),
    )
    assert told[f"{OBSERVATION}.input"] == told["gen_ai.tool.call.arguments"] == told["input.value"]
    assert (told["input.value"], told["input.mime_type"]) == ('{"q": 1}', "application/json")
    assert told[f"{OBSERVATION}.output"] == told["gen_ai.tool.call.result"] == told["output.value"]
    assert (told["output.value"], told["output.mime_type"]) == ("hit", "text/plain")
    assert (told["gen_ai.tool.name"], told["gen_ai.tool.call.id"]) == ("search", "toolu_1")
    agent = one("agent_run", input=content("Why?"), agent="lead", bundle="lead", bundle_version="v7")
    assert agent[f"{OBSERVATION}.input"] == agent["input.value"] == "Why?"
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
    assert (lead["spanId"], lead["parentSpanId"]) == (sheet.spans[1].span_id, sheet.spans[0].span_id)
    assert (lead["kind"], chat["kind"]) == (1, 3)
    began = int(sheet.spans[0].started_at.timestamp()) * 10**9
    assert (root["startTimeUnixNano"], root["endTimeUnixNano"]) == (str(began), str(began + 30 * 10**9))
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
    """The receiver that enforces them finds two turns, no missing parent, and each token once."""
    with OtlpReceiver() as receiver:
        sheet = research()
        sent = request([message(each, "default") for each in sheet.ended()], "default")
        assert receiver.take("/v1/traces", {}, sent.SerializeToString()) == 200
        assert receiver.violations == []
        assert [root.name for root in receiver.roots()] == ["invoke_workflow research"] * 2
        assert receiver.missing_parents() == set()
        assert receiver.usage()["output"] == 80
        assert receiver.tree()["invoke_agent researcher", "execute_tool delegate"] == 2


def test_what_is_said_besides_has_a_bound() -> None:
    """A service's page of HTML as a reason, a thousand failed citations: their beginnings."""
    sheet = Sheet()
    wrong = [{"source": f"S{number}", "quote": "x" * 50} for number in range(900)]
    about: dict[str, Any] = {"problem": "no " * 1_000_000, "about": "y" * 5000}
    span = sheet.add("turn", "t", status="error", citations={"checked": 900, "failed": wrong}, **about)
    ended = Ended(span, sheet.tenant, sheet.flow)
    assert message(ended, "staging").ByteSize() < 16_000
    failed = json.loads(given(ended)[f"{OBSERVATION}.metadata.citations.failed"])
    assert failed[0] == wrong[0]
    assert failed[-1] == {"left_out": 900 - (len(failed) - 1)}


@pytest.mark.parametrize("text", ["{}", "[1]", '{"messages": [{}]}'])
def test_a_row_of_another_version_holds_up_nobody(text: str) -> None:
    """What cannot be made a message is told apart, with the reason; the others are sent."""
    sheet = Sheet()
    sheet.chat(sheet.root, input=content(text, json_text=True) | {"chat_bytes": 5000})
    parcels, spoilt = pack(sheet.ended(), "staging")
    assert len(parcels) + len(spoilt) == 2
    assert parcels[0].span.kind == "turn"
