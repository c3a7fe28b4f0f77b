"""The fact checker: a verdict for each claim, in order, from what stands in the cited document."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.offline.conflicts import contradict

from .documents import DOCUMENTS
from .simulator import CHECKER_OUTPUT, CORPUS_TOOLS, Corpus, asked, play, tool

QUOTE = "A lease is a claim on a job that runs out by itself."


def verdicts(corpus: Corpus, *claims: dict[str, Any]) -> list[dict[str, Any]]:
    tools = [*CORPUS_TOOLS, tool("StructuredOutput", CHECKER_OUTPUT)]
    agent = play(asked(f"<task>{json.dumps({'claims': claims})}</task>", tools), corpus)
    found: list[dict[str, Any]] = agent.output["verdicts"]
    assert [one["statement"] for one in found] == [claim["statement"] for claim in claims]
    return found


def claim(statement: str, quote: str, source: str) -> dict[str, Any]:
    return {"statement": statement, "citations": [{"source": source, "quote": quote}]}


@pytest.fixture
def corpus() -> Corpus:
    corpus = Corpus(DOCUMENTS, passage=300)
    for locator in DOCUMENTS:
        corpus.label(locator)
    return corpus


@pytest.mark.parametrize(
    ("statement", "quote", "source", "verdict"),
    [
        (QUOTE, QUOTE, "S2", "supported"),
        (
            "The lease timeout is 30 seconds.",
            "The lease timeout is 30 seconds by default.",
            "S2",
            "supported",
        ),
        ("The lease timeout is 45 seconds.", "The lease timeout is 30 seconds by default.", "S2", "refuted"),
        (QUOTE, "A lease lasts for ever.", "S2", "not_found"),
        (QUOTE, QUOTE, "S4", "not_found"),
        (QUOTE, QUOTE, "S99", "cannot_tell"),
        ("The canteen serves noodles on Fridays.", QUOTE, "S2", "cannot_tell"),
        (QUOTE, " ", "S2", "cannot_tell"),
    ],
)
def test_a_verdict_follows_from_the_document(
    corpus: Corpus, statement: str, quote: str, source: str, verdict: str
) -> None:
    """A quote stands there or not, and says what the claim says or not; what was not read is no "no"."""

    def broken(name: str, given: Any) -> str | None:
        return "There is no source S99." if given.get("source") == "S99" else None

    corpus.broken = broken
    (found,) = verdicts(corpus, claim(statement, quote, source))
    assert found["verdict"] == verdict
    assert found["reason"]
    stands = source != "S99" and quote.strip() and quote in " ".join(corpus.text_of(source).split())
    assert found["citations"] == ([{"source": source, "quote": quote}] if stands else [])


def test_every_claim_gets_its_verdict_in_order(corpus: Corpus) -> None:
    """Several claims are looked up together and judged one by one."""
    found = verdicts(
        corpus,
        claim(QUOTE, QUOTE, "S2"),
        claim("It lasts.", "A lease lasts for ever.", "S2"),
        {"statement": "No source at all.", "citations": []},
    )
    assert [one["verdict"] for one in found] == ["supported", "not_found", "cannot_tell"]


def test_a_quote_over_a_line_end_is_found(corpus: Corpus) -> None:
    """White space is the only thing in which a quote may differ from its document."""
    quote = "The lease timeout is 30 seconds by default."
    assert quote not in DOCUMENTS["docs/leases.md"]
    assert verdicts(corpus, claim(quote, quote, "S2"))[0]["verdict"] == "supported"


def test_a_long_document_is_read_to_its_end() -> None:
    """A quote far down, which no search finds, is found by reading on."""
    filler = "\n\n".join(f"Paragraph {number} is about nothing in particular." for number in range(400))
    corpus = Corpus({"long.md": f"# Long\n\n{filler}\n\n{QUOTE}"})
    corpus.label("long.md")
    corpus.broken = lambda name, given: "Error: away" if name == "mcp__corpus__search" else None
    assert verdicts(corpus, claim(QUOTE, QUOTE, "S1"))[0]["verdict"] == "supported"


@pytest.mark.parametrize(
    ("one", "other", "contradicts"),
    [
        ("The timeout of a lease is 30 seconds.", "The lease timeout is 60 seconds.", True),
        ("The lease timeout is 30 seconds.", "The lease timeout is 30 seconds by default.", False),
        ("A worker renews its lease after a crash.", "A worker never renews its lease after a crash.", True),
        ("A worker renews its lease.", "A kitchen never serves lentils.", False),
        ("Tern 2 was released in 2019.", "Soup is served at 12 on Mondays.", False),
        ("Yes.", "No.", False),
    ],
)
def test_a_contradiction_is_the_same_with_other_numbers_or_a_not(
    one: str, other: str, contradicts: bool
) -> None:
    """Only sentences about the same thing contradict each other."""
    assert contradict(one, other) is contradicts
    assert contradict(other, one) is contradicts
