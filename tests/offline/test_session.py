"""Whole sessions played by the policy: a lead, its researchers and its fact checker, over a few documents."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from .documents import DOCUMENTS
from .simulator import CORPUS_TOOLS, DELEGATE, REMINDER, Corpus, Played, ask_lead, asked, play, tool

NOTICE = "no language model was used"
SOURCE_LINE = re.compile(r'^\[(\d+)\] (S\d+), ([^\n]*?)(?:: "(.*)")?$', re.MULTILINE)
QUESTIONS = [
    "What is a lease?",
    "How does Tern resume a job when a worker is killed?",
    "What is the difference between a lease and a lock?",
    "What is the default lease timeout, and how often is a failed job tried again?",
    "Why are backups of the queue needed?",
]


def folded(text: str) -> str:
    return " ".join(text.split())


def sources(report: str) -> dict[int, tuple[str, str]]:
    _, _, listed = report.rpartition("## Sources\n")
    return {int(number): (label, quote) for number, label, _, quote in SOURCE_LINE.findall(listed)}


@pytest.fixture
def corpus() -> Corpus:
    return Corpus(DOCUMENTS, passage=300)


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_quote_stands_in_its_document(corpus: Corpus, question: str) -> None:
    """What researchers give as a quote is an exact slice; the report's is the same but for white space."""
    lead = ask_lead(question, corpus)
    findings = [one for agent in lead.subagents for one in agent.output.get("findings", [])]
    assert findings
    for finding in findings:
        for citation in finding["citations"]:
            assert citation["quote"] in corpus.text_of(citation["source"])
    for label, quote in sources(lead.text).values():
        assert folded(quote) in folded(corpus.text_of(label))


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_number_has_a_source_and_every_source_a_number(corpus: Corpus, question: str) -> None:
    """The markers in the prose and the lines under Sources are the same numbers, from 1 without a gap."""
    report = ask_lead(question, corpus).text
    prose, _, _ = report.rpartition("## Sources\n")
    cited = {
        int(number) for group in re.findall(r"\[(\d+(?:, \d+)*)\]", prose) for number in group.split(", ")
    }
    assert cited == set(sources(report)) == set(range(1, len(cited) + 1))
    assert cited


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_report_says_how_it_was_made(corpus: Corpus, question: str) -> None:
    """Title, notice, short answer, gaps and sources are there, and no code is quoted."""
    report = ask_lead(question, corpus).text
    assert report.startswith(f"# {question}\n")
    assert NOTICE in report
    for heading in ("## Short answer", "## What could not be found", "## Sources"):
        assert report.count(heading) == 1
    assert "Never quoted" not in report


def test_the_answer_is_the_sentence_that_answers(corpus: Corpus) -> None:
    """A question about a definition gets the definition first; one about a number the number."""
    definition = ask_lead("What is a lease?", corpus).text
    assert "A lease is a claim on a job that runs out by itself [1]." in definition
    number = ask_lead("What is the default lease timeout?", corpus).text
    assert re.search(r"## Short answer\n\nThe lease timeout is (30|60) seconds by default \[1\]\.", number)


def test_titles_of_documents_reach_the_report(corpus: Corpus) -> None:
    """The lead names a document by its title, which it can only know from its researchers."""
    assert re.search(
        r"^\[1\] S\d, Leases and locks: ", ask_lead("What is a lease?", corpus).text, re.MULTILINE
    )


def test_titles_are_taken_from_the_list_of_documents_too(corpus: Corpus) -> None:
    """When the question's message lists the documents, their titles are known without any summary."""
    labels = "\n".join(f"{corpus.label(locator)}: Title of {locator} (docs/x.md)" for locator in DOCUMENTS)
    report = play(
        asked(f"{labels}\n<question>What is the menu of the canteen?</question>", [DELEGATE]), corpus
    ).text
    assert "lentil" in report
    assert re.search(r"^\[1\] S4, (Canteen menu|Title of docs/cooking.md)", report, re.MULTILINE)


def test_a_comparison_is_researched_from_both_sides(corpus: Corpus) -> None:
    """The question itself and each side go out as tasks of one call, with what belongs to the others."""
    lead = ask_lead("What is the difference between a lease and a lock?", corpus)
    research, check = lead.calls("mcp__harness__delegate")
    assert [task["to"] for task in research["tasks"]] == ["researcher"] * 3
    objectives = [task["input"]["objective"] for task in research["tasks"]]
    assert objectives[1:] == ["What is a lease?", "What is a lock?"]
    assert all(other in research["tasks"][0]["input"]["scope"] for other in objectives[1:])
    assert [task["to"] for task in check["tasks"]] == ["fact_checker"]


def test_a_plain_question_is_one_task(corpus: Corpus) -> None:
    """Effort follows the question."""
    research, *_ = ask_lead("What is a lease?", corpus).calls("mcp__harness__delegate")
    assert len(research["tasks"]) == 1


def test_a_contradiction_is_kept(corpus: Corpus) -> None:
    """Two documents that give different numbers for one thing are both quoted, and the conflict is named."""
    report = ask_lead("What is the default lease timeout?", corpus).text
    assert "## Where the documents disagree" in report
    conflict = report.partition("## Where the documents disagree")[2].partition("\n## ")[0]
    assert "30 seconds" in conflict
    assert "60 seconds" in conflict


def test_what_is_not_there_is_not_quoted(corpus: Corpus) -> None:
    """A question about something foreign gets no quote, and the report says what was searched for."""
    lead = ask_lead("What is the boiling point of Tungsten?", corpus)
    assert "do not answer this" in lead.text
    assert '"Tungsten"' in lead.text
    assert sources(lead.text) == {}
    assert lead.subagents[0].output["findings"] == []


def test_a_claim_that_does_not_hold_is_left_out(corpus: Corpus) -> None:
    """A finding whose quote is not in its source is left out after the check, and the report says so."""

    def forged(agent: Played) -> None:
        for message in agent.messages:
            for block in message["content"]:
                if block["type"] == "tool_result" and '"findings"' in str(block["content"]):
                    results = json.loads(block["content"][0]["text"].partition("\n\n<system-reminder>")[0])
                    quote = "A lease lasts for ever and is never renewed by anybody."
                    citation = {"source": corpus.label("docs/leases.md"), "quote": quote}
                    results[0]["output"]["findings"].append({"statement": quote, "citations": [citation]})
                    block["content"] = json.dumps(results)

    lead = asked("<question>What is a lease?</question>", [DELEGATE])
    play_until_delegated(lead, corpus)
    forged(lead)
    report = play(lead, corpus).text
    left_out = report.partition("## Left out after checking")[2].partition("\n## ")[0]
    assert "A lease lasts for ever" in left_out
    assert "A lease lasts for ever" not in report.replace(left_out, "")
    assert "A lease is a claim on a job" in report


def play_until_delegated(lead: Played, corpus: Corpus) -> None:
    """Play one turn of a lead: its plan, and the results of the tasks."""
    with pytest.raises(AssertionError, match="no end"):
        play(lead, corpus, most_turns=1)


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


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_analyst_does_it_alone(corpus: Corpus, question: str) -> None:
    """Without delegation the same report is written from the agent's own searches."""
    analyst = play(asked(f"<question>{question}</question>", CORPUS_TOOLS), corpus)
    assert analyst.calls("mcp__corpus__search")
    assert sources(analyst.text)
    for label, quote in sources(analyst.text).values():
        assert folded(quote) in folded(corpus.text_of(label))


@pytest.mark.parametrize("tools", [[DELEGATE], CORPUS_TOOLS])
def test_a_further_question_is_answered_anew(corpus: Corpus, tools: list[dict[str, Any]]) -> None:
    """A question after a report is researched and answered; the first report is not given again."""
    agent = play(asked("<question>What is a lease?</question>", tools), corpus)
    first, calls = agent.text, len(agent.messages)
    agent.messages.append(
        {"role": "user", "content": "More.\n<question>How are failed jobs retried?</question>"}
    )
    play(agent, corpus)
    assert agent.text != first
    assert agent.text.startswith("# How are failed jobs retried?")
    assert "the delay doubles after each attempt" in agent.text
    assert len(agent.messages) > calls + 2


def test_earlier_findings_serve_a_further_question(corpus: Corpus) -> None:
    """What an earlier round has found is used again where it fits, when the new round brings nothing."""
    lead = ask_lead("How does Tern resume a job when a worker is killed?", corpus)
    corpus.broken = lambda name, given: "Error: away" if name == "researcher" else None
    lead.messages.append(
        {"role": "user", "content": "<question>Which worker resumes a killed job?</question>"}
    )
    report = play(lead, corpus).text
    assert "another worker resumes the job from its last checkpoint" in report
    assert "failed: Error: away" in report


@pytest.mark.parametrize(
    "note", ["Your steps are nearly used up.", "This is your last turn, and no tool can be used in it."]
)
def test_a_hurried_agent_writes_up_at_once(corpus: Corpus, note: str) -> None:
    """When the harness says that the end is near, what is there is written up without further calls."""
    analyst = asked("<question>What is a lease?</question>", CORPUS_TOOLS)
    play_until_delegated(analyst, corpus)
    analyst.messages.append({"role": "user", "content": [{"type": "text", "text": note}]})
    before = analyst.turns
    play(analyst, corpus)
    assert analyst.turns == before + 1
    assert "A lease is a claim on a job" in analyst.text


@pytest.mark.parametrize("tools", [[DELEGATE], CORPUS_TOOLS])
def test_the_last_turn_without_tools_writes_up(corpus: Corpus, tools: list[dict[str, Any]]) -> None:
    """A request that offers no tools gets a report of what the conversation holds."""
    agent = asked("<question>What is a lease?</question>", tools)
    play_until_delegated(agent, corpus)
    agent.tools = []
    report = play(agent, corpus).text
    assert "A lease is a claim on a job" in report
    assert NOTICE in report


def test_a_resumed_conversation_goes_on(corpus: Corpus) -> None:
    """The CLI's own words after a resume are no new question, and finished tasks are not delegated again."""
    lead = asked("<question>What is a lease?</question>", [DELEGATE])
    play_until_delegated(lead, corpus)
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
    play_until_delegated(lead, corpus)
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
    play_until_delegated(lead, corpus)
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
    play_until_delegated(lead, corpus)
    block = lead.messages[-1]["content"][0]
    whole = block["content"][0]["text"].partition("\n\n<system-reminder>")[0]
    cut = whole.index('"task": 2') - 3
    block["content"] = f"{whole[:cut]}\n\n[Cut after {cut} of {len(whole)} characters.]"
    report = play(lead, corpus).text
    assert "its result was cut off" in report
    assert sources(report)
