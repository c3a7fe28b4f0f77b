"""Whole sessions played by the policy: a lead, its researchers and its fact checker, over a few documents."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from .documents import DOCUMENTS
from .simulator import (
    CORPUS_TOOLS,
    DELEGATE,
    NOTICE,
    Corpus,
    Played,
    ask_lead,
    asked,
    folded,
    play,
    play_one_turn,
    sources,
)

QUESTIONS = [
    "What is a lease?",
    "How does Tern resume a job when a worker is killed?",
    "What is the difference between a lease and a lock?",
    "What is the default lease timeout, and how often is a failed job tried again?",
    "Why are backups of the queue needed?",
]


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


def test_an_answer_that_only_comes_near_is_called_so(corpus: Corpus) -> None:
    """When no quote has all the words of the question, the short answer says that before it quotes."""
    nearest = "No sentence has all the words of the question"
    assert nearest in ask_lead("How does a worker renew its lease overnight?", corpus).text
    assert nearest not in ask_lead("What is a lease?", corpus).text


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
    play_one_turn(lead, corpus)
    forged(lead)
    report = play(lead, corpus).text
    left_out = report.partition("## Left out after checking")[2].partition("\n## ")[0]
    assert "A lease lasts for ever" in left_out
    assert "A lease lasts for ever" not in report.replace(left_out, "")
    assert "A lease is a claim on a job" in report


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
