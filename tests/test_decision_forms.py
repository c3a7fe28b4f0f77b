"""Which refusals are of the form of a request, and which turns go back to the model."""

from __future__ import annotations

import pytest

from harness.decision_forms import refuses_form, sent_back

THINKING = {"type": "thinking", "thinking": "", "signature": "c2lnbmVk"}


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (400, "output_config: Extra inputs are not permitted", True),
        (400, "output_config.format.schema: For 'object' type, 'additionalProperties' must be false", True),
        (400, "The compiled grammar is too large, which would cause performance issues.", True),
        (400, "tools.0.custom.strict: Extra inputs are not permitted", True),
        (400, "This model does not support structured outputs.", True),
        (422, '{"detail": [{"loc": ["body", "output_config"], "msg": "extra fields not permitted"}]}', True),
        (400, "prompt is too long: 213000 tokens > 200000 maximum", False),
        (400, "Your credit balance is too low to access the Anthropic API.", False),
        (400, "The image is restricted to 5 MB.", False),
        (402, "output_config", False),
        (529, "output_config", False),
    ],
)
def test_only_a_refusal_of_the_form_leads_to_another_form(status: int, text: str, expected: bool) -> None:
    """Whatever else is wrong is wrong in every form."""
    assert refuses_form(status, text) is expected


@pytest.mark.parametrize(
    "content",
    [[], [THINKING], [{"type": "text", "text": "Hm."}, THINKING], [THINKING, {"type": "text", "text": " "}]],
)
def test_a_turn_that_the_api_refuses_is_left_out(content: list[dict[str, str]]) -> None:
    """What follows was never behind it, so that leaving it out breaks no signature."""
    assert sent_back({"content": content}, "Again.") == [{"role": "user", "content": "Again."}]


def test_any_other_goes_back_as_it_came() -> None:
    """To the last field, and each of its calls gets its result."""
    call = {"type": "tool_use", "id": "toolu_1", "name": "decide", "input": {}, "caller": {"type": "direct"}}
    other = {**call, "id": "toolu_2"}
    turn, told = sent_back({"content": [THINKING, call, other]}, "Again.")
    assert turn == {"role": "assistant", "content": [THINKING, call, other]}
    assert [(each["tool_use_id"], each["content"]) for each in told["content"]] == [
        ("toolu_1", "Again."),
        ("toolu_2", "Again."),
    ]
