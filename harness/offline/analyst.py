"""The agent that works alone: it searches, reads, and writes the report or fills its typed output."""

from __future__ import annotations

from harness.offline.conversation import Conversation
from harness.offline.evidence import Evidence
from harness.offline.finish import finish, found_in
from harness.offline.legend import read_legend
from harness.offline.planner import sub_questions
from harness.offline.question import Question
from harness.offline.report import Draft, Section
from harness.offline.researcher import MOST_FINDINGS, gaps
from harness.offline.search import SEARCH, next_calls, passages
from harness.offline.shapes import Finding
from harness.offline.turn import Turn


def act(conversation: Conversation) -> Turn:
    """Search and read until enough has been looked at, then hand in the report."""
    asked = [Question(part) for part in sub_questions(conversation.question)]
    calls = next_calls(conversation, asked)
    if calls:
        return Turn(f"Searching the documents for: {conversation.question[:200]}", tuple(calls))
    return finish(conversation, _draft(conversation, asked))


def _draft(conversation: Conversation, asked: list[Question]) -> Draft:
    evidence = Evidence(passages(conversation.all_calls))
    given = list(dict.fromkeys(found_in(Finding, conversation.task)))
    sections: list[Section] = []
    used: set[str] = set()
    for question in asked:
        extracts = evidence.best(question, MOST_FINDINGS if len(asked) == 1 else 3)
        findings = [extract.finding for extract in extracts if extract.statement not in used]
        used.update(finding.statement for finding in findings)
        missing = gaps(conversation, evidence, question, extracts)
        sections.append(Section(question.text, tuple(findings), tuple(missing)))
    if given:
        sections = [section for section in sections if section.findings]
        sections.append(Section("From the findings given", tuple(given)))
    names = (
        dict(conversation.names)
        | read_legend(str((conversation.task or {}).get("summary", "")))
        | evidence.names
    )
    notes = (
        () if evidence.names or given or SEARCH not in conversation.tools else ("No passage could be read.",)
    )
    return Draft(conversation.question, tuple(sections), names, notes=notes)
