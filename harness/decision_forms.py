"""How a model is asked for a decision, how its answer is read, and how one is sent back that is no decision.

Models that think refuse to be forced to call a tool, so a decision is the text of the answer, held to a
schema. Where an endpoint does not take that, it is the input of a tool that the model is free to call.
Source: https://platform.claude.com/docs/en/build-with-claude/structured-outputs
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from harness.stops import CUT

DECIDE = "decide"

MAX_TOKENS = 16_000
"""Of a decision. Thinking counts, and behind it a task's whole input has to fit in. The client of the API
gives answers of more than 21,333 tokens only as a stream."""

Form = Literal["text", "strict tool", "tool"]

FORMS: tuple[Form, ...] = ("text", "strict tool", "tool")
"""From the best to the last that is tried: a schema can be too large for a model to be held to it."""

_OF_FORM = re.compile(
    r"output_config|output_format|structured.outputs?|json.schema|schema|grammar|\bstrict\b", re.IGNORECASE
)


class NoDecision(ValueError):
    """An answer holds no decision; the text says so to the model."""


def asked(form: Form, schema: dict[str, Any]) -> dict[str, Any]:
    """The fields of a Messages request that ask for a decision of this schema."""
    if form == "text":
        return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    tool: dict[str, Any] = {"name": DECIDE, "description": "Decide the next thing.", "input_schema": schema}
    if form == "strict tool":
        tool["strict"] = True
    return {"tools": [tool], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}


def refuses_form(status: int, text: str) -> bool:
    """Whether a refusal is of the way in which the decision was asked for, and not of anything else."""
    return status in (400, 422) and _OF_FORM.search(text) is not None


def read(form: Form, answer: Mapping[str, Any]) -> Any:
    """Give the JSON of a decision from a Messages API answer, unchecked.

    Raises:
        NoDecision: there is none.
    """
    if answer.get("stop_reason") in CUT:
        raise NoDecision(
            f"Your answer was cut off at {MAX_TOKENS:,} tokens, before its decision was whole. "
            "Decide again, and be brief."
        )
    if form != "text":
        call = next((block for block in _content(answer) if block.get("type") == "tool_use"), None)
        if call is None:
            raise NoDecision(f"There is no decision in your answer. Call `{DECIDE}`.")
        return call.get("input")
    text = "".join(str(block.get("text")) for block in _content(answer) if block.get("type") == "text")
    if not text.strip():
        raise NoDecision("There is no decision in your answer. Answer with the JSON object of one.")
    try:
        return json.loads(text)
    except ValueError as problem:
        raise NoDecision(
            f"Your decision is not readable as JSON ({problem}). "
            "Answer with the JSON object and nothing else."
        ) from problem


def declined(answer: Mapping[str, Any]) -> str | None:
    """Say why the model refuses to answer; None when it does not. Asked again it would refuse again."""
    if answer.get("stop_reason") != "refusal":
        return None
    details = answer.get("stop_details") or {}
    why = details.get("explanation") or details.get("category") or "it gave no reason"
    return f"The router's model refuses to decide about this task: {str(why).rstrip('.')}."


def sent_back(answer: Mapping[str, Any], problem: str) -> list[dict[str, Any]]:
    """The messages that follow upon an answer: its very content, and what is wrong with it."""
    content = _content(answer)
    calls = [block for block in content if block.get("type") == "tool_use"]
    said: Any = problem
    if calls:
        said = [
            {"type": "tool_result", "tool_use_id": call["id"], "content": problem, "is_error": True}
            for call in calls
        ]
    told = {"role": "user", "content": said}
    return [{"role": "assistant", "content": content}, told] if _can_be_sent(content) else [told]


def _content(answer: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    content: Sequence[Mapping[str, Any]] = answer.get("content") or ()
    return content


def _can_be_sent(content: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the API takes a turn back. It refuses one without content, of thinking alone, or of blank text.

    To leave the whole turn out breaks no signature: what follows was never behind it.
    """
    blank = any(block.get("type") == "text" and not str(block.get("text")).strip() for block in content)
    return bool(content) and not blank and content[-1].get("type") not in ("thinking", "redacted_thinking")
