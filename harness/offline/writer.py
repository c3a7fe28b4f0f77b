"""The writer: merges what others have found, names the documents, and writes the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.offline.conversation import Conversation, ToolUse
from harness.offline.evidence import relevant
from harness.offline.fill import NOT_DETERMINED
from harness.offline.finish import finish, found_in
from harness.offline.legend import read_legend
from harness.offline.planner import sub_questions
from harness.offline.question import Question
from harness.offline.quoted import findings_of_report
from harness.offline.report import Draft, Section, is_said
from harness.offline.search import READ, passages
from harness.offline.shapes import Finding, Verdict
from harness.offline.turn import Turn
from harness.offline.verdicts import check_note, judged

GIVEN = ("findings", "verdicts", "results")
"""Lists of a task that hold what others have found: whoever is given one, and writes, is a writer."""

MOST_PER_PART = 5
"""Findings that go with one part of a question; the others follow after the parts."""
MOST_LOOKUPS = 10
GLANCE = 200
"""Characters read of a document to learn its title."""


def act(conversation: Conversation) -> Turn:
    """Look up the titles that are not known, then write."""
    task = conversation.task or {}
    findings = _merged(task)
    names = _names(conversation, task)
    lookups = _lookups(conversation, findings, names)
    if lookups:
        return Turn("Looking up what the documents are called.", tuple(lookups))
    return finish(conversation, _draft(conversation, task, findings, names))


def _merged(task: Mapping[str, Any]) -> list[Finding]:
    """Give all findings there are, in their order, each once, however many have found it."""
    given = [*found_in(Finding, [task.get(field) for field in GIVEN])]
    for output in _outputs(task):
        if isinstance(text := output.get("text"), str):
            given += findings_of_report(text)
    kept: list[Finding] = []
    for finding in given:
        if finding.statement != NOT_DETERMINED and not is_said(finding, kept):
            kept.append(finding)
    return kept


def _outputs(task: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give what each of several agents has brought, if it has."""
    for result in _results(task):
        if isinstance(output := result.get("output"), dict):
            yield output


def _results(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    results = task.get("results")
    return [each for each in results if isinstance(each, dict)] if isinstance(results, list) else []


def _names(conversation: Conversation, task: Mapping[str, Any]) -> dict[str, str]:
    names = dict(conversation.names)
    for output in (task, *_outputs(task)):
        names |= read_legend(str(output.get("summary", "")))
    return names | {passage.source: passage.name for passage in passages(conversation.all_calls)}


def _lookups(
    conversation: Conversation, findings: Sequence[Finding], names: Mapping[str, str]
) -> list[ToolUse]:
    """Give a short reading of each cited document whose title is not known; none is tried twice."""
    if conversation.hurried or READ not in conversation.tools:
        return []
    cited = dict.fromkeys(citation.source for finding in findings for citation in finding.citations)
    tried = {call.input.get("source") for call in conversation.made(READ)}
    unknown = [source for source in cited if source not in names and source not in tried]
    return [
        ToolUse(READ, {"source": source, "offset": 0, "length": GLANCE}) for source in unknown[:MOST_LOOKUPS]
    ]


def _draft(
    conversation: Conversation, task: Mapping[str, Any], findings: list[Finding], names: Mapping[str, str]
) -> Draft:
    verdicts = {verdict.statement: verdict for verdict in found_in(Verdict, [task.get(f) for f in GIVEN])}
    refused = judged(findings, verdicts, ("refuted", "not_found"))
    kept = [finding for finding in findings if finding not in refused]
    return Draft(
        conversation.question,
        tuple(_sections(conversation.question, kept, _texts(task, "not_found"))),
        names,
        conflicts=_texts(task, "conflicts"),
        left_out=tuple(refused.values()),
        unconfirmed=tuple(judged(kept, verdicts, ("cannot_tell",)).values()),
        notes=(*([check_note(findings, verdicts)] if verdicts else []), *_troubles(task)),
    )


def _sections(question: str, findings: Sequence[Finding], gaps: tuple[str, ...]) -> list[Section]:
    """Put each finding under the part of the question that it fits best; the gaps stand with the last."""
    parts = sub_questions(question)
    if len(parts) == 1:
        return [Section(question, tuple(findings), gaps)]
    fitting = {part: relevant(Question(part), findings, MOST_PER_PART) for part in parts}
    ranks = {
        finding: min(
            (found.index(finding), nth) for nth, found in enumerate(fitting.values()) if finding in found
        )
        for finding in findings
        if any(finding in found for found in fitting.values())
    }
    sections = [
        Section(part, tuple(finding for finding in found if ranks[finding][1] == nth))
        for nth, (part, found) in enumerate(fitting.items())
    ]
    sections = [section if section.findings else _unanswered(section) for section in sections]
    left = tuple(finding for finding in findings if finding not in ranks)
    if left:
        return [*sections, Section("What else was found", left, gaps)]
    return [*sections[:-1], replace(sections[-1], gaps=(*sections[-1].gaps, *gaps))]


def _unanswered(section: Section) -> Section:
    return replace(
        section, gaps=(f"{section.question.rstrip(' .?')}: nothing that was found fits it closely.",)
    )


def _texts(task: Mapping[str, Any], field: str) -> tuple[str, ...]:
    """Give the texts of a list, from the task itself and from what each agent has brought."""
    lists = [each.get(field) for each in (task, *_outputs(task))]
    texts = [text for each in lists if isinstance(each, list) for text in each if isinstance(text, str)]
    return tuple(dict.fromkeys(texts))


def _troubles(task: Mapping[str, Any]) -> list[str]:
    return [
        f"{each.get('source', 'One agent')} brought no result: "
        f"{' '.join(str(each.get('problem') or 'no reason was given').split()).rstrip('.')}."
        for each in _results(task)
        if each.get("status") != "done"
    ]
