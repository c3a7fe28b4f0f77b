"""What the judge shows of spans is what Langfuse shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.kit.langfuse.observation import observe
from tests.kit.langfuse.prices import phoenix_cost
from tests.kit.langfuse.traces import roots, trace
from tests.kit.seen import Seen
from tests.kit.test_langfuse_rules import CHAT, OWN, ROOT, TAGS, TOOL, sides, told, without


def bare(**about: Any) -> Seen:
    """A span that says nothing but this; `__` in a name is a dot."""
    named = {name.replace("__", "."): value for name, value in about.items()}
    return Seen("t", "9", "1", "some", 1, 0, "", 0, 1, named)


@pytest.mark.parametrize(
    ("about", "type_"),
    [
        ({"langfuse__observation__type": "chain", "openinference__span__kind": "LLM"}, "CHAIN"),
        ({"openinference__span__kind": "LLM"}, "GENERATION"),
        ({"openinference__span__kind": "UNHEARD", "gen_ai__operation__name": "invoke_agent"}, "AGENT"),
        ({"gen_ai__operation__name": "execute_tool"}, "TOOL"),
        ({"gen_ai__operation__name": "invoke_workflow"}, "SPAN"),
        ({"gen_ai__tool__name": "search"}, "TOOL"),
        ({"gen_ai__request__model": "claude-sonnet-5"}, "GENERATION"),
        ({}, "SPAN"),
    ],
)
def test_a_type_is_told_or_inferred(about: dict[str, Any], type_: str) -> None:
    """Langfuse's own word comes first, then OpenInference's, then the operation's name."""
    assert observe(bare(**about)).type == type_


def test_a_generation_is_shown_with_all_that_it_says() -> None:
    row = observe(replace(CHAT, resource={"service.version": "1.2"}))
    assert (row.type, row.name, row.level) == ("GENERATION", "chat claude-sonnet-5", "DEFAULT")
    assert row.usage == {"input": 100, "output": 10, "total": 110}
    assert row.cost_usd == 0.0003
    assert row.model_parameters == {"max_tokens": 1000}
    assert row.completion_start_ns == 11_000_000_000
    assert (row.latency_s, row.version) == (2.0, "1.2")
    assert observe(told(CHAT, {"langfuse.version": "abc"})).version == "abc"


def test_a_tool_has_its_tools_name() -> None:
    assert observe(TOOL).name == "search"


def test_metadata_is_found_by_paths() -> None:
    """What is sent as one text has one path."""
    row = observe(told(TOOL, {f"{OWN}.metadata.limits": '{"max_steps": 3}', "harness.run.id": "7"}))
    assert row.metadata["usage.input_tokens"] == "100"
    assert row.metadata["limits"] == '{"max_steps": 3}'
    assert row.metadata["attributes.harness.run.id"] == "7"
    assert "attributes.input.value" not in row.metadata


def test_an_error_is_one_by_its_status_too() -> None:
    assert observe(replace(TOOL, status=2, message="No.")).level == "ERROR"
    assert observe(replace(TOOL, status=2, message="No.")).status_message == "No."
    assert observe(told(replace(TOOL, status=2), {f"{OWN}.level": "WARNING"})).level == "WARNING"


def test_a_call_without_a_count_is_counted_and_priced() -> None:
    """Unless it tells usage or cost, or nobody knows its model."""
    cut = without(CHAT, f"{OWN}.usage", f"{OWN}.cost", "output", f"{OWN}.output")
    row = observe(cut)
    assert row.invented
    assert row.usage["input"] > 0
    assert row.cost_usd == pytest.approx(row.usage["input"] * 2e-6)
    zero = observe(told(cut, {f"{OWN}.cost_details": '{"total": 0}'}))
    assert (zero.invented, zero.usage, zero.cost_usd) == (False, {}, 0)
    assert not observe(told(cut, {f"{OWN}.model.name": "offline-extractive"})).invented


def test_usage_alone_is_priced_by_its_parts() -> None:
    """Of the tokens from the conventions, those of the cache are taken out of the input."""
    about = {
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.cache_read.input_tokens": 30,
        "gen_ai.usage.cache_creation.input_tokens": 10,
        "gen_ai.usage.output_tokens": 20,
    }
    row = observe(told(without(CHAT, f"{OWN}.usage", f"{OWN}.cost"), about))
    assert row.usage == {
        "input": 60,
        "input_cached_tokens": 30,
        "input_cache_creation": 10,
        "output": 20,
        "total": 120,
    }
    assert row.cost_usd == pytest.approx(60 * 2e-6 + 30 * 2e-7 + 10 * 2.5e-6 + 20 * 1e-5)
    assert not row.invented


def test_an_agent_counts_nothing() -> None:
    """What an agent sums up is exempt, whatever it says; a chain's is not."""
    agent = told(CHAT, {f"{OWN}.type": "agent", "gen_ai.operation.name": "invoke_agent"})
    assert (observe(agent).usage, observe(agent).cost_usd) == ({}, None)
    assert observe(told(CHAT, {f"{OWN}.type": "chain"})).cost_usd == 0.0003


def test_a_prompt_is_linked_by_name_and_number_on_generations_only() -> None:
    linked = {f"{OWN}.prompt.name": "lead", f"{OWN}.prompt.version": 3}
    assert observe(told(CHAT, linked)).prompt == ("lead", 3)
    assert observe(told(TOOL, linked)).prompt is None
    assert observe(told(CHAT, {f"{OWN}.prompt.name": "lead"})).prompt is None


def test_a_traces_content_is_that_of_the_root_that_came_last() -> None:
    second = told(replace(ROOT, span_id="5", start_ns=ROOT.end_ns), sides(input="And?", output="No."))
    rows = [observe(span) for span in (CHAT, ROOT, TOOL, second, CHAT)]
    assert [row.input for row in roots(rows)] == ["Why?", "And?"]
    shown = trace(rows)
    assert (shown.name, shown.input, shown.output) == ("research", "And?", "No.")
    assert shown.tags == tuple(TAGS["langfuse.trace.tags"])
    assert shown.usage == {"input": 200, "output": 20, "total": 220}
    assert shown.cost_usd == pytest.approx(0.0006)
    assert shown.level == "DEFAULT"
    assert trace([observe(CHAT)]).output is None


def test_phoenix_prices_what_was_asked_for() -> None:
    """By the model of the request and the tokens of the conventions, and no other kind of span."""
    about = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10}
    call = told(CHAT, about)
    assert phoenix_cost([call]) == pytest.approx(100 * 2e-6 + 10 * 1e-5)
    assert phoenix_cost([told(call, {"gen_ai.request.model": "offline-extractive"})]) == 0
    assert phoenix_cost([told(call, {"llm.model_name": "offline-extractive"})]) == 0
    assert phoenix_cost([told(call, {"openinference.span.kind": "AGENT"})]) == 0
    assert phoenix_cost([without(call, "openinference")]) > 0
