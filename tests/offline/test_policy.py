"""The policy as a pure function: always a valid message, the same for the same request."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from harness.offline.policy import MODEL, respond
from harness.offline.upstream import events
from harness.wire import StreamReader

from .documents import DOCUMENTS
from .simulator import CORPUS_TOOLS, DELEGATE, Corpus, Played, ask_lead, asked, play, tool

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    [
        "mcp__corpus__search",
        "mcp__corpus__read",
        "mcp__harness__delegate",
        "mcp__harness__read_result",
        "StructuredOutput",
        "Bash",
    ]
)
TEXTS = st.text(max_size=60) | st.sampled_from(
    [
        "<question>What is a lease?</question>",
        "<question>",
        "<task>{}</task>",
        '<task>{"claims": [1]}</task>',
        "Continue from where you left off.",
        "",
        "[]",
        '{"hits": [{"source": 1}]}',
        '[{"status": "done"',
    ]
)
BLOCKS = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": TEXTS}),
    st.fixed_dictionaries(
        {"type": st.just("tool_use"), "id": st.sampled_from("abc"), "name": NAMES, "input": JSON}
    ),
    st.fixed_dictionaries(
        {"type": st.just("tool_result"), "tool_use_id": st.sampled_from("abc"), "content": TEXTS | JSON}
    ),
    JSON,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["user", "assistant", "system"]),
            "content": TEXTS | st.lists(BLOCKS, max_size=4),
        }
    )
    | JSON,
    max_size=6,
)
TOOLS = st.lists(
    st.fixed_dictionaries({"name": NAMES}, optional={"input_schema": JSON, "description": JSON}) | JSON,
    max_size=5,
)
SCHEMA_OF_A_MESSAGE = Draft202012Validator(
    {
        "type": "object",
        "required": ["id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"],
        "properties": {
            "id": {"type": "string", "pattern": "^msg_[0-9a-f]{24}$"},
            "type": {"const": "message"},
            "role": {"const": "assistant"},
            "model": {"const": MODEL},
            "stop_reason": {"enum": ["end_turn", "tool_use"]},
            "content": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "anyOf": [
                        {
                            "required": ["type", "text"],
                            "properties": {
                                "type": {"const": "text"},
                                "text": {"type": "string", "minLength": 1},
                            },
                        },
                        {
                            "required": ["type", "id", "name", "input"],
                            "properties": {
                                "type": {"const": "tool_use"},
                                "id": {"type": "string", "pattern": "^toolu_[0-9a-f]{24}$"},
                                "input": {"type": "object"},
                            },
                        },
                    ]
                },
            },
        },
    }
)


def check(request: dict[str, Any]) -> dict[str, Any]:
    """Answer a request and check the answer as any reader of the API would."""
    before = copy.deepcopy(request)
    message = respond(request)
    assert request == before, "the request was changed"
    SCHEMA_OF_A_MESSAGE.validate(message)
    calls = [block for block in message["content"] if block["type"] == "tool_use"]
    tools = request.get("tools")
    offered = [one.get("name") for one in tools if isinstance(one, dict)] if isinstance(tools, list) else []
    assert all(call["name"] in offered for call in calls)
    assert len({call["id"] for call in calls}) == len(calls)
    assert (message["stop_reason"] == "tool_use") == bool(calls)
    assert json.loads(json.dumps(message)) == message
    assert all(count >= 0 for count in message["usage"].values())
    return message


@settings(max_examples=400, deadline=None)
@given(MESSAGES, TOOLS)
def test_odd_conversations_get_a_valid_message(messages: list[Any], tools: list[Any]) -> None:
    """Whatever stands in a request, the answer is a message that calls only tools that are offered."""
    request = {"model": "m", "messages": messages, "tools": tools}
    assert check(request) == check(request)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["messages", "tools", "system", "tool_choice", "output_config"]), JSON)
)
def test_requests_of_any_shape_get_a_valid_message(request: dict[str, Any]) -> None:
    """Even the parts themselves may be anything."""
    check(request)


def conversations() -> list[dict[str, Any]]:
    """Requests of whole sessions: every turn of the lead and of its subagents."""
    corpus = Corpus(DOCUMENTS, passage=300)
    lead = ask_lead("What is the difference between a lease and a lock?", corpus)
    alone = play(asked("<question>What is a lease?</question>", CORPUS_TOOLS), corpus)
    return [
        {**agent.request(), "messages": agent.messages[:turn]}
        for agent in (lead, alone, *lead.subagents)
        for turn in range(1, len(agent.messages) + 1, 2)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_damaged_conversations_get_a_valid_message(seed: int) -> None:
    """Parts of a real conversation go missing or turn into something else; the seed is the test's name."""
    chance = random.Random(seed)
    for request in conversations():
        damaged = copy.deepcopy(request)
        for _ in range(chance.randint(1, 4)):
            damage(damaged, chance)
        check(damaged)


def damage(value: Any, chance: random.Random) -> None:
    """Walk to a random place and delete, replace or cut what stands there."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    if not keys:
        return
    key = chance.choice(list(keys))
    if isinstance(value[key], (dict, list)) and chance.random() < 0.8:
        damage(value[key], chance)
    elif isinstance(value[key], str) and chance.random() < 0.6:
        value[key] = value[key][: chance.randint(0, len(value[key]))]
    else:
        value[key] = chance.choice([None, 7, "", [], {}, "text", True])


def test_ids_are_unique_in_a_session_and_the_same_on_a_repeat() -> None:
    """No two turns share an id; the same conversation played again has the same ones."""

    def ids() -> list[str]:
        return [message["id"] for message in map(respond, conversations())]

    first = ids()
    assert first == ids()
    assert len(set(first)) == len(first)


def test_usage_grows_with_the_conversation() -> None:
    """Input is estimated from all that is sent, output from what is answered: four bytes a token."""
    agent = asked("<question>What is a lease?</question>", CORPUS_TOOLS)
    small = respond(agent.request())["usage"]
    agent.messages[0]["content"].append({"type": "text", "text": "x" * 4000})
    large = respond(agent.request())["usage"]
    assert 1000 <= large["input_tokens"] - small["input_tokens"] <= 1020
    assert small["output_tokens"] > 0


async def test_the_upstream_streams_the_same_message() -> None:
    """The events put together are what the policy answers."""
    request = asked("<question>What is a lease?</question>", CORPUS_TOOLS).request()
    reader = StreamReader()
    async for event in events(request):
        reader.feed(event)
    assert reader.message == respond(request)


def text_of(request: dict[str, Any]) -> str:
    return str(check(request)["content"][0]["text"])


def test_a_title_is_short() -> None:
    """A request without tools or a conversation, as for a title, gets the words of the text."""
    assert (
        text_of({"messages": [{"role": "user", "content": "How do leases work?"}]}) == "How do leases work?"
    )
    assert len(text_of({"messages": [{"role": "user", "content": "word " * 200}]})) <= 80


def test_tools_that_cannot_look_anything_up_are_not_called() -> None:
    """With foreign tools only, the answer says that nothing could be looked up."""
    request = {"messages": [{"role": "user", "content": "What is a lease?"}], "tools": [tool("Bash")]}
    assert "no language model was used" in text_of(request)


def test_a_demanded_tool_is_called_with_a_valid_input() -> None:
    """A forced tool gets an input as its schema asks."""
    schema = {
        "type": "object",
        "properties": {"next": {"enum": ["search", "finish"]}, "reason": {"type": "string", "minLength": 1}},
        "required": ["next", "reason"],
        "additionalProperties": False,
    }
    request = {
        "messages": [{"role": "user", "content": "Who is next?"}],
        "tools": [tool("route", schema)],
        "tool_choice": {"type": "tool", "name": "route"},
    }
    (call,) = check(request)["content"]
    Draft202012Validator(schema).validate(call["input"])


def test_a_demanded_format_is_kept() -> None:
    """A request for JSON of a schema gets text that is such JSON."""
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    request = {
        "messages": [{"role": "user", "content": "A title, please."}],
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
    }
    Draft202012Validator(schema).validate(json.loads(text_of(request)))


def test_another_typed_output_is_filled_from_the_evidence() -> None:
    """A bundle the policy has never seen gets a valid output whose texts come from the documents."""
    schema = {
        "type": "object",
        "properties": {
            "answer": {"type": "string"},
            "report": {"type": "string"},
            "confidence": {"enum": ["low", "high"]},
            "score": {"type": "number", "minimum": 0, "maximum": 1},
            "citations": {"type": "array", "items": {"$ref": "#/$defs/Citation"}, "minItems": 1},
            "remarks": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["answer", "report", "confidence", "score", "citations", "remarks"],
        "additionalProperties": False,
        "$defs": {
            "Citation": {
                "type": "object",
                "properties": {"source": {"type": "string"}, "quote": {"type": "string"}},
                "required": ["source", "quote"],
                "additionalProperties": False,
            }
        },
    }
    corpus = Corpus(DOCUMENTS, passage=300)
    task = json.dumps({"question": "What is a lease?"})
    agent = asked(f"<task>{task}</task>", [*CORPUS_TOOLS, tool("StructuredOutput", schema)])
    output = play(agent, corpus).output
    Draft202012Validator(schema).validate(output)
    assert output["answer"].startswith("A lease is a claim on a job")
    assert output["citations"][0]["quote"] in corpus.text_of(output["citations"][0]["source"])


def test_a_writer_uses_the_findings_it_is_given() -> None:
    """A bundle without tools of its own fills its output from its typed input, and keeps what it shares."""
    schema = {
        "type": "object",
        "properties": {"report": {"type": "string"}, "topic": {"type": "string"}},
        "required": ["report", "topic"],
        "additionalProperties": False,
    }
    finding = {
        "statement": "A lease is a claim.",
        "citations": [{"source": "S2", "quote": "A lease is a claim."}],
    }
    task = json.dumps({"topic": "leases", "findings": [finding]})
    agent = play(asked(f"<task>{task}</task>", [tool("StructuredOutput", schema)]), Corpus({}))
    assert agent.output["topic"] == "leases"
    assert "A lease is a claim [1]." in agent.output["report"]
    assert '[1] S2, S2: "A lease is a claim."' in agent.output["report"]


def test_a_refused_output_is_not_given_for_ever() -> None:
    """After two refusals of its output an agent answers in text and says why."""
    agent = asked(
        '<task>{"objective": "What is a lease?"}</task>', [tool("StructuredOutput", {"type": "object"})]
    )
    for _ in range(2):
        refuse(agent)
    (block,) = check(agent.request())["content"]
    assert "refused twice" in block["text"]


def refuse(agent: Played) -> None:
    """Let an agent take a turn, and answer its call with an error."""
    content = check(agent.request())["content"]
    agent.messages.append({"role": "assistant", "content": content})
    refusal = {
        "type": "tool_result",
        "tool_use_id": content[-1]["id"],
        "is_error": True,
        "content": "Invalid.",
    }
    agent.messages.append({"role": "user", "content": [refusal]})


def test_the_lead_keeps_to_the_bundles_on_offer() -> None:
    """The delegation tool's schema says which bundles there are and what they take."""
    own = {
        "type": "object",
        "properties": {"topic": {"type": "string"}, "depth": {"enum": ["shallow", "deep"]}},
        "required": ["topic", "depth"],
        "additionalProperties": False,
    }
    variant = {"type": "object", "properties": {"to": {"const": "librarian"}, "input": own}}
    schema = {"type": "object", "properties": {"tasks": {"type": "array", "items": {"anyOf": [variant]}}}}
    lead = asked("<question>What is a lease?</question>", [tool("mcp__harness__delegate", schema)])
    call = check(lead.request())["content"][-1]
    (task,) = call["input"]["tasks"]
    assert task["to"] == "librarian"
    Draft202012Validator(own).validate(task["input"])
    assert task["input"]["topic"] == "What is a lease?"


def test_the_lead_prefers_the_researcher() -> None:
    """Of several bundles the researcher is asked, however its description stands in the tool's."""
    request = asked("<question>What is a lease?</question>", [DELEGATE]).request()
    call = check(request)["content"][-1]
    assert [task["to"] for task in call["input"]["tasks"]] == ["researcher"]
