"""The researcher: searches, reads around the best hits, and returns quoted sentences as findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.offline.conflicts import disagreements
from harness.offline.conversation import Conversation
from harness.offline.evidence import Evidence
from harness.offline.extract import Extract
from harness.offline.fill import conforming
from harness.offline.legend import legend
from harness.offline.planner import sub_questions
from harness.offline.question import Question
from harness.offline.search import READ, SEARCH, next_calls, passages, searched
from harness.offline.shapes import Finding
from harness.offline.turn import NOTICE, OUTPUT, Turn, deliver
from harness.offline.words import stem, terms

MOST_FINDINGS = 5
"""Findings for one question; a task of several questions gets three for each."""


def act(conversation: Conversation) -> Turn:
    """Search and read until enough has been looked at, then give the findings."""
    asked = questions_of(conversation)
    calls = next_calls(conversation, asked)
    if calls:
        return Turn(f"Searching the documents for: {conversation.question[:200]}", tuple(calls))
    output = findings_of(conversation, asked)
    schema = conversation.tools.get(OUTPUT, {}).get("input_schema")
    return deliver(conversation, conforming(schema, output), _in_words(output))


def questions_of(conversation: Conversation) -> list[Question]:
    """Give what the task asks: its questions if it lists any, else the parts of its objective."""
    listed = (conversation.task or {}).get("questions")
    texts = [text.strip() for text in listed if isinstance(text, str)] if isinstance(listed, list) else []
    texts = [text for text in texts if text][:4] or sub_questions(conversation.question)[:4]
    return [Question(text[:600]) for text in dict.fromkeys(texts)]


def findings_of(conversation: Conversation, asked: Sequence[Question]) -> dict[str, Any]:
    """Give a researcher's typed output from what the conversation holds."""
    evidence = Evidence(passages(conversation.all_calls))
    findings: list[Finding] = []
    not_found: list[str] = []
    for question in asked:
        extracts = evidence.best(question, MOST_FINDINGS if len(asked) == 1 else 3)
        findings += [extract.finding for extract in extracts if extract.finding not in findings]
        not_found += gaps(conversation, evidence, question, extracts)
    cited = {citation.source for finding in findings for citation in finding.citations}
    names = {source: name for source, name in evidence.names.items() if source in cited}
    count = f"{_counted(len(findings), 'sentence')} from {_counted(len(names), 'document')}"
    return {
        "summary": f"{count} ({NOTICE}). {legend(names)}".strip(),
        "findings": [finding.model_dump(mode="json") for finding in findings],
        "conflicts": [
            f"{one.citations[0].source} and {other.citations[0].source} do not agree: "
            f'"{one.statement}" against "{other.statement}"'
            for one, other in disagreements(findings)
        ],
        "not_found": not_found,
    }


def gaps(
    conversation: Conversation, evidence: Evidence, question: Question, extracts: Sequence[Extract]
) -> list[str]:
    """Say what was not found for a question: an answer, or some of its words."""
    found: list[str] = []
    if not extracts:
        tried = "; ".join(f'"{query}"' for query in searched(conversation)[:4])
        found.append(
            f"{question.text.rstrip(' .?')}: no sentence in the documents fits closely enough"
            + (f" (searched for {tried})." if tried else ".")
        )
        failed = [call for call in conversation.calls if call.failed and call.name in (SEARCH, READ)]
        if failed:
            found.append(f"{len(failed)} of {len(conversation.calls)} calls to search or read failed.")
    unseen = evidence.unseen(question)
    if unseen and evidence.names:
        found.append(f"Not in any passage that was read: {_listed(unseen)}.")
    quoted = {
        term for extract in extracts for term in terms(f"{extract.name} {extract.heading} {extract.quote}")
    }
    unquoted = [word for word in question.search_words if word not in unseen and stem(word) not in quoted]
    if unquoted and extracts:
        found.append(f"No quote for \u201c{question.text}\u201d has the word {_listed(unquoted)}.")
    return found


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _in_words(output: Mapping[str, Any]) -> str:
    """Give the findings as text, for a turn in which no output can be given."""
    lines = [f"- {one['statement']} ({one['citations'][0]['source']})" for one in output["findings"]]
    return "\n".join([str(output["summary"]), *lines, *(f"- {gap}" for gap in output["not_found"])])
