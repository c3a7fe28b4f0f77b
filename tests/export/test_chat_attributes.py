"""What a generation says of its conversation: to Langfuse, by the conventions, and within the bound."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.export.attributes import attributes
from harness.export.otlp import message
from harness.redaction import Redactor
from harness.store.spans import Ended
from harness.tracing.chat import Answered, Asked
from harness.tracing.content import BESIDE, Keeper
from tests.core.test_chat import REQUEST, text, use
from tests.kit.langfuse_chat import problems, read
from tests.kit.spans import Sheet, content

OBSERVATION = "langfuse.observation"
CONVENTIONS = (
    "gen_ai.system_instructions",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.tool.definitions",
)
ANSWER = [{"type": "thinking", "thinking": "Hm."}, text("I look again."), use("t3", q="moon")]


def kept(value: Asked | Answered, most: int = 131_072, capture: Any = "full") -> dict[str, Any]:
    keeper = Keeper(capture, max_chat_bytes=most + BESIDE)
    found = keeper.keep(keeper.clean(value, Redactor()))
    assert found is not None
    return found


def given(input: dict[str, Any] | None, output: dict[str, Any] | None) -> dict[str, Any]:
    sheet = Sheet()
    about: dict[str, Any] = {name: side for name, side in (("input", input), ("output", output)) if side}
    span = sheet.add("model", "chat m", model="m", stop_reason="tool_use", **about)
    return dict(attributes(Ended(span, sheet.tenant, sheet.flow), "default", "1"))


def test_a_generation_is_a_chat_to_langfuse() -> None:
    """Under its name and OpenInference's, as JSON, with nothing left over."""
    found = given(kept(Asked(REQUEST)), kept(Answered(ANSWER)))
    asked, answered = found[f"{OBSERVATION}.input"], found[f"{OBSERVATION}.output"]
    assert (found["input.value"], found["output.value"]) == (asked, answered)
    assert found["input.mime_type"] == found["output.mime_type"] == "application/json"
    assert problems(asked, answered) == []
    view = read(asked, answered)
    assert view.roles == ["system", "user", "assistant", "tool", "tool", "user", "assistant"]
    assert view.output[0].thinking == ["Hm."]
    assert not [name for name in found if name.endswith(("_chars", "_sha256"))]


def test_the_conventions_have_it_in_parts() -> None:
    """System apart, calls and results as parts, tools flat, and why the model stopped."""
    found = given(kept(Asked(REQUEST)), kept(Answered(ANSWER)))
    system, asked, answered, tools = (json.loads(found[name]) for name in CONVENTIONS)
    assert system == [{"type": "text", "content": "You are a researcher.\n\nBe brief."}]
    assert asked[0] == {"role": "user", "parts": [{"type": "text", "content": "Why?"}]}
    call = {"type": "tool_call", "id": "t1", "name": "search", "arguments": {"q": "tides"}}
    assert asked[1]["parts"][:2] == [{"type": "text", "content": "I look."}, call]
    assert asked[2] == {
        "role": "tool",
        "parts": [{"type": "tool_call_response", "id": "t1", "response": "found"}],
    }
    assert [part["type"] for part in answered[0]["parts"]] == ["reasoning", "text", "tool_call"]
    assert answered[0]["finish_reason"] == "tool_call"
    about = {"name": "search", "description": "Searches.", "parameters": {"type": "object"}}
    assert tools == [{"type": "function", **about}]


@pytest.mark.parametrize("most", [4_000, 6_000, 10_000, 20_000, 131_072])
@pytest.mark.parametrize("words", [1, 100, 400, 4_000])
def test_all_names_together_keep_to_the_bound(most: int, words: int) -> None:
    """The conventions' attributes are there together or not at all; Langfuse's always."""
    messages = [*REQUEST["messages"], {"role": "user", "content": "“moon” " * words}]
    said = kept(Asked(REQUEST | {"messages": messages}), most), kept(Answered([text("tide\n" * words)]), most)
    found = given(*said)
    names = [f"{OBSERVATION}.input", f"{OBSERVATION}.output", "input.value", "output.value", *CONVENTIONS]
    carried = {name: len(found[name].encode()) for name in names if name in found}
    assert sum(carried.values()) <= most
    assert len(carried) in (4, 8)
    assert (len(carried) == 8) == (words == 1 or most > 40 * words + 5_000)
    assert problems(found[f"{OBSERVATION}.input"], found[f"{OBSERVATION}.output"]) == []


def test_what_is_missing_is_said_with_size_and_hash() -> None:
    """Of what is kept, where something is left out; of what is not kept at all, that alone."""
    cut = given(kept(Asked(REQUEST | {"system": "s" * 9_000}), 4_000), kept(Answered(ANSWER), 4_000))
    assert cut[f"{OBSERVATION}.metadata.input_chars"] == len(cut["input.value"])
    assert f"{OBSERVATION}.metadata.output_chars" not in cut
    hidden = given(kept(Asked(REQUEST), capture="metadata"), kept(Answered(ANSWER), capture="metadata"))
    assert not [
        name for name in hidden if name.endswith((".input", ".output", ".value", "_type", *CONVENTIONS))
    ]
    assert len(hidden[f"{OBSERVATION}.metadata.output_sha256"]) == 64


def test_a_call_of_which_only_one_side_is_known() -> None:
    """One that brought no answer, and one that did not pass the gateway."""
    asked = given(kept(Asked(REQUEST)), None)
    assert problems(asked["input.value"], None) == []
    assert "gen_ai.input.messages" in asked
    assert "gen_ai.output.messages" not in asked
    answered = given(None, kept(Answered(ANSWER)))
    assert "gen_ai.output.messages" in answered
    assert "input.value" not in answered


@pytest.mark.parametrize(
    "asked",
    [{"system": REQUEST["system"], "messages": REQUEST["messages"]}, REQUEST["messages"][:1]],
    ids=["all", "the newest"],
)
def test_a_span_of_an_older_version_becomes_a_chat_too(asked: Any) -> None:
    """A request's system and messages or its newest ones alone, and an answer's blocks."""
    found = given(content(json.dumps(asked), json_text=True), content(json.dumps(ANSWER), json_text=True))
    assert problems(found[f"{OBSERVATION}.input"], found[f"{OBSERVATION}.output"]) == []
    assert read(found["input.value"], found["output.value"]).output[0].calls
    assert not [name for name in found if name in CONVENTIONS]


@pytest.mark.parametrize(
    "old", ['[{"role": "user", "cont', "Why?", '["a"]', "17", '[{"type": "text"', "null"]
)
def test_what_is_no_chat_is_sent_as_it_is(old: str) -> None:
    """JSON that was cut in the middle, a plain text, something else."""
    for json_text in (True, False):
        cut = content(old, json_text=json_text) | {"cut": old.startswith("[{")}
        found = given(cut, cut)
        assert json.dumps(found["input.value"]).replace(" ", "") == json.dumps(old).replace(" ", "")
        plain = not json_text or cut["cut"] or old in ("Why?", "null")
        assert found["output.mime_type"] == ("text/plain" if plain else "application/json")


@pytest.mark.parametrize("most", [16_000, 131_072])
def test_a_span_keeps_to_the_bound_however_long_its_run(most: int) -> None:
    """Bytes on the wire: 60 calls of a conversation that grows take 60 times the bound at most."""
    keeper, sheet = Keeper(max_chat_bytes=most), Sheet()
    told: list[dict[str, Any]] = []
    sizes = []
    for number in range(60):
        told += [{"role": "user", "content": f"{number} " + "tides and winds " * 300}]
        sides = {"input": Asked({"messages": told}), "output": Answered(ANSWER)}
        about: dict[str, Any] = {
            side: keeper.keep(keeper.clean(value, Redactor())) for side, value in sides.items()
        }
        span = sheet.chat(sheet.root, **about)
        sizes.append(message(Ended(span, "t", "f", ("f", "live")), "default").ByteSize())
        told += [{"role": "assistant", "content": ANSWER}]
    assert max(sizes) <= most
    assert max(sizes[40:]) <= 1.1 * min(sizes[40:])
