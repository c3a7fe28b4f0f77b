"""Holding a request against a recorded one: what counts, and what only varies from run to run."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from pathlib import PurePath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.gateway.compare import differences, normal
from harness.gateway.names import Names
from harness.plan import plan
from tests.kit.journals import RESEARCH, Book, created, printing_seeds, run_created, started

RESUME = "Your work was interrupted and goes on now."


def request() -> dict[str, Any]:
    """A step as the CLI sends it, two calls and their results in."""
    return {
        "model": "claude-sonnet-5-5",
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330.c39;"},
            {"type": "text", "text": "You are a Claude agent, built on Anthropic's Claude Agent SDK."},
            {
                "type": "text",
                "text": "You are a researcher. Read on.",
                "cache_control": {"type": "ephemeral"},
            },
        ],
        "tools": [
            {"name": "search", "description": "Finds.", "input_schema": {"type": "object"}},
            {"name": "read", "description": "Reads.", "input_schema": {"type": "object"}},
        ],
        "metadata": {"user_id": "one"},
        "max_tokens": 32000,
        "output_config": {"effort": "high"},
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "text",
                        "text": "<system-reminder>\nToday's date is 2026-01-01.\n</system-reminder>",
                    },
                    {"type": "text", "text": "Why? Because."},
                ],
            },
            {"role": "system", "content": [{"type": "text", "text": "# Environment\nfolder: /a"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "abc"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {"query": "tides"}},
                    {"type": "tool_use", "id": "toolu_2", "name": "read", "input": {"source": "S1"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": '{"hits": [1, 2]}'},
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_2",
                        "content": [{"type": "text", "text": "S1"}],
                    },
                ],
            },
        ],
    }


def parts(now: dict[str, Any], **given: Any) -> list[str]:
    """The parts in which a request differs from the recorded one."""
    return [found.part for found in differences(request(), now, **given)]


def test_the_same_request_does_not_differ() -> None:
    """Nothing is found where nothing is."""
    assert differences(request(), request()) == []


def _reworded(now: dict[str, Any]) -> None:
    now["system"][2]["text"] = "You are a patient researcher. Read on."


def _described(now: dict[str, Any]) -> None:
    now["tools"][1]["description"] = "Reads aloud."


def _schema(now: dict[str, Any]) -> None:
    now["tools"][0]["input_schema"]["required"] = ["query"]


def _new_tool(now: dict[str, Any]) -> None:
    now["tools"].append({"name": "write", "description": "Writes.", "input_schema": {}})


def _asked(now: dict[str, Any]) -> None:
    now["messages"][0]["content"][1]["text"] = "Why not? Because."


def _result(now: dict[str, Any]) -> None:
    now["messages"][3]["content"][0]["content"] = '{"hits": [1, 3]}'


def _failed(now: dict[str, Any]) -> None:
    now["messages"][3]["content"][1]["is_error"] = True


def _effort(now: dict[str, Any]) -> None:
    now["output_config"]["effort"] = "low"


def _model(now: dict[str, Any]) -> None:
    now["model"] = "claude-opus-5-5"


COUNTS = {
    "model": (_model, "+claude-opus-5-5"),
    "system prompt": (_reworded, "+You are a patient researcher."),
    "tool read": (_described, "+Reads aloud."),
    "tool search": (_schema, '+   "query"'),
    "tool write": (_new_tool, "+Writes."),
    "answer asked for": (_effort, '+  "effort": "low"'),
    "message 1 (user)": (_asked, "+Why not?"),
    "message 3 (user)": (_result, "+  3"),
}


@pytest.mark.parametrize("part", COUNTS)
def test_what_an_agent_is_told_counts(part: str) -> None:
    """Each is named, with the changed line and no other."""
    change, line = COUNTS[part]
    now = request()
    change(now)
    (found,) = differences(request(), now)
    assert found.part == part
    added = [each for each in found.diff.splitlines() if each.startswith("+") and not each.startswith("+++")]
    assert line in added
    assert "\n Read on." not in found.diff or part == "system prompt"


def test_that_a_tool_failed_counts() -> None:
    """The same text as an error is another result."""
    now = request()
    _failed(now)
    assert parts(now) == ["message 3 (user)"]


def test_every_difference_is_told_at_once() -> None:
    """Model and prompts first, then the messages in their order."""
    now = request()
    for change, _ in COUNTS.values():
        change(now)
    assert parts(now) == [
        "model", "system prompt", "tool read", "tool search", "tool write", "answer asked for",
        "message 1 (user)", "message 3 (user)",
    ]  # fmt: skip


def test_what_varies_from_run_to_run_does_not_count() -> None:
    """Ids of calls, the order of results and tools, dates, versions, metadata, cache marks, thinking."""
    now = json.loads(json.dumps(request()).replace("toolu_1", "toolu_x").replace("2026-01-01", "2027-02-03"))
    now["tools"].reverse()
    now["messages"][3]["content"].reverse()
    now["messages"][2]["content"].pop(0)
    now["messages"][0]["content"][1]["cache_control"] = {"type": "ephemeral"}
    now["messages"][1]["content"][0]["text"] = "# Environment\nfolder: /b"
    now["system"][0]["text"] = "x-anthropic-billing-header: cc_version=9.9;"
    now["metadata"] = {"user_id": "two"}
    now["max_tokens"] = 64000
    assert parts(now) == []


def test_a_text_is_the_same_as_a_block_of_text() -> None:
    """The CLI writes the same message in either form."""
    plain = {"model": "m", "messages": [{"role": "user", "content": "Why?"}], "system": "Be."}
    block = [{"type": "text", "text": "Why?"}]
    assert normal(plain) == normal(
        {
            "model": "m",
            "messages": [{"role": "user", "content": block}],
            "system": [{"type": "text", "text": "Be."}],
        }
    )


def test_what_a_resume_puts_in_does_not_count() -> None:
    """The harness's own words and the CLI's, where a killed agent went on."""
    now = request()
    now["messages"] += [
        {"role": "assistant", "content": "No response requested."},
        {"role": "user", "content": f"{RESUME}\n"},
    ]
    assert parts(now, left_out=(RESUME,)) == []
    assert parts(now) != [], "it would, were it not named"


def test_what_is_left_of_the_money_does_not_count() -> None:
    """Agents that work side by side spend it in any order; steps are an agent's own."""

    def told(left: str) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": f"What is left: {left}."}]}

    assert differences(told("20% of the money"), told("7% of the money")) == []
    assert differences(told("2 of 9 steps"), told("1 of 9 steps"))


def test_a_change_in_white_space_is_shown() -> None:
    """Even where the sentences are the same."""
    found = differences({"system": "One. Two."}, {"system": "One.  Two."})
    assert found[0].diff.splitlines()[-2:] == ["-One. Two.", "+One.  Two."]


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@printing_seeds
@given(ANY_JSON, ANY_JSON)
def test_an_input_differs_if_and_only_if_its_value_does(before: Any, now: Any) -> None:
    """Whatever the model puts into a call: no change is lost, and none is invented."""
    first, second = request(), request()
    first["messages"][2]["content"][2]["input"] = before
    second["messages"][2]["content"][2]["input"] = now
    same = json.dumps(before, sort_keys=True) == json.dumps(now, sort_keys=True)
    assert (differences(first, second) == []) == same


@printing_seeds
@given(st.randoms(use_true_random=False))
def test_the_order_of_tools_and_results_never_counts(dice: random.Random) -> None:
    """Neither alone nor together."""
    now = deepcopy(request())
    dice.shuffle(now["tools"])
    dice.shuffle(now["messages"][3]["content"])
    assert parts(now) == []


def session(folder: str) -> tuple[Names, str]:
    """A session's names, and the id of its agent run."""
    book = Book(session_id=f"{folder}-0000-4000-8000-000000000000")
    book.add(created())
    (spec,) = plan(RESEARCH, book.state).create
    book.add(run_created(spec), spec.id)
    book.add(started(book.state.runs[spec.id], folder=f"/home/{folder}/{spec.id}-1"), spec.id)
    return Names.of(book.state), spec.id


def test_names_of_a_session_are_the_same_words_in_another() -> None:
    """Ids and folders do not count, and an answer that names them is told with the new ones."""
    (before, first), (now, second) = session("aaaaaaaa"), session("bbbbbbbb")
    assert first != second
    told = f"continue {first} in /home/aaaaaaaa/{first}-1/x and {PurePath('/home/aaaaaaaa/workspace')}"
    then = f"continue {second} in /home/bbbbbbbb/{second}-1/x and /home/bbbbbbbb/workspace"
    assert before.masked(told) == now.masked(then) != told
    assert before.translated(told, now) == then
    assert before.translated("nothing of it", now) == "nothing of it"
    found = differences({"system": told}, {"system": then}, masks=(before.masked, now.masked))
    assert found == []
