"""Each rule of the judge sees what it should, and lets right spans pass."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.kit.langfuse.rules import chats, of_span, problems
from tests.kit.seen import Seen

OWN = "langfuse.observation"
TAGS = {"langfuse.trace.tags": ["research", "live"], "langfuse.trace.name": "research"}
SECOND = 1_000_000_000

CALL = {
    "id": "toolu_1",
    "type": "function",
    "function": {"name": "search", "arguments": '{"query": "tides"}'},
}
INPUT: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "You search."},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "Two passages."},
    ],
    "tools": [{"type": "function", "function": {"name": "search", "parameters": {}}}],
}
OUTPUT: dict[str, Any] = {"role": "assistant", "content": "Because."}


def sides(**texts: Any) -> dict[str, Any]:
    """Attributes of an input or an output as the harness sends them."""
    found: dict[str, Any] = {}
    for side, value in texts.items():
        text = value if isinstance(value, str) else json.dumps(value)
        kind = "text/plain" if isinstance(value, str) else "application/json"
        found |= {f"{OWN}.{side}": text, f"{side}.value": text, f"{side}.mime_type": kind}
    return found


def span(name: str, id_: str, parent: str, kind: str, about: Mapping[str, Any]) -> Seen:
    attributes = {**TAGS, "openinference.span.kind": kind, **about}
    return Seen("t", id_, parent, name, 1, 1, "", 10 * SECOND, 12 * SECOND, attributes)


ROOT = span(
    "invoke_workflow research",
    "1",
    "",
    "CHAIN",
    {f"{OWN}.type": "chain", "gen_ai.operation.name": "invoke_workflow", **sides(input="Why?", output="So.")},
)
CHAT = span(
    "chat claude-sonnet-5",
    "2",
    "1",
    "LLM",
    {
        f"{OWN}.type": "generation",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "claude-sonnet-5",
        f"{OWN}.model.name": "claude-sonnet-5",
        f"{OWN}.model.parameters": '{"max_tokens": 1000}',
        f"{OWN}.usage_details": '{"input": 100, "output": 10}',
        f"{OWN}.cost_details": '{"input": 0.0002, "output": 0.0001, "total": 0.0003}',
        f"{OWN}.completion_start_time": "1970-01-01T00:00:11+00:00",
        **sides(input=INPUT, output=OUTPUT),
    },
)
TOOL = span(
    "execute_tool search",
    "3",
    "1",
    "TOOL",
    {
        f"{OWN}.type": "tool",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "gen_ai.tool.call.id": "toolu_1",
        f"{OWN}.metadata.usage.input_tokens": 100,
        **sides(input={"query": "tides"}, output="Two passages."),
    },
)
OFFLINE = replace(
    CHAT,
    name="chat offline-extractive",
    attributes={
        **CHAT.attributes,
        "langfuse.trace.tags": ["research", "offline"],
        "gen_ai.request.model": "offline-extractive",
        f"{OWN}.model.name": "offline-extractive",
        f"{OWN}.cost_details": '{"total": 0}',
        **sides(input={"messages": [{"role": "user", "content": "Is Claude of Anthropic?"}]}, output=OUTPUT),
    },
)
SIDES = ("input", "output", f"{OWN}.input", f"{OWN}.output")
KEPT_BACK = {f"{OWN}.metadata.{side}_chars": 9 for side in ("input", "output")}


def without(sent: Seen, *names: str, **more: Any) -> Seen:
    """The same span, without the attributes that begin with these names, and with others."""
    kept = {name: value for name, value in sent.attributes.items() if not name.startswith(names or ("-",))}
    return replace(sent, attributes=kept | more)


def told(sent: Seen, about: Mapping[str, Any]) -> Seen:
    """The same span with other attributes."""
    return replace(sent, attributes={**sent.attributes, **about})


RIGHT = {
    "a trace": [ROOT, CHAT, TOOL],
    "an offline call": [told(ROOT, {"langfuse.trace.tags": ["research", "offline"]}), OFFLINE],
    "content that is kept back": [told(without(each, *SIDES), KEPT_BACK) for each in (ROOT, CHAT, TOOL)],
    "a failed turn without a report": [
        told(
            without(ROOT, "output", f"{OWN}.output"),
            {f"{OWN}.level": "ERROR", f"{OWN}.status_message": "No."},
        )
    ],
    "a call of which nothing is known": [
        ROOT,
        told(
            without(CHAT, f"{OWN}.usage", f"{OWN}.output", "output"), {f"{OWN}.cost_details": '{"total": 0}'}
        ),
    ],
    "a call whose price nobody knows": [
        ROOT,
        told(without(CHAT, f"{OWN}.cost"), {f"{OWN}.model.name": "other", "gen_ai.request.model": "other"}),
    ],
    "an answer that was kept": [
        ROOT,
        told(
            without(CHAT, "gen_ai.request", f"{OWN}.model", f"{OWN}.usage", *SIDES),
            {f"{OWN}.cost_details": '{"total": 0}', f"{OWN}.metadata.replayed": True},
        ),
    ],
    "an input that is cut": [
        ROOT,
        told(TOOL, {**sides(output='{"a": '), "output.mime_type": "application/json", **KEPT_BACK}),
    ],
    "a call that shows twice": [ROOT, TOOL, replace(TOOL, span_id="4")],
}

WRONG = {
    "no kind": (without(TOOL, "openinference"), "openinference.span.kind is None"),
    "no tags": (without(TOOL, "langfuse.trace.tags"), "the flow is not among its tags []"),
    "a run's id": (told(TOOL, {"gen_ai.agent.id": "9"}), "gen_ai.agent.id names a run"),
    "a tool without input": (without(TOOL, "input", f"{OWN}.input"), "a tool without input.value"),
    "an input of tools only": (
        told(without(TOOL, "input"), {"gen_ai.tool.call.arguments": "{}"}),
        "is there, and no input.value",
    ),
    "an input not for Langfuse": (without(TOOL, f"{OWN}.input"), f"no {OWN}.input"),
    "two outputs": (told(TOOL, {"output.value": "Three."}), "differ"),
    "no mime type": (without(TOOL, "input.mime_type"), "input.mime_type is None"),
    "a wrong mime type": (told(TOOL, {"output.mime_type": "application/json"}), "says JSON, and it is none"),
    "cost on a tool": (told(TOOL, {f"{OWN}.cost_details": '{"total": 1}'}), "usage or cost on no generation"),
    "tokens on a root": (told(ROOT, {"gen_ai.usage.input_tokens": 1}), "usage or cost on no generation"),
    "a call without a count": (without(CHAT, f"{OWN}.usage", f"{OWN}.cost"), "Langfuse invents"),
    "a model on a root": (told(ROOT, {"gen_ai.request.model": "claude-opus-5-5"}), "Langfuse invents"),
    "neither tokens nor costs": (
        told(without(CHAT, f"{OWN}.cost", f"{OWN}.usage"), {f"{OWN}.model.name": "other"}),
        "no total cost",
    ),
    "parts without a total": (told(CHAT, {f"{OWN}.cost_details": '{"cache": 1.0}'}), "no total cost"),
    "parts of another total": (
        told(CHAT, {f"{OWN}.cost_details": '{"input": 1.0, "output": 1.0, "total": 3.0}'}),
        "its costs by type make 2.0",
    ),
    "a prompt's name alone": (told(CHAT, {f"{OWN}.prompt.name": "lead"}), "links nothing"),
    "a prompt by its hash": (
        told(CHAT, {f"{OWN}.prompt.name": "lead", f"{OWN}.prompt.version": "abc"}),
        "links nothing",
    ),
    "a prompt on a tool": (
        told(TOOL, {f"{OWN}.prompt.name": "lead", f"{OWN}.prompt.version": 1}),
        "links nothing",
    ),
    "an object as text": (
        told(TOOL, {f"{OWN}.metadata.limits": '{"max_steps": 3}'}),
        "an object as one text",
    ),
    "a late first token": (
        told(CHAT, {f"{OWN}.completion_start_time": "1970-01-01T00:00:12.030000+00:00"}),
        "its first token came 0.030 s after its end",
    ),
    "a model offline": (
        told(OFFLINE, {"gen_ai.request.model": "claude-opus-5-5"}),
        "offline, and gen_ai.request",
    ),
    "a provider offline": (
        told(OFFLINE, {"gen_ai.provider.name": "anthropic"}),
        "offline, and gen_ai.provider",
    ),
    "a name offline": (replace(OFFLINE, name="chat claude-opus-5-5"), "offline, and its name"),
    "no model": (without(CHAT, "gen_ai.request", f"{OWN}.model.name"), "no model is named"),
    "no parameters": (without(CHAT, f"{OWN}.model.parameters"), "no parameter of the model"),
    "no chat": (told(CHAT, sides(input="Why?")), "There is no chat"),
    "a prompt's name as input": (
        told(
            without(CHAT, "input", "output", f"{OWN}.input", f"{OWN}.output"), {"gen_ai.prompt.name": "lead"}
        ),
        "There is no chat",
    ),
    "a root without input": (without(ROOT, "input", f"{OWN}.input"), "a root without input"),
    "a root without output": (without(ROOT, "output", f"{OWN}.output"), "a root without output"),
    "a root of no time": (replace(ROOT, end_ns=ROOT.start_ns), "a root that took no time"),
    "a failure without a reason": (told(ROOT, {f"{OWN}.level": "ERROR"}), "without a reason"),
}

TOGETHER = {
    "no upstream": (
        [told(each, {"langfuse.trace.tags": ["research"]}) for each in (ROOT, CHAT)],
        "is among the tags [('research',)]",
    ),
    "other tags": (
        [ROOT, told(CHAT, {"langfuse.trace.tags": ["research", "live", "new"]})],
        "different tags",
    ),
    "an orphan": ([CHAT], "its parent 1 has never come"),
    "a call by two names": (
        [ROOT, TOOL, told(replace(TOOL, span_id="4"), {"gen_ai.tool.name": "mcp__search"})],
        "the call toolu_1 of a tool is shown in different ways",
    ),
    "a call in two forms": (
        [ROOT, TOOL, told(replace(TOOL, span_id="4"), sides(input=[{"query": "tides"}]))],
        "the call toolu_1 of a tool is shown in different ways",
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_let_pass(name: str) -> None:
    assert problems(RIGHT[name]) == []


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_span_is_seen(name: str) -> None:
    wrong, words = WRONG[name]
    found = of_span(wrong)
    assert any(words in problem for problem in found), found


@pytest.mark.parametrize("name", TOGETHER)
def test_what_is_wrong_with_several_is_seen(name: str) -> None:
    spans, words = TOGETHER[name]
    (found,) = problems(spans)
    assert words in found


def changed(**change: Any) -> dict[str, Any]:
    """The conversation, with another last message."""
    return {**INPUT, "messages": [*INPUT["messages"][:-1], {**INPUT["messages"][-1], **change}]}


BLOCK = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Two passages."}
CHATS = {
    "no messages": ({"messages": []}, OUTPUT, "There is no chat"),
    "a text": ("Why?", OUTPUT, "There is no chat"),
    "a system beside it": ({**INPUT, "system": "You search."}, OUTPUT, "'system' stands beside the chat"),
    "a late system": ({"messages": [*reversed(INPUT["messages"])]}, OUTPUT, "not at the beginning"),
    "only what is new": ({"messages": INPUT["messages"][2:]}, OUTPUT, "Nobody asks anything"),
    "a result of no call": (changed(tool_call_id="toolu_2"), OUTPUT, "message 3 answers no call"),
    "blocks of the wire": (changed(role="user", content=[BLOCK]), OUTPUT, "message 3 holds blocks"),
    "a list of blocks": (
        INPUT,
        [{"type": "text", "text": "So."}, {"type": "text", "text": "Yes."}],
        "nobody's",
    ),
    "another's answer": (INPUT, {"role": "user", "content": "Because."}, "not one answer"),
}


@pytest.mark.parametrize("name", CHATS)
def test_what_is_no_chat_is_seen(name: str) -> None:
    given, made, words = CHATS[name]
    found = chats([ROOT, told(CHAT, sides(input=given, output=made)), TOOL])
    assert any(words in problem for problem in found), found


def test_a_whole_conversation_is_a_chat() -> None:
    assert chats([ROOT, CHAT, TOOL]) == []
