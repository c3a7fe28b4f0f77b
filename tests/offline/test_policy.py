"""The policy as a pure function: ids, usage, the tools and formats that are demanded, typed outputs."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator

from harness.gateway.offline import OfflineUpstream
from harness.gateway.upstream import Caller, Outgoing
from harness.offline.policy import respond
from harness.wire import StreamReader

from .checks import check, conversations
from .documents import DOCUMENTS
from .simulator import CORPUS_TOOLS, DELEGATE, Corpus, Played, asked, play, tool


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
    request = asked("<question>What is a lease?</question>", CORPUS_TOOLS).request() | {"stream": True}
    reader = StreamReader()
    async with OfflineUpstream().send(_sent(request)) as answer:
        async for event in answer.chunks:
            reader.feed(event)
    assert reader.message == respond(request)


async def test_the_upstream_thinks_where_the_model_does() -> None:
    """Its answer can be sent back behind what it was given for, and behind nothing else."""
    request = asked("<question>What is a lease?</question>", CORPUS_TOOLS).request()
    request |= {"model": "claude-opus-5-5", "stream": False}
    message = json.loads(await _answer(request))
    first, *_ = message["content"]
    assert (first["type"], first["thinking"]) == ("thinking", "")
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "Nothing found."}
        for block in message["content"]
        if block["type"] == "tool_use"
    ]
    told = [{"role": "assistant", "content": message["content"]}, {"role": "user", "content": results}]
    again = request | {"messages": request["messages"] + told}
    assert json.loads(await _answer(again))["type"] == "message"
    refused = json.loads(await _answer(again | {"system": "Another agent."}))
    assert refused["error"]["type"] == "invalid_request_error"
    assert "bound to a different conversation" in refused["error"]["message"]


async def _answer(request: dict[str, Any]) -> bytes:
    async with OfflineUpstream().send(_sent(request)) as answer:
        return b"".join([part async for part in answer.chunks])


def _sent(request: dict[str, Any]) -> Outgoing:
    headers = {"anthropic-version": "2023-06-01"}
    return Outgoing(json.dumps(request).encode(), request, headers, "", Caller("a", "q0", 1))


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
