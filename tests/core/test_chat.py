"""A request and an answer as a chat: every kind of block has a form that is read, whatever it is cut to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.redaction import FAILED, Redactor
from harness.tracing.blocks import dumps
from harness.tracing.chat import Answered, Asked, answer_of, chat_of
from harness.tracing.content import Keeper
from harness.tracing.fitting import fit_chat
from tests.kit.langfuse_chat import problems, read

CLEAN = Redactor().value
BASE64 = "aGVsbG8gd29ybGQ="
BILLING = {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=1;"}


def use(id_: str, name: str = "search", **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": name, "input": given}


def result(id_: str, content: Any = "found", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": content} | more


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


REQUEST: dict[str, Any] = {
    "model": "m",
    "system": [BILLING, text("You are a researcher."), text("Be brief.")],
    "messages": [
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": [text("I look."), use("t1", q="tides"), use("t2", q="winds")]},
        {"role": "user", "content": [result("t1"), result("t2", [text("a"), text("b")]), text("Go on.")]},
    ],
    "tools": [{"name": "search", "description": "Searches.", "input_schema": {"type": "object"}}],
}


def seen(request: dict[str, Any], most: int = 1_000_000) -> dict[str, Any]:
    """The chat of a request, as a span keeps it; the judge has no fault to find."""
    said, _ = fit_chat(chat_of(Asked(request), most, CLEAN), most)
    assert problems(dumps(said), None) == []
    return said


def said(*blocks: Any, role: str = "user") -> list[dict[str, Any]]:
    """The messages that one message of the wire becomes."""
    chat, _ = fit_chat(
        chat_of(Asked({"messages": [{"role": role, "content": list(blocks)}]}), 10**6, CLEAN), 10**6
    )
    return list(chat["messages"])


def answered(*blocks: Any) -> dict[str, Any]:
    message = answer_of(Answered(list(blocks)), CLEAN)
    assert problems('[{"role": "user", "content": "Why?"}]', dumps(message)) == []
    return message


def test_a_request_is_the_chat_that_the_model_saw() -> None:
    """System first, then who said what, with a call for each result; the CLI's own first block is no part."""
    calls = [
        {"id": f"t{n}", "type": "function", "function": {"name": "search", "arguments": f'{{"q":"{q}"}}'}}
        for n, q in ((1, "tides"), (2, "winds"))
    ]
    assert seen(REQUEST) == {
        "messages": [
            {"role": "system", "content": "You are a researcher.\n\nBe brief."},
            {"role": "user", "content": "Why?"},
            {"role": "assistant", "content": "I look.", "tool_calls": calls},
            {"role": "tool", "tool_call_id": "t1", "content": "found"},
            {"role": "tool", "tool_call_id": "t2", "content": "a\n\nb"},
            {"role": "user", "content": "Go on."},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "search", "description": "Searches.", "parameters": {"type": "object"}},
            }
        ],
    }


def test_langfuse_reads_it_whole() -> None:
    """Roles, calls as calls, tools on offer, and nothing left as plain JSON."""
    view = read(dumps(seen(REQUEST)), dumps(answered(text("Because."), use("t3", "cite", n=1))))
    assert view.roles == ["system", "user", "assistant", "tool", "tool", "user", "assistant"]
    assert [call["name"] for each in view.messages for call in each.calls] == ["search", "search"]
    assert [(call["name"], json.loads(call["arguments"])) for call in view.output[0].calls] == [
        ("cite", {"n": 1})
    ]
    assert list(view.tools) == ["search"]
    assert view.beside == {}


@pytest.mark.parametrize(
    ("old_input", "old_output"),
    [
        ({"system": REQUEST["system"], "messages": REQUEST["messages"]}, [text("Because.")]),
        (REQUEST["messages"][2:], [use("t1", q="x")]),
        (dumps({"system": "", "messages": REQUEST["messages"]})[:90], [text("Because.")]),
    ],
)
def test_the_judge_finds_the_old_forms_wrong(old_input: Any, old_output: Any) -> None:
    """A request as it was, the newest messages alone, JSON cut in the middle, and a list of blocks."""
    kept = old_input if isinstance(old_input, str) else json.dumps(old_input)
    assert problems(kept, dumps(answered(text("Because."))))
    assert problems(dumps(seen(REQUEST)), json.dumps(old_output))


def test_results_and_texts_keep_their_order() -> None:
    """A user's message becomes as many as there are speakers in it."""
    made = said(text("one"), result("t1"), text("two"), text("three"), result("t2", None))
    assert [(each["role"], each["content"]) for each in made] == [
        ("user", "one"),
        ("tool", "found"),
        ("user", "two\n\nthree"),
        ("tool", ""),
    ]


@pytest.mark.parametrize(
    ("block", "shown"),
    [
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": BASE64}},
         "[image: image/png, 11 bytes]"),
        ({"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}, "[image: https://x.test/a.png]"),
        ({"type": "document", "title": "Tides",
          "source": {"type": "base64", "media_type": "application/pdf", "data": BASE64}},
         "[document 'Tides': application/pdf, 11 bytes]"),
        ({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Low."}},
         "[document]\n\nLow."),
        ({"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "High."}]}},
         "[document]\n\nHigh."),
        ({"type": "document", "source": {"type": "file", "file_id": "file_1"}}, "[document: file_1]"),
        ({"type": "search_result", "source": "tides.md", "title": "Tides",
          "content": [{"type": "text", "text": "Low."}]},
         "Tides: tides.md\n\nLow."),
        ({"type": "novel", "x": [1, {"type": "base64", "data": BASE64}], "cache_control": {}},
         '{"type":"novel","x":[1,{"type":"base64"}]}'),
    ],
)  # fmt: skip
def test_what_is_no_text_has_a_readable_form(block: dict[str, Any], shown: str) -> None:
    """As a part of a message and of a tool's result; never its bytes."""
    assert said(block)[0]["content"] == shown
    made = said(result("t1", [block], is_error=True))[0]
    assert (made["role"], made["content"]) == ("tool", f"[error]\n\n{shown}")
    assert BASE64 not in dumps(made)


def test_thinking_stands_where_langfuse_shows_it() -> None:
    """As what it is, without its signature; encrypted or hidden thinking by its size."""
    made = answered(
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "thinking", "thinking": '{"a": 1}', "signature": "c2ln"},
        {"type": "thinking", "thinking": "", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": BASE64},
        text("Because."),
    )
    view = read('[{"role": "user", "content": ""}]', dumps(made)).output[0]
    assert view.content == "Because."
    assert view.thinking == [
        "Hm.",
        'Thought: {"a": 1}',
        "[encrypted by the model's service: 4 characters]",
        "[encrypted by the model's service: 16 characters]",
    ]
    assert "c2ln" not in dumps(made)
    assert BASE64 not in dumps(made)


def test_a_search_of_the_service_is_a_call_and_its_result() -> None:
    """In the conversation the result stands between two texts of the model; an answer is one message."""
    hits = [
        {"type": "web_search_result", "title": "Tides", "url": "https://x.test", "encrypted_content": BASE64}
    ]
    blocks = [
        text("I look."),
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "tides"}},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": hits},
        text("The moon "),
        text("does it."),
    ]
    made = said(*blocks, role="assistant")
    assert [(each["role"], each["content"]) for each in made] == [
        ("assistant", "I look."),
        ("tool", "Tides: https://x.test"),
        ("assistant", "The moon does it."),
    ]
    assert made[0]["tool_calls"][0]["id"] == made[1]["tool_call_id"] == "s1"
    assert len(said(*blocks[:3], role="assistant")) == 2
    one = answered(*blocks)
    assert (
        one["content"] == "I look.\n\n[web search tool result]\n\nTides: https://x.test\n\nThe moon does it."
    )
    assert one["tool_calls"][0]["function"] == {"name": "web_search", "arguments": '{"query":"tides"}'}
    assert BASE64 not in dumps([made, one])


def test_tools_of_the_service_are_on_offer_too() -> None:
    """They have no description and no schema of their own."""
    tools = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]
    view = read(dumps(seen(REQUEST | {"tools": tools})), None)
    assert view.tools["web_search"]["description"] == "web_search_20250305, run by the model's service"


@pytest.mark.parametrize("role", ["system", "developer"])
def test_a_system_message_within_the_conversation_stays_one(role: str) -> None:
    """And everybody else who is no model is a user."""
    assert said(text("Hurry."), role=role) == [{"role": "system", "content": "Hurry."}]
    assert said(text("Hurry."), role="critic") == [{"role": "user", "content": "Hurry."}]


@pytest.mark.parametrize(
    "told",
    ["true", ' "false" ', "null", "42", '"x"', "[1]", '{"a": 1}', '{"name": null, "a": 1, "b": 2}',
     "{'role': 5}", '{"tools": ["a"], "b": {}, "content": true}', "{'name': {'a': None}, 'b': [1]}", ""],
)  # fmt: skip
def test_a_text_that_reads_as_json_spoils_no_view(told: str) -> None:
    """Langfuse reads it as what it says, which may be no content of a message."""
    seen({"messages": [
        {"role": "user", "content": told},
        {"role": "assistant", "content": [text(told), use("t1", q=told)] if told else [use("t1")]},
        {"role": "user", "content": [result("t1", told)]},
    ]})  # fmt: skip
    answered(*([text(told)] if told else []))


def test_secrets_are_taken_out_before_arguments_become_text() -> None:
    """By the name that they stand under, also where a name is all that tells."""
    made = answered(use("t1", password="short1", q="x"))
    assert json.loads(made["tool_calls"][0]["function"]["arguments"]) == {"password": "[REDACTED]", "q": "x"}


def test_what_cannot_be_looked_through_is_left_out_alone() -> None:
    """One message that is too deep for the redactor takes no other with it, and keeps its place."""
    deep: Any = "x"
    for _ in range(5_000):
        deep = [deep]

    def clean(value: Any) -> Any:
        return FAILED if "deep" in dumps(value) else value

    made, _ = fit_chat(
        chat_of(
            Asked({"messages": [{"role": "user", "content": "deep"}, {"role": "user", "content": "fine"}]}),
            9**9,
            clean,
        ),
        9**9,
    )
    assert [each["content"] for each in made["messages"]] == [FAILED, "fine"]
    failed = dumps({"role": "assistant", "content": FAILED})
    for block in (use("t1", q=deep), {"type": "novel", "x": deep}):
        assert Keeper().clean(Answered([block]), Redactor()).text == failed
