"""What does not go well: failing tools and tasks, cut results, crashes, and an end that comes early."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from .simulator import (
    CORPUS_TOOLS,
    DELEGATE,
    NOTICE,
    REMINDER,
    Corpus,
    ask_lead,
    asked,
    play,
    play_one_turn,
    sources,
    tool,
)


def test_a_failed_task_is_told(corpus: Corpus) -> None:
    """One task of several fails: its section says so with the reason, the others are answered."""

    def broken(name: str, given: Mapping[str, Any]) -> str | None:
        return "the model service was away." if given.get("objective") == "What is a lock?" else None

    corpus.broken = broken
    report = ask_lead("What is the difference between a lease and a lock?", corpus).text
    assert "This task of researcher failed: the model service was away." in report
    assert "A lease is a claim" in report


def test_a_failed_delegation_is_told(corpus: Corpus) -> None:
    """When nothing could be delegated the lead ends with a report that says so, and does not try for ever."""
    corpus.broken = lambda name, given: "Delegation is denied." if name.endswith("delegate") else None
    lead = ask_lead("What is a lease?", corpus)
    assert "Delegation is denied" in lead.text
    assert NOTICE in lead.text
    assert lead.turns == 2


def test_a_failed_check_is_told(corpus: Corpus) -> None:
    """Findings stand when their check fails, but the report does not call them checked."""
    corpus.broken = lambda name, given: "No budget is left." if name == "fact_checker" else None
    report = ask_lead("What is a lease?", corpus).text
    assert "not checked a second time" in report
    assert "This task of fact_checker failed: No budget is left." in report
    assert "A lease is a claim on a job" in report


def test_search_that_fails_once_is_tried_again(corpus: Corpus) -> None:
    """A tool error costs a turn, not the answer."""
    failures = iter(["Error: connection lost"])
    corpus.broken = lambda name, given: next(failures, None) if name == "mcp__corpus__search" else None
    assert "A lease is a claim on a job" in ask_lead("What is a lease?", corpus).text


def test_search_that_always_fails_ends_with_an_honest_report(corpus: Corpus) -> None:
    """Without any passage the report says that calls failed, and quotes nothing."""
    corpus.broken = lambda name, given: "Error: away" if name == "mcp__corpus__search" else None
    report = ask_lead("What is a lease?", corpus).text
    assert "calls to search or read failed" in report
    assert sources(report) == {}


@pytest.mark.parametrize(
    "note", ["Your steps are nearly used up.", "This is your last turn, and no tool can be used in it."]
)
def test_a_hurried_agent_writes_up_at_once(corpus: Corpus, note: str) -> None:
    """When the harness says that the end is near, what is there is written up without further calls."""
    analyst = asked("<question>What is a lease?</question>", CORPUS_TOOLS)
    play_one_turn(analyst, corpus)
    analyst.messages.append({"role": "user", "content": [{"type": "text", "text": note}]})
    before = analyst.turns
    play(analyst, corpus)
    assert analyst.turns == before + 1
    assert "A lease is a claim on a job" in analyst.text


@pytest.mark.parametrize("tools", [[DELEGATE], CORPUS_TOOLS])
def test_the_last_turn_without_tools_writes_up(corpus: Corpus, tools: list[dict[str, Any]]) -> None:
    """A request that offers no tools gets a report of what the conversation holds."""
    agent = asked("<question>What is a lease?</question>", tools)
    play_one_turn(agent, corpus)
    agent.tools = []
    report = play(agent, corpus).text
    assert "A lease is a claim on a job" in report
    assert NOTICE in report


def test_a_resumed_conversation_goes_on(corpus: Corpus) -> None:
    """The CLI's own words after a resume are no new question, and finished tasks are not delegated again."""
    lead = asked("<question>What is a lease?</question>", [DELEGATE])
    play_one_turn(lead, corpus)
    lead.messages[-1]["content"].append({"type": "text", "text": "Continue from where you left off."})
    play(lead, corpus)
    assert [task["tasks"][0]["to"] for task in lead.calls("mcp__harness__delegate")] == [
        "researcher",
        "fact_checker",
    ]
    assert "A lease is a claim on a job" in lead.text


def test_a_delegation_lost_in_a_crash_is_made_again(corpus: Corpus) -> None:
    """A call without an outcome was never carried out; one that was denied is not repeated."""
    lead = asked("<question>What is a lease?</question>", [DELEGATE])
    play_one_turn(lead, corpus)
    lost = "[Tool result missing due to internal error]"
    lead.messages[-1]["content"][0] |= {"content": lost, "is_error": True}
    lead.messages[-1]["content"].append(
        {"type": "text", "text": "Your work was interrupted and goes on now."}
    )
    assert "A lease is a claim on a job" in play(lead, corpus).text
    assert [call["tasks"][0]["to"] for call in lead.calls("mcp__harness__delegate")].count("researcher") == 2


def test_nothing_is_claimed_when_nothing_was_looked_up() -> None:
    """A last turn before any call says that nothing was looked up; it does not say that nothing is there."""
    report = play(asked("<question>What is a lease?</question>", []), Corpus({})).text
    assert "Nothing has been looked up" in report
    assert NOTICE in report


def test_a_result_that_was_cut_is_read_on(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result kept by reference is read to its end before it is used."""
    lead = asked("<question>What is a lease?</question>", [DELEGATE, tool("mcp__harness__read_result")])
    play_one_turn(lead, corpus)
    block = lead.messages[-1]["content"][0]
    whole = block["content"][0]["text"].partition("\n\n<system-reminder>")[0]
    told = json.dumps({"reference": "r-1", "offset": 80})
    note = f"[Cut after 80 of {len(whole)} characters. Read on with read_result: {told}]"
    block["content"] = f"{whole[:80]}\n\n{note}\n\n{REMINDER}"

    def kept(name: str, given: Mapping[str, Any]) -> tuple[str, bool]:
        assert (name, given["reference"]) == ("mcp__harness__read_result", "r-1")
        end = given["offset"] + 500
        part = {"text": whole[given["offset"] : end], "next_offset": end if end < len(whole) else None}
        return json.dumps(part), False

    called = corpus.call
    monkeypatch.setattr(corpus, "call", lambda *call: (kept if "read_result" in call[0] else called)(*call))
    text = play(lead, corpus).text
    assert "A lease is a claim on a job" in text


def test_a_result_that_stays_cut_gives_what_is_whole(corpus: Corpus) -> None:
    """Without a way to read on, the whole items before the cut are used, and the lost task is told."""
    lead = asked("<question>What is the difference between a lease and a lock?</question>", [DELEGATE])
    play_one_turn(lead, corpus)
    block = lead.messages[-1]["content"][0]
    whole = block["content"][0]["text"].partition("\n\n<system-reminder>")[0]
    cut = whole.index('"task": 2') - 3
    block["content"] = f"{whole[:cut]}\n\n[Cut after {cut} of {len(whole)} characters.]"
    report = play(lead, corpus).text
    assert "its result was cut off" in report
    assert sources(report)
