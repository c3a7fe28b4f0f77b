"""A chat in as many bytes as it may take: always JSON of its shape, with what was told last."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.redaction import Redactor
from harness.tracing.blocks import dumps
from harness.tracing.chat import Answered, Asked, answer_of, chat_of
from harness.tracing.fitting import fit_answer, fit_chat
from tests.kit.langfuse_chat import problems

CLEAN = Redactor().value
LEAST = 4_000
"""The smallest setting; an input has three eighths of it, an output one."""


def size(value: Any) -> int:
    return len(dumps(value).encode())


def whole(request: dict[str, Any]) -> dict[str, Any]:
    chat, cut = fit_chat(chat_of(Asked(request), 10**9, CLEAN), 10**9)
    assert not cut
    return dict(json.loads(dumps(chat)))


def fitted(request: dict[str, Any], most: int) -> dict[str, Any]:
    chat, cut = fit_chat(chat_of(Asked(request), most, CLEAN), most)
    written = dumps(chat)
    assert len(written.encode()) <= most
    read = dict(json.loads(written))
    assert set(read) == {"messages", "tools"}
    assert cut == (read != whole(request))
    return read


def paired(chat: dict[str, Any]) -> bool:
    """Whether each result has its call before it."""
    called: set[str] = set()
    for message in chat["messages"]:
        called |= {call["id"] for call in message.get("tool_calls", ())}
        if message["role"] == "tool" and message["tool_call_id"] not in called:
            return False
    return True


def turns(count: int, *, results: int = 1, characters: int = 100) -> list[dict[str, Any]]:
    """A question, and answers of which each calls tools."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Why do tides differ?"}]
    for turn in range(count):
        ids = [f"toolu_{turn}_{n}" for n in range(results)]
        calls = [{"type": "tool_use", "id": each, "name": "search", "input": {"query": each}} for each in ids]
        messages.append({"role": "assistant", "content": calls})
        found = [
            {"type": "tool_result", "tool_use_id": each, "content": f"{each} " * (characters // 10)}
            for each in ids
        ]
        messages.append({"role": "user", "content": found})
    return messages


TEXTS = st.one_of(
    st.text(max_size=200),
    st.builds(lambda text, times: text * times, st.text(min_size=1, max_size=6), st.integers(1, 1_500)),
    st.sampled_from(["\ud83d" * 50, '\x00\x1f"\\' * 300, "tide 🌊" * 400, "true", '{"role": 1}' * 3]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=30), inner, max_size=4)
    ),
    max_leaves=12,
)
INPUTS = st.dictionaries(st.text(max_size=20), VALUES, max_size=3)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": draw(TEXTS)}]
    for turn in range(draw(st.integers(0, 5))):
        calls = [
            {"type": "tool_use", "id": f"t{turn}.{n}", "name": "search", "input": draw(INPUTS)}
            for n in range(draw(st.integers(0, 3)))
        ]
        thinking = [{"type": "thinking", "thinking": draw(TEXTS), "signature": "c2ln"}] * draw(
            st.integers(0, 1)
        )
        messages.append(
            {"role": "assistant", "content": [*thinking, {"type": "text", "text": draw(TEXTS)}, *calls]}
        )
        results = [
            {"type": "tool_result", "tool_use_id": call["id"], "content": draw(TEXTS)} for call in calls
        ]
        messages.append({"role": "user", "content": [*results, {"type": "text", "text": draw(TEXTS)}]})
    tools = [
        {
            "name": f"tool_{n}",
            "description": draw(TEXTS),
            "input_schema": {"type": "object", "properties": draw(INPUTS)},
        }
        for n in range(draw(st.integers(0, 4)))
    ]
    return {"system": draw(TEXTS), "messages": messages, "tools": tools}


@settings(max_examples=60, deadline=None)
@given(request=requests(), most=st.integers(LEAST * 3 // 8, 30_000))
def test_whatever_was_asked_fits_and_stays_a_chat(request: dict[str, Any], most: int) -> None:
    """Of any size, in any script: valid, within the bound, each result with its call, the newest last."""
    chat = fitted(request, most)
    assert paired(chat)
    assert problems(dumps(chat), None) == []
    told = whole(request)["messages"]
    last = max((n for n, each in enumerate(told) if each["role"] == "assistant"), default=-1)
    newest = told[last + 1 :] if last >= 0 else told[-1:]
    # What the shortest forms of the rest and the words about it take: three calls, a thought, the system.
    if size(newest) + 1_200 <= most:
        assert chat["messages"][-len(newest) :] == newest
    assert [each["role"] for each in chat["messages"][-len(newest) :]] == [each["role"] for each in newest]


@settings(max_examples=60, deadline=None)
@given(
    blocks=st.lists(
        st.one_of(
            st.builds(lambda text: {"type": "text", "text": text}, TEXTS),
            st.builds(lambda text: {"type": "thinking", "thinking": text}, TEXTS),
            st.builds(
                lambda given: {"type": "tool_use", "id": "t", "name": "search", "input": given}, INPUTS
            ),
            st.builds(lambda given: {"type": "novel", "x": given}, VALUES),
        ),
        max_size=40,
    ),
    most=st.integers(LEAST // 8, 20_000),
)
def test_whatever_was_answered_fits_and_stays_one_message(blocks: list[dict[str, Any]], most: int) -> None:
    """Calls and thinking by the dozen, too."""
    said = answer_of(Answered(blocks), CLEAN)
    message, cut = fit_answer(said, most)
    assert size(message) <= most
    assert cut == (json.loads(dumps(message)) != json.loads(dumps(said)))
    assert problems('[{"role": "user", "content": "Why?"}]', dumps(message)) == []


def test_the_oldest_turns_go_first() -> None:
    """One message says how many are left out; the system prompt, the task and the newest turns stay."""
    request = {"system": "Be brief.", "messages": turns(40, characters=400)}
    chat = fitted(request, 6_000)
    told = whole(request)["messages"]
    kept = len(chat["messages"]) - 3
    assert chat["messages"][:2] == told[:2]
    assert chat["messages"][2]["content"] == f"[Left out here: {len(told) - 2 - kept} messages.]"
    assert chat["messages"][3:] == told[-kept:]
    assert kept >= 16


def test_what_is_cut_says_how_much_of_it() -> None:
    """The beginning is kept, with both numbers; arguments stay JSON."""
    long = "The moon. " * 1_000
    messages = [
        {"role": "user", "content": "Why?"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t", "name": "note", "input": {"at": 1, "text": long}}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t", "content": "Noted. " * 900}],
        },
    ]
    call, result = fitted({"messages": messages}, 4_000)["messages"][-2:]
    arguments = json.loads(call["tool_calls"][0]["function"]["arguments"])
    assert result["content"].startswith("Noted. Noted. ")
    head, said = result["content"].split("… ")
    assert said == f"[cut: the first {len(head):,} of 6,300 characters]"
    assert "of 10,000 characters]" in str(arguments)


def test_tools_give_way_before_the_system_prompt_and_that_before_the_newest_part() -> None:
    """Each is cut only when those before it are."""
    tools = [
        {"name": f"tool_{n}", "description": "d" * 500, "input_schema": {"x": "y" * 300}} for n in range(9)
    ]
    request = {"system": "s" * 2_000, "messages": turns(1, characters=2_000), "tools": tools}
    first = fitted(request, 8_000)
    assert first["messages"][0]["content"] == "s" * 2_000
    assert [tool["function"]["name"] for tool in first["tools"]] == [f"tool_{n}" for n in range(9)]
    assert "cut: the first" in dumps(first["tools"])
    second = fitted(request, 4_000)
    assert "cut: the first" in second["messages"][0]["content"]
    assert first["messages"][-1] == second["messages"][-1] == whole(request)["messages"][-1]


@pytest.mark.parametrize(
    "messages",
    [
        turns(3_000),
        turns(1, results=2_000),
        [{"role": "user", "content": f"{n}"} for n in range(5_000)],
        [{"role": "user", "content": "x" * 3_000_000}],
        [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t" * 10**6, "content": "x"}]}],
        [],
        [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because " * 5_000}],
        [
            {"role": "user", "content": "Why?"},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm. "}] * 3_000},
            {"role": "user", "content": "So?"},
        ],
    ],
    ids=["turns", "results", "messages", "one long text", "a long id", "nothing", "a beginning", "thinking"],
)
def test_thousands_of_anything_fit_into_the_least(messages: list[dict[str, Any]]) -> None:
    """The end of the conversation is what is seen of it."""
    tools = [{"name": f"tool_{n}", "description": "d", "input_schema": {}} for n in range(2_000)]
    chat = fitted({"system": "s" * 100_000, "messages": messages, "tools": tools}, LEAST * 3 // 8)
    assert paired(chat) or "t" * 100 in str(messages[0]) if messages else True
    assert "Left out here" in dumps(chat["messages"])
    if messages:
        assert len(chat["messages"]) > 2
