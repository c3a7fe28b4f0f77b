"""The roles that flows add: a writer, a reviewer, an intake, whoever may hand on, and the router."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from harness.bundles.load import load_bundles
from harness.offers import Offer
from harness.offline.policy import respond
from harness.routing import decision_schema

from .simulator import (
    CORPUS_TOOLS,
    NOTICE,
    RESEARCHER_OUTPUT,
    TEXT,
    Corpus,
    Played,
    asked,
    play,
    sources,
    tool,
)

QUOTE = "A lease is a claim on a job that runs out by itself."
OTHER = "A job is a row with a state, a payload and\na lease."
BUNDLES = load_bundles(None)


def given(task: Mapping[str, Any], corpus: Corpus, output: Mapping[str, Any] | None = None) -> Played:
    """Play an agent that is given a task as a flow gives it, with the tools of the corpus."""
    tools = [*CORPUS_TOOLS, *([tool("StructuredOutput", output)] if output else [])]
    return play(asked(f"<task>\n{json.dumps(task)}\n</task>", tools), corpus)


def output_of(bundle: str) -> dict[str, Any]:
    """Give the schema by which a built-in bundle answers."""
    model = BUNDLES[bundle].output
    assert model is not None
    return model.model_json_schema()


def finding(corpus: Corpus, quote: str = QUOTE, locator: str = "docs/leases.md") -> dict[str, Any]:
    """Give a finding that quotes a document."""
    return {
        "statement": " ".join(quote.split()),
        "citations": [{"source": corpus.label(locator), "quote": quote}],
    }


def test_a_writer_cites_what_it_is_given_and_searches_nothing(corpus: Corpus) -> None:
    """It only reads what the documents are called, and what was not found is said."""
    task = {"question": "What is a lease?", "findings": [finding(corpus)], "not_found": ["Its weight."]}
    writer = given(task, corpus)
    assert writer.calls("mcp__corpus__search") == []
    assert "A lease is a claim on a job that runs out by itself [1]." in writer.text
    assert sources(writer.text) == {1: ("S1", QUOTE)}
    assert "[1] S1, Leases and locks: " in writer.text
    assert "- Its weight." in writer.text
    assert NOTICE in writer.text


def test_a_writer_says_once_what_two_have_brought(corpus: Corpus) -> None:
    """Findings and a report that quote the same are one statement; whoever failed is named."""
    report = f'# R\n\nSo it is [1]. And so [2].\n\n## Sources\n\n[1] S1, L: "{QUOTE}"\n[2] S2, O: "{OTHER}"\n'
    findings = [finding(corpus), finding(corpus, OTHER, "docs/overview.md")][:1]
    task = {
        "question": "What is a lease?",
        "results": [
            {
                "source": "researcher",
                "status": "done",
                "output": {"findings": findings, "not_found": ["Its age."]},
            },
            {"source": "analyst", "status": "done", "output": {"text": report}},
            {"source": "archivist", "status": "failed", "problem": "It was lost."},
        ],
    }
    corpus.label("docs/overview.md")
    writer = given(task, corpus)
    assert writer.text.partition("## Sources")[0].count("A lease is a claim") == 1
    assert sources(writer.text) == {1: ("S1", QUOTE), 2: ("S2", " ".join(OTHER.split()))}
    assert "archivist brought no result: It was lost." in writer.text
    assert "- Its age." in writer.text


def test_a_writer_heeds_the_verdicts(corpus: Corpus) -> None:
    """What was refuted is left out and named; verdicts alone, with their quotes, are enough to write from."""
    other = finding(corpus, OTHER, "docs/overview.md")
    verdicts = [
        {**finding(corpus), "verdict": "supported", "reason": "It stands there."},
        {**other, "verdict": "refuted", "reason": "It says otherwise."},
    ]
    text = given({"question": "What is a lease?", "verdicts": verdicts}, corpus).text
    assert list(sources(text)) == [1]
    left_out = text.partition("## Left out after checking")[2].partition("\n## ")[0]
    assert "(refuted: It says otherwise.)" in left_out
    assert "A second check confirmed 1 of 2 findings." in text


def test_a_writer_puts_each_finding_under_the_part_it_answers(corpus: Corpus) -> None:
    """A part that nothing fits is said to be open."""
    task = {
        "question": "What is a lease? What does the canteen serve on Mondays? How are jobs tried again?",
        "findings": [
            finding(corpus, "On Mondays the canteen serves lentil soup.", "docs/cooking.md"),
            finding(corpus),
        ],
    }
    text = given(task, corpus).text
    sections = {part.partition("\n")[0]: part for part in text.split("\n## ")}
    assert "[1]" in sections["What is a lease?"]
    assert "[2]" in sections["What does the canteen serve on Mondays?"]
    assert "How are jobs tried again: nothing that was found fits it closely." in text


@pytest.mark.parametrize(
    ("output", "verdict", "says"),
    [
        ({"findings": [{"quote": QUOTE}]}, "pass", "Every quote stands in its document, 1 in all."),
        ({"findings": [{"quote": "A lease is a lock."}]}, "abstain", "1 of 1 quotes were not found"),
        ({"findings": []}, "abstain", "The answer has no quote that could be looked up."),
        (f'So it is [1].\n\n## Sources\n\n[1] S1, L: "{QUOTE}"\n', "pass", "Every quote stands"),
        ("It is as it is.", "abstain", "The answer has no quote that could be looked up."),
    ],
)
def test_a_reviewer_looks_quotes_up_and_judges_nothing_else(
    corpus: Corpus, output: Any, verdict: str, says: str
) -> None:
    """It passes or abstains, says that no model was used, and never sends anything back."""
    corpus.label("docs/leases.md")
    if isinstance(output, dict):
        quotes = [one["quote"] for one in output["findings"]]
        output = {"findings": [finding(corpus, quote) for quote in quotes]}
    answer = given({"task": {"objective": "Leases."}, "output": output}, corpus, output_of("reviewer")).output
    assert answer["verdict"] == verdict
    assert answer["problem"].startswith(says)
    assert NOTICE in answer["problem"]


@pytest.mark.parametrize(
    ("question", "following", "parts"),
    [
        ("What is a lease?", "analyst", ["What is a lease?"]),
        (
            "What is a lease? How often is a failed job tried again?",
            "inquiry",
            ["What is a lease?", "How often is a failed job tried again?"],
        ),
    ],
)
def test_an_intake_hands_on_by_the_number_of_parts(
    corpus: Corpus, question: str, following: str, parts: list[str]
) -> None:
    """It searches once, and passes the question on as it was asked."""
    intake = given({"question": question}, corpus, output_of("intake"))
    assert len(intake.calls("mcp__corpus__search")) == 1
    assert (intake.output["handoff_to"], intake.output["question"]) == (following, question)
    assert intake.output["questions"] == parts


def test_whoever_knows_nobody_hands_on_to_nobody(corpus: Corpus) -> None:
    """A name that only the agent's own instructions know is left empty, which ends the work."""
    plain = {"type": "object", "properties": {"handoff_to": TEXT}, "required": ["handoff_to"]}
    assert given({"question": "What is a lease?"}, corpus, plain).output["handoff_to"] == ""
    researcher: dict[str, Any] = dict(RESEARCHER_OUTPUT)
    fields = {**researcher["properties"], "handoff_to": TEXT}
    output = {**researcher, "properties": fields, "required": ["findings", "handoff_to"]}
    assert given({"objective": "What is a lease?"}, corpus, output).output["handoff_to"] == ""


def test_the_router_gives_a_checker_what_was_found(corpus: Corpus) -> None:
    """Findings are claims to it; as long as there are none, it is passed over."""
    found = {"number": 1, "to": "researcher", "status": "done", "output": {"findings": [finding(corpus)]}}
    nothing = {**found, "output": {"findings": []}}
    assert decided([]) == {
        "action": "route",
        "reason": "researcher has not worked yet.",
        "to": "researcher",
        "input": {"objective": "Leases"},
    }
    routed = decided([found])
    assert (routed["to"], routed["input"]["claims"]) == ("fact_checker", [finding(corpus)])
    told = decided([nothing])
    assert (told["to"], json.loads(told["input"])) == ("writer", {"question": "Leases?", "findings": []})
    written = {"number": 2, "to": "writer", "status": "done", "output": {"text": "# Report"}}
    assert (decided([nothing, written])["action"], decided([nothing, written])["result"]) == ("finish", 2)


class Citation(BaseModel):
    """Where it stands."""

    source: str
    quote: str


class Claim(BaseModel):
    """What is said."""

    statement: str
    citations: list[Citation]


class Search(BaseModel):
    """A member's input in the strict form, but for a limit of size."""

    objective: Annotated[str, Field(max_length=6)]


class Check(BaseModel):
    """One with references."""

    claims: Annotated[list[Claim], Field(min_length=1)]


class Write(BaseModel):
    """One that the strict form cannot say: it is given as JSON text."""

    question: str
    findings: list[Claim] = []
    notes: dict[str, str] = {}


MEMBERS = {
    name: Offer(name, schema, "")
    for name, schema in (("researcher", Search), ("fact_checker", Check), ("writer", Write))
}


def decided(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Ask the router, as a supervisor does."""
    message = respond(
        {
            "messages": [
                {"role": "user", "content": json.dumps({"task": {"question": "Leases?"}, "results": results})}
            ],
            "output_config": {"format": {"type": "json_schema", "schema": decision_schema(MEMBERS)}},
        }
    )
    decision: dict[str, Any] = json.loads(message["content"][-1]["text"])["decision"]
    return decision
