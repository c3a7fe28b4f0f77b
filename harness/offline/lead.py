"""The lead: parts the question, delegates the parts, has the quotes checked, and writes the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.offline.conversation import Conversation
from harness.offline.delegation import Delegated, bundle_like, bundles, delegate, delegated
from harness.offline.evidence import relevant
from harness.offline.finish import finish
from harness.offline.legend import read_legend
from harness.offline.planner import sub_questions
from harness.offline.question import Question
from harness.offline.report import Draft, Section
from harness.offline.shapes import Finding, Verdict, each
from harness.offline.turn import Turn

MOST_CLAIMS = 16
"""Claims given to the fact checker; later ones go into the report as not checked."""
MOST_REUSED = 3
"""Findings of an earlier question that may serve a new one."""


def act(conversation: Conversation) -> Turn:
    """Take the next step: delegate the parts, delegate the check, or write the report."""
    tasks = delegated(conversation.calls)
    research = [task for task in tasks if not _is_check(task)]
    checks = [task for task in tasks if _is_check(task)]
    if not research and not conversation.hurried:
        researcher = bundle_like(conversation, "researcher") or next(
            iter(_others(conversation)), "researcher"
        )
        parts = sub_questions(conversation.question)
        inputs = [_task_input(conversation.question, part, parts) for part in parts]
        said = f"Plan: {len(parts)} task{'s' * (len(parts) != 1)} for {researcher}: " + " / ".join(parts)
        return Turn(said, (delegate(conversation, researcher, inputs),))
    sections = _sections(research)
    checker = bundle_like(conversation, "factchecker")
    claims = [finding for section in sections for finding in section.findings if finding.citations][
        :MOST_CLAIMS
    ]
    if checker and claims and not checks and not conversation.hurried:
        given = {"claims": [claim.model_dump(mode="json") for claim in claims]}
        return Turn(
            f"Checking {len(claims)} quotes against their sources.",
            (delegate(conversation, checker, [given]),),
        )
    return finish(conversation, _draft(conversation, sections, research, checks))


def _is_check(task: Delegated) -> bool:
    return isinstance(task.input.get("claims"), list)


def _others(conversation: Conversation) -> list[str]:
    checker = bundle_like(conversation, "factchecker")
    return [name for name in bundles(conversation) if name != checker]


def _task_input(question: str, part: str, parts: Sequence[str]) -> dict[str, Any]:
    """Give a task in the form every researcher takes: one objective, and all it needs to know around it."""
    others = [other for other in parts if other != part]
    whole = " ".join(question.split())
    return {
        "objective": part,
        "questions": [part],
        "background": f"It is part of the question: {whole}" if others else "",
        "expected_output": "Findings with verbatim quotes, conflicts, and what was not found.",
        "sources": "The documents of this session.",
        "scope": f"Leave to other tasks: {' / '.join(others)}" if others else "",
    }


def _sections(research: Sequence[Delegated]) -> list[Section]:
    sections = []
    for task in research:
        output = task.result.output if isinstance(task.result.output, dict) else {}
        missing = output.get("not_found")
        sections.append(
            Section(
                question=str(task.input.get("objective") or task.input.get("question") or task.to),
                findings=tuple(each(Finding, output.get("findings"))),
                gaps=tuple(gap for gap in missing if isinstance(gap, str))
                if isinstance(missing, list)
                else (),
                problem=_problem(task),
            )
        )
    return sections


def _problem(task: Delegated) -> str:
    if task.result.status == "done":
        return "" if isinstance(task.result.output, dict) else f"The result of {task.to} could not be read."
    word = {"needs_help": "stopped early", "cancelled": "was cancelled"}.get(task.result.status, "failed")
    reason = " ".join((task.result.problem or "no reason was given").split()).rstrip(".")
    return f"This task of {task.to} {word}: {reason}."


def _draft(
    conversation: Conversation,
    sections: list[Section],
    research: Sequence[Delegated],
    checks: Sequence[Delegated],
) -> Draft:
    names = dict(conversation.names)
    conflicts: list[str] = []
    for task in (*delegated(conversation.earlier), *research):
        output = task.result.output if isinstance(task.result.output, dict) else {}
        names |= read_legend(str(output.get("summary", "")))
        own = output.get("conflicts") if task in research else None
        conflicts += [text for text in own if isinstance(text, str)] if isinstance(own, list) else []
    kept, left_out, notes = _checked(sections, checks)
    reused = _reused(conversation, kept)
    if reused:
        kept = [*kept, Section("From what was found before", tuple(reused))]
    return Draft(conversation.question, tuple(kept), names, tuple(conflicts), tuple(left_out), tuple(notes))


def _checked(
    sections: list[Section], checks: Sequence[Delegated]
) -> tuple[list[Section], list[str], list[str]]:
    """Apply the verdicts: what was refuted or not found is left out, and said so."""
    every = [finding for section in sections for finding in section.findings]
    if not every:
        return sections, [], []
    verdicts: dict[str, Verdict] = {}
    problems = [_problem(task) for task in checks if _problem(task)]
    for task in checks:
        output = task.result.output if isinstance(task.result.output, dict) else {}
        verdicts |= {verdict.statement: verdict for verdict in each(Verdict, output.get("verdicts"))}
    refused = {text for text, verdict in verdicts.items() if verdict.verdict in ("refuted", "not_found")}
    kept = [
        Section(
            section.question,
            tuple(finding for finding in section.findings if finding.statement not in refused),
            section.gaps,
            section.problem,
        )
        for section in sections
    ]
    left_out = [
        f"{finding.statement} ({verdicts[finding.statement].verdict.replace('_', ' ')}: "
        f"{verdicts[finding.statement].reason})"
        for finding in dict.fromkeys(every)
        if finding.statement in refused
    ]
    return kept, left_out, [_check_note(every, verdicts), *problems]


def _check_note(every: Sequence[Finding], verdicts: dict[str, Verdict]) -> str:
    statements = list(dict.fromkeys(finding.statement for finding in every))
    supported = sum(verdicts[text].verdict == "supported" for text in statements if text in verdicts)
    if not verdicts:
        return "The quotes were not checked a second time."
    if supported == len(statements):
        return "A second check found every quote in its source."
    return f"A second check found {supported} of {len(statements)} quotes in their sources."


def _reused(conversation: Conversation, sections: Sequence[Section]) -> list[Finding]:
    """Give findings of earlier questions that fit the new one and are not there already."""
    present = {finding.statement for section in sections for finding in section.findings}
    before = [
        finding
        for task in delegated(conversation.earlier)
        if isinstance(task.result.output, dict)
        for finding in each(Finding, task.result.output.get("findings"))
        if finding.statement not in present
    ]
    return relevant(Question(conversation.question), list(dict.fromkeys(before)), MOST_REUSED)
