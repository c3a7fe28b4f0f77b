"""The name of a conversation: the same for a request and for a resumed CLI's with its redacted past."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.gateway.conversation import conversation_key
from harness.redaction import Redactor

KNOWN = "Quiet-Heron-41x77"
PIECES = st.sampled_from(
    (
        *(
            KNOWN,
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "postgres://me:hunter2@db/x",
            "password=hunter2 ",
        ),
        *("<system-reminder>sk-ant-api03-reminder-1</system-reminder>", '{"token": "abc12345xyz"}'),
        *("tides", "go on", "\n", " "),
    )
)
TEXT = st.lists(PIECES, max_size=5).map("".join)
INPUT = st.dictionaries(st.sampled_from(["password", "query", "api_key", "max_tokens"]), TEXT, max_size=3)
BLOCK = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, TEXT),
    st.builds(lambda given: {"type": "tool_use", "id": "toolu_1", "name": "x", "input": given}, INPUT),
    st.builds(lambda text: {"type": "tool_result", "tool_use_id": "toolu_1", "content": text}, TEXT),
    st.builds(
        lambda text: {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": text}]},
        TEXT,
    ),
    st.builds(lambda text: {"type": "thinking", "thinking": text, "signature": "c2lnbmVk"}, TEXT),
    st.builds(lambda text: {"type": "document", "source": {"type": "text", "data": text}}, TEXT),
)
MESSAGES = st.lists(
    st.builds(
        lambda role, content: {"role": role, "content": content},
        st.sampled_from(["user", "assistant"]),
        st.one_of(TEXT, st.lists(BLOCK, max_size=4)),
    ),
    max_size=4,
)


def key(messages: Any, redactor: Redactor) -> str:
    request = {"model": "m", "tools": [{"name": "x"}], "messages": messages}
    return conversation_key(request, (f"Go on with {KNOWN}.",), redactor)


@given(MESSAGES)
def test_a_redacted_past_is_the_same_conversation(messages: Any) -> None:
    """Otherwise an answer that is kept would not be found again, and would be paid twice."""
    redactor = Redactor([KNOWN])
    assert key(messages, redactor) == key(redactor.value(messages), redactor)
    assert key(messages, redactor) == key(Redactor([KNOWN]).value(messages), Redactor([KNOWN]))


def test_what_a_resume_adds_is_left_out_redacted_or_not() -> None:
    """The harness's own words may hold what is redacted in a transcript."""
    redactor = Redactor([KNOWN])
    told = [{"role": "user", "content": "Why?"}]
    for added in (f"Go on with {KNOWN}.", "Go on with [REDACTED]."):
        assert key([*told, {"role": "user", "content": added}], redactor) == key(told, redactor)


def test_another_text_is_another_conversation() -> None:
    """Only secrets are taken to be alike."""
    redactor = Redactor([KNOWN])
    asked = [{"role": "user", "content": f"Why {KNOWN}?"}]
    assert key(asked, redactor) != key([{"role": "user", "content": f"How {KNOWN}?"}], redactor)
