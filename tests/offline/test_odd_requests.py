"""Whatever a request holds, the answer is a valid message: random requests, and damaged conversations."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .checks import check, conversations

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    [
        "mcp__corpus__search",
        "mcp__corpus__read",
        "mcp__harness__delegate",
        "mcp__harness__read_result",
        "StructuredOutput",
        "Bash",
    ]
)
TEXTS = st.text(max_size=60) | st.sampled_from(
    [
        "<question>What is a lease?</question>",
        "<question>",
        "<task>{}</task>",
        '<task>{"claims": [1]}</task>',
        "Continue from where you left off.",
        "",
        "[]",
        '{"hits": [{"source": 1}]}',
        '[{"status": "done"',
    ]
)
BLOCKS = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": TEXTS}),
    st.fixed_dictionaries(
        {"type": st.just("tool_use"), "id": st.sampled_from("abc"), "name": NAMES, "input": JSON}
    ),
    st.fixed_dictionaries(
        {"type": st.just("tool_result"), "tool_use_id": st.sampled_from("abc"), "content": TEXTS | JSON}
    ),
    JSON,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["user", "assistant", "system"]),
            "content": TEXTS | st.lists(BLOCKS, max_size=4),
        }
    )
    | JSON,
    max_size=6,
)
TOOLS = st.lists(
    st.fixed_dictionaries({"name": NAMES}, optional={"input_schema": JSON, "description": JSON}) | JSON,
    max_size=5,
)


@settings(max_examples=200, deadline=None)
@given(MESSAGES, TOOLS)
def test_odd_conversations_get_a_valid_message(messages: list[Any], tools: list[Any]) -> None:
    """Whatever stands in a request, the answer is a message that calls only tools that are offered."""
    request = {"model": "m", "messages": messages, "tools": tools}
    assert check(request) == check(request)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["messages", "tools", "system", "tool_choice", "output_config"]), JSON)
)
def test_requests_of_any_shape_get_a_valid_message(request: dict[str, Any]) -> None:
    """Even the parts themselves may be anything."""
    check(request)


@pytest.mark.parametrize("seed", range(20))
def test_damaged_conversations_get_a_valid_message(seed: int) -> None:
    """Parts of a real conversation go missing or turn into something else; the seed is the test's name."""
    chance = random.Random(seed)
    for request in conversations():
        damaged = copy.deepcopy(request)
        for _ in range(chance.randint(1, 4)):
            damage(damaged, chance)
        check(damaged)


def damage(value: Any, chance: random.Random) -> None:
    """Walk to a random place and delete, replace or cut what stands there."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    if not keys:
        return
    key = chance.choice(list(keys))
    if isinstance(value[key], (dict, list)) and chance.random() < 0.8:
        damage(value[key], chance)
    elif isinstance(value[key], str) and chance.random() < 0.6:
        value[key] = value[key][: chance.randint(0, len(value[key]))]
    else:
        value[key] = chance.choice([None, 7, "", [], {}, "text", True])
