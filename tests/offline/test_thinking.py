"""Thinking that comes back: accepted behind what it was thought after, and behind nothing else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from harness.offline.rules import first_thinking, refusal, thinking_block

OPUS, SONNET, HAIKU, FABLE = "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-fable-5-1"
HEADERS = {"anthropic-version": "2023-06-01"}
CONTROLS = {"anthropic-beta": "thinking-binding-controls-2026-08-01"}
BOUND = "The block is bound to a different conversation."

Request = dict[str, Any]


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def talk(turns: int = 3, model: str = OPUS) -> Request:
    """A conversation that was only added to: `turns` answers with their results, and a system message."""
    look = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}
    request: Request = {
        "model": model,
        "max_tokens": 1000,
        "system": [text("x-anthropic-billing-header: cch=1;"), text("You look.")],
        "tools": [look],
        "messages": [{"role": "user", "content": "Why?"}, {"role": "system", "content": [text("Be short.")]}],
    }
    for turn in range(turns):
        add(request, turn)
    return request


def add(request: Request, turn: int) -> None:
    use = {"type": "tool_use", "id": f"toolu_{turn}", "name": "look", "input": {}}
    request["messages"].append({"role": "assistant", "content": [*first_thinking(request), use]})
    result = {"type": "tool_result", "tool_use_id": f"toolu_{turn}", "content": f"Result {turn}."}
    request["messages"].append({"role": "user", "content": [result]})


def problem(request: Request, **headers: str) -> str | None:
    found = refusal(request, len(json.dumps(request)), HEADERS | headers)
    return found.message if found else None


def answers(request: Request) -> list[list[dict[str, Any]]]:
    return [message["content"] for message in request["messages"] if message["role"] == "assistant"]


def changed(change: Callable[[Request], object], **given: Any) -> Request:
    request = copy.deepcopy(talk(**given))
    change(request)
    return request


@pytest.mark.parametrize("model", [OPUS, SONNET, HAIKU, FABLE])
def test_what_was_only_added_to_passes(model: str) -> None:
    """Through a process's end, too: a signature is checked by what stands in it."""
    request = talk(model=model)
    assert all(answer[0]["thinking"] == "" for answer in answers(request))
    assert problem(json.loads(json.dumps(request))) is None


EDITS: dict[str, tuple[Callable[[Request], object], int, str]] = {
    "the system prompt": (lambda r: r["system"].append(text("Hurry.")), 0, "`system`"),
    "a tool more": (lambda r: r["tools"].append(r["tools"][0] | {"name": "see"}), 0, "`tools`"),
    "a tool's text": (lambda r: r["tools"][0].update(description="Sees."), 0, "`tools`"),
    "no tools": (lambda r: r.pop("tools"), 0, "`tools`"),
    "the question": (lambda r: r["messages"][0].update(content="How?"), 0, "message"),
    "a system message": (lambda r: r["messages"].pop(1), 0, "message"),
    "an earlier result": (lambda r: r["messages"][3]["content"][0].update(content="Cut."), 1, "message"),
    "a remark added": (lambda r: r["messages"][5]["content"].append(text("Hurry.")), 2, "message"),
    "an earlier call": (lambda r: answers(r)[0][1].update(input={"at": 1}), 1, "message"),
    "thinking left out": (lambda r: answers(r)[1].pop(0), 2, "`thinking` blocks before"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_refused_from_there_on(edit: str) -> None:
    """The message names the first block behind the edit, and what is different."""
    change, first, named = EDITS[edit]
    request = changed(change)
    said = problem(request) or ""
    places = [at for at, message in enumerate(request["messages"]) if message["role"] == "assistant"]
    assert said.startswith(
        f"messages.{places[first]}.content.0: Invalid `signature` in `thinking` block. {BOUND}"
    )
    assert 'set `thinking.block_binding.prefix_mismatch_behavior` to "drop_block"' in said
    assert "`thinking-binding-controls-2026-08-01` value in the `anthropic-beta` header" in said
    assert named in said.rpartition("header.")[2]


ALLOWED: dict[str, Callable[[Request], object]] = {
    "the CLI's billing line": lambda r: r["system"][0].update(text="x-anthropic-billing-header: cch=2;"),
    "cache marks": lambda r: [
        part.update(cache_control={"type": "ephemeral"})
        for part in (r["system"][1], r["messages"][3]["content"][0])
    ],
    "content as a string": lambda r: r["messages"][1].update(content="Be short."),
    "a turn in two messages": lambda r: r["messages"].insert(1, {"role": "user", "content": []}),
    "a tool to be loaded later": lambda r: r["tools"].append(
        {"name": "see", "input_schema": {"type": "object"}, "defer_loading": True}
    ),
    "other fields": lambda r: r.update(max_tokens=9, output_config={"effort": "low"}),
    "no thinking at all": lambda r: [answer.pop(0) for answer in answers(r)],
    "thinking without its beginning": lambda r: answers(r)[0].pop(0),
    "thinking without its end": lambda r: answers(r)[2].pop(0),
}


@pytest.mark.parametrize("edit", ALLOWED)
def test_what_is_no_part_of_the_prefix_may_change(edit: str) -> None:
    """Marks, the CLI's own line, how content is written, and thinking left out at either end."""
    assert problem(changed(ALLOWED[edit])) is None


def test_a_block_that_is_put_back_breaks_those_made_without_it() -> None:
    """Once left out, thinking stays out."""
    request = talk(turns=1)
    first = answers(request)[0].pop(0)
    add(request, 1)
    assert problem(request) is None
    answers(request)[0].insert(0, first)
    assert BOUND in (problem(request) or "")


def test_thinking_within_an_answer_is_bound_too() -> None:
    """A block between two texts stands behind the first of them."""
    request = talk(turns=0)
    said: list[dict[str, Any]] = [*first_thinking(request), text("I look.")]
    said.append(thinking_block(request, said))
    request["messages"] += [
        {"role": "assistant", "content": [*said, text("So.")]},
        {"role": "user", "content": "Go on."},
    ]
    assert problem(request) is None
    said[1]["text"] = "I do not look."
    assert "messages.2.content.2: Invalid `signature`" in (problem(request) or "")


def test_changed_thinking_is_told_apart() -> None:
    """In the latest answer it cannot be modified; in an earlier one its signature is no good any more."""
    latest = problem(changed(lambda r: answers(r)[2][0].update(thinking="Hm."))) or ""
    assert latest.startswith("messages.6.content.0: `thinking` or `redacted_thinking` blocks in the latest")
    assert problem(changed(lambda r: answers(r)[0][0].update(thinking="Hm."))) == (
        "messages.2.content.0: Invalid `signature` in `thinking` block"
    )


@pytest.mark.parametrize("token", ["", "abc", "c2lnbmVk", "é"])
def test_a_signature_of_nobodys_is_refused_by_all(token: str) -> None:
    """No setting lets it pass, and no model."""
    for model in (OPUS, "claude-sonnet-4-5", "some-model"):
        request = changed(lambda r: answers(r)[0][0].update(signature=token)) | {"model": model}
        request["messages"].pop(1)  # Which the old model does not know.
        assert problem(request) == "messages.1.content.0: Invalid `signature` in `thinking` block"


@pytest.mark.parametrize(
    ("writer", "reader", "read"),
    [
        (OPUS, FABLE, True),
        (OPUS, SONNET, False),
        (FABLE, OPUS, False),
        (HAIKU, OPUS, True),
        (HAIKU, SONNET, True),
        (OPUS, HAIKU, False),
        ("claude-opus-5", OPUS, True),
        (OPUS, "claude-opus-5", False),
    ],
)
def test_a_model_that_cannot_read_a_block_is_not_asked_about_it(writer: str, reader: str, read: bool) -> None:
    """It is dropped without an error; a model that reads it holds it against what stands before it."""
    request = talk(model=writer) | {"model": reader}
    assert problem(request) is None
    request["messages"][0]["content"] = "How?"
    assert (BOUND in (problem(request) or "")) is read
    add(request, 3)
    assert (problem(request) is None) is not read


def test_what_does_not_fit_can_be_dropped() -> None:
    """Under the beta a request may ask for it; the message then does not speak of the header."""
    edited = changed(lambda r: r["messages"][0].update(content="How?"))
    drops = edited | {
        "thinking": {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
    }
    assert problem(drops, **CONTROLS) is None
    assert "Extra inputs are not permitted" in (problem(drops) or "")
    assert "header" not in (problem(edited, **CONTROLS) or "header")


def test_only_models_that_think_begin_with_thinking() -> None:
    """And not where the request asks otherwise."""
    assert first_thinking(talk(model="claude-sonnet-4-5")) == []
    assert first_thinking(talk(model="some-model")) == []
    assert first_thinking(talk(model=SONNET) | {"thinking": {"type": "between_tools"}}) == []
    assert first_thinking(talk(model=HAIKU) | {"thinking": {"type": "disabled"}}) == []
