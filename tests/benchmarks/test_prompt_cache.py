"""What prompts have in common, and what a prompt cache makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.comparison.caching import LEAST_TOKENS, LIFE_S, LOOK_BACK, PromptCache, dollars, prompt_tokens
from benchmarks.comparison.prompt import blocks_of, common, fixed_blocks, joined, prompt_of
from benchmarks.comparison.task_cost import kept, parting, repeated
from tests.kit.script import Tokens

MARK: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}
LONG = "word " * LEAST_TOKENS


def _body(
    *said: str, system: str = LONG, marked: bool = True, model: str = "claude-sonnet-4-5"
) -> dict[str, Any]:
    """A request with a tool and a message for each text, its system prompt and its last message marked."""
    mark = MARK if marked else {}
    texts: list[dict[str, Any]] = [{"type": "text", "text": each} for each in said]
    texts[-1] |= mark
    return {
        "model": model,
        "tools": [{"name": "look", "input_schema": {}}],
        "system": [{"type": "text", "text": system} | mark],
        "messages": [{"role": "user", "content": [each]} for each in texts],
    }


def test_a_prompt_is_its_tools_its_system_prompt_and_its_messages() -> None:
    """In this order, whatever the order in the body, and with texts as blocks."""
    body = {
        "messages": [{"role": "user", "content": "Go"}],
        "system": "Be brief.",
        "tools": [{"name": "look"}],
    }
    assert prompt_of(body) == (
        b'["tool", {"name": "look"}]["system", {"type": "text", "text": "Be brief."}]'
        b'["user", {"type": "text", "text": "Go"}]'
    )
    assert prompt_of(body).startswith(joined(fixed_blocks(body)))


def test_marks_for_the_cache_are_seen_and_left_out() -> None:
    """A mark that has moved on does not change the prompt; one at the top is one on the last block."""
    assert prompt_of(_body("Go")) == prompt_of(_body("Go", marked=False))
    assert [block.marked for block in blocks_of(_body("Go"))] == [False, True, True]
    assert [block.marked for block in blocks_of(_body("Go", marked=False) | MARK)] == [False, False, True]


@pytest.mark.parametrize(
    ("one", "other", "same"), [(b"", b"a", 0), (b"abc", b"abd", 2), (b"ab", b"abc", 2), (b"abc", b"abc", 3)]
)
def test_common_bytes_are_counted_from_the_beginning(one: bytes, other: bytes, same: int) -> None:
    """From either side."""
    assert common(one, other) == common(other, one) == same


def test_a_conversation_that_only_grows_keeps_all_of_its_prompts() -> None:
    """One whose beginning changes keeps what stands before the change, and no more."""
    grown = [_body("a"), _body("a", "b"), _body("a", "b", "c")]
    assert kept([grown]) == 1.0
    assert repeated([grown]) == pytest.approx(
        sum(len(prompt_of(body)) for body in grown[:2]) / sum(len(prompt_of(body)) for body in grown[1:])
    )
    changed = [_body("a", system=f"{number} {LONG}") for number in (1, 2)]
    assert kept([changed]) < 0.02
    assert kept([]) == repeated([]) == 0.0


def test_the_place_where_two_prompts_part_is_named() -> None:
    """By its block and by the bytes before it."""
    one, other = _body("a", system="one"), _body("a", system="other")
    within = len(b'["system", {"type": "text", "text": "o')
    before = len(joined(list(blocks_of(one))[:1])) + within
    assert parting(one, other) == f"after {before} bytes, in block 2 (system), {within} bytes into it"
    assert parting(one, one).startswith("nowhere")


def test_what_was_written_is_read_once_its_answer_has_begun() -> None:
    """Side by side with the request that writes it, the same prompt is written again."""
    cache = PromptCache(answer_s=1.0)
    first = cache.usage(_body("a"), 0.0, 20)
    beside = cache.usage(_body("b"), 0.5, 20)
    after = cache.usage(_body("c"), 1.5, 20)
    assert first.cache_read_input_tokens == beside.cache_read_input_tokens == 0
    assert first.cache_creation_input_tokens == prompt_tokens(first) == beside.cache_creation_input_tokens
    assert after.cache_read_input_tokens > LEAST_TOKENS
    assert after.cache_read_input_tokens + after.cache_creation_input_tokens == prompt_tokens(after)
    assert after.output_tokens == 20


def test_the_longest_prefix_is_read_and_the_rest_is_written() -> None:
    """A conversation that goes on pays for what is new."""
    cache = PromptCache()
    first = cache.usage(_body("a"), 0.0, 0)
    second = cache.usage(_body("a", LONG), 1.0, 0)
    assert second.cache_read_input_tokens == prompt_tokens(first)
    assert second.cache_creation_input_tokens == prompt_tokens(second) - prompt_tokens(first)


def test_what_is_short_unmarked_old_or_another_models_is_not_read() -> None:
    """It is paid for as any input."""
    cache = PromptCache()
    for now in (0.0, 1.0):
        assert cache.usage(_body("a", system="short"), now, 0).cache_creation_input_tokens == 0
    cache.usage(_body("a"), 0.0, 0)
    unmarked = cache.usage(_body("a", marked=False), 1.0, 0)
    assert unmarked == Tokens(prompt_tokens(unmarked), 0)
    assert cache.usage(_body("a", model="claude-haiku-4-5"), 1.0, 0).cache_read_input_tokens == 0
    assert cache.usage(_body("a"), LIFE_S, 0).cache_read_input_tokens > 0
    assert cache.usage(_body("a"), 2 * LIFE_S, 0).cache_read_input_tokens > 0, "use keeps it alive"
    assert cache.usage(_body("a"), 3 * LIFE_S + 1, 0).cache_read_input_tokens == 0


def test_a_mark_looks_a_few_blocks_back() -> None:
    """A turn of many blocks loses what it added to, and still finds the marked system prompt."""
    cache = PromptCache()
    first = cache.usage(_body("a"), 0.0, 0)
    near = cache.usage(_body("a", *["b"] * LOOK_BACK), 1.0, 0)
    assert near.cache_read_input_tokens == prompt_tokens(first)
    far = cache.usage(_body("a", *["c"] * (LOOK_BACK + 1)), 1.0, 0)
    assert LEAST_TOKENS < far.cache_read_input_tokens < prompt_tokens(first)


def test_a_call_is_priced_by_what_came_from_the_cache() -> None:
    """A model without a price is an error, not free."""
    assert dollars("claude-sonnet-4-5", Tokens(1_000_000, 0)) == pytest.approx(3.0)
    assert dollars("claude-sonnet-4-5", Tokens(0, 0, 1_000_000, 0)) == pytest.approx(0.3)
    with pytest.raises(RuntimeError):
        dollars("some-model", Tokens())
