"""The lead: parts the question, delegates the parts, has the quotes checked, and writes the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.offline.conversation import Conversation
from harness.offline.delegation import DELEGATE, Delegated, bundle_like, bundles, delegate, delegated
from harness.offline.evidence import relevant
from harness.offline.finish import finish
from harness.offline.legend import read_legend
from harness.offline.planner import sub_questions
from harness.offline.question import Question
from harness.offline.report import Draft, Section
from harness.offline.shapes import Finding, Verdict, each
from harness.offline.turn import Turn
from harness.offline.verdicts import check_note, judged

MOST_CLAIMS = 16
"""Claims given to the fact checker; later ones go into the report as not checked."""
MOST_REUSED = 3
"""Findings of an earlier question that may serve a new one."""


def act(conversation: Conversation) -> Turn:
    """Take the next step: delegate the parts, delegate the check, or write the report."""
    tasks = delegated(conversation.calls)
    research = [task for task in tasks if not _is_check(task)]
    checks = [task for task in tasks if _is_check(task)]
    may_delegate = DELEGATE in conversation.tools and not conversation.hurried
    if not research and may_delegate:
        return _plan(conversation)
    sections = _sections(research)
    claims = [finding for section in sections for finding in section.findings if finding.citations]
    claims = list(dict.fromkeys(claims))[:MOST_CLAIMS]
    checker = bundle_like(conversation, "factchecker")
    if checker and claims and not checks and may_delegate:
        given = {"claims": [claim.model_dump(mode="json") for claim in claims]}
        said = f"Checking {len(claims)} finding{'s' * (len(claims) != 1)} against the sources."
        return Turn(said, (delegate(conversation, checker, [given]),))
    return finish(conversation, _draft(conversation, sections, research, checks))


def _plan(conversation: Conversation) -> Turn:
    """Hand the parts of the question to the researcher, or to the first bundle that is no checker."""
    checker = bundle_like(conversation, "factchecker")
    others = [name for name in bundles(conversation) if name != checker]
    researcher = bundle_like(conversation, "researcher") or next(iter(others), "researcher")
    parts = sub_questions(conversation.question)
    inputs = [_task_input(conversation.question, part, parts) for part in parts]
    said = f"Plan: {len(parts)} task{'s' * (len(parts) != 1)} for {researcher}: " + " / ".join(parts)
    return Turn(said, (delegate(conversation, researcher, inputs),))


def _is_check(task: Delegated) -> bool:
    return isinstance(task.input.get("claims"), list)


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
    return [
        Section(
            question=str(task.input.get("objective") or task.input.get("question") or task.to),
            findings=tuple(each(Finding, _output(task).get("findings"))),
            gaps=_texts(_output(task).get("not_found")),
            problem=_problem(task),
        )
        for task in research
    ]


def _output(task: Delegated) -> Mapping[str, Any]:
    return task.result.output if isinstance(task.result.output, dict) else {}


def _texts(values: object) -> tuple[str, ...]:
    return tuple(value for value in values if isinstance(value, str)) if isinstance(values, list) else ()


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
    for task in (*delegated(conversation.earlier), *research):
        names |= read_legend(str(_output(task).get("summary", "")))
    every = list(dict.fromkeys(finding for section in sections for finding in section.findings))
    verdicts = {
        verdict.statement: verdict
        for task in checks
        for verdict in each(Verdict, _output(task).get("verdicts"))
    }
    refused = judged(every, verdicts, ("refuted", "not_found"))
    kept = [
        replace(section, findings=tuple(one for one in section.findings if one not in refused))
        for section in sections
    ]
    reused = _reused(conversation, every)
    if reused:
        kept.append(Section("From what was found before", tuple(reused)))
    notes = [check_note(every, verdicts)] if every else []
    return Draft(
        conversation.question,
        tuple(kept),
        names,
        conflicts=tuple(text for task in research for text in _texts(_output(task).get("conflicts"))),
        left_out=tuple(refused.values()),
        unconfirmed=tuple(judged(every, verdicts, ("cannot_tell",)).values()),
        notes=(*notes, *filter(None, map(_problem, checks))),
    )


def _reused(conversation: Conversation, present: Sequence[Finding]) -> list[Finding]:
    """Give findings of earlier questions that fit the new one and are not there already."""
    before = [
        finding
        for task in delegated(conversation.earlier)
        for finding in each(Finding, _output(task).get("findings"))
        if finding not in present
    ]
    return relevant(Question(conversation.question), list(dict.fromkeys(before)), MOST_REUSED)
