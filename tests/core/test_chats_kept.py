"""What a span keeps of a model call: without a secret, within the bound, at a cost that does not grow."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from harness.redaction import Redactor
from harness.tracing import blocks, fitting
from harness.tracing.chat import Answered, Asked
from harness.tracing.content import BESIDE, Keeper
from tests.core.test_fitting import turns
from tests.kit.langfuse_chat import problems

SECRET = "a-password-of-the-house"
REDACTOR = Redactor([SECRET])


def kept(keeper: Keeper, value: Asked | Answered, redactor: Redactor = REDACTOR) -> dict[str, Any]:
    content = keeper.keep(keeper.clean(value, redactor))
    assert content is not None
    return content


def question(text: str) -> Asked:
    return Asked({"messages": [{"role": "user", "content": text}]})


def test_a_chat_is_kept_as_json_with_its_bound() -> None:
    """Whole, it says so; size and hash are those of the text."""
    content = kept(Keeper(), question("Why?"))
    text = content["text"]
    assert json.loads(text) == {"messages": [{"role": "user", "content": "Why?"}], "tools": []}
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    assert content == {
        "text": text,
        "chars": len(text),
        "sha256": sha256,
        "cut": False,
        "json_text": True,
        "chat_bytes": 131_072 - BESIDE,
    }


@pytest.mark.parametrize("capture", ["metadata", "none"])
def test_no_word_of_a_chat_gets_past_the_setting(capture: Any) -> None:
    """Sizes and hashes of what would be kept, or nothing."""
    keeper = Keeper(capture)
    for value in (question("in confidence"), Answered([{"type": "text", "text": "in confidence"}])):
        content = keeper.keep(keeper.clean(value, REDACTOR))
        assert "confidence" not in str(content)
        if capture == "metadata":
            full = kept(Keeper(), value)
            assert content == full | {"text": None}
        else:
            assert content is None


@pytest.mark.parametrize("most", [4_000, 40_000, 131_072])
def test_input_and_output_keep_to_the_bound_under_two_names(most: int) -> None:
    """With room for what both say at their longest; what is cut is said to be."""
    long = "The moon and “the sun”. " * 20_000
    contents = [
        kept(Keeper(max_chat_bytes=most + BESIDE), value)
        for value in (
            question(long),
            Answered([{"type": "text", "text": long}, {"type": "thinking", "thinking": long}]),
        )
    ]
    assert all(content["cut"] for content in contents)
    assert most * 0.9 < 2 * sum(len(content["text"].encode()) for content in contents) <= most
    assert problems(*(content["text"] for content in contents)) == []


def test_no_half_of_a_secret_is_left_where_a_text_is_cut() -> None:
    """Secrets are looked for in whole texts, wherever the cut falls."""
    for before in range(0, 1_400, 7):
        text = "x" * before + f" {SECRET} " + "y" * 9_000
        call = {"type": "tool_use", "id": "t", "name": "n", "input": {"q": text}}
        for value in (question(text), Answered([call])):
            said = kept(Keeper(max_chat_bytes=4_000 + BESIDE), value)["text"]
            assert SECRET[:4] not in said, before


def test_what_a_call_costs_does_not_grow_with_the_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters looked through for secrets, and written as JSON, at the 20th and at the 200th call."""
    counted = {"looked through": 0, "written": 0}

    class Counting(Redactor):
        def _text(self, text: str) -> str:
            counted["looked through"] += len(text)
            return super()._text(text)

    def dumps(value: Any) -> str:
        written = blocks.dumps(value)
        counted["written"] += len(written)
        return written

    monkeypatch.setattr(fitting, "dumps", dumps)
    keeper = Keeper(max_chat_bytes=64_000 + BESIDE)
    calls = [10, 20, 50, 100, 200]
    spent = []
    for count in calls:
        counted.update(dict.fromkeys(counted, 0))
        content = kept(keeper, Asked({"messages": turns(count, characters=4_000)}), Counting())
        assert len(content["text"].encode()) <= 24_000
        spent.append(dict(counted))
    for name in counted:
        first, *others = [each[name] for each in spent]
        assert first > 15_000
        assert max(others) < 1.1 * first, (name, spent)
