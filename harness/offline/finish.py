"""Handing in a report: as text, or in the fields of whatever typed output an agent has to give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.offline.conversation import Conversation
from harness.offline.fill import NOT_DETERMINED, conforming
from harness.offline.report import Draft, markdown, short_answer, title_of
from harness.offline.shapes import Kind, each
from harness.offline.turn import OUTPUT, Turn, deliver

_FIELDS = {
    "report": "report markdown document article draft body text content",
    "answer": "summary answer short_answer conclusion abstract result overview response",
    "title": "title headline heading topic name",
    "statements": "statements claims key_points points highlights facts bullets items",
    "findings": "findings evidence results",
    "gaps": "not_found missing gaps open_questions unknowns limitations",
    "conflicts": "conflicts contradictions disagreements",
    "statement": "statement claim finding fact",
    "question": "question objective query",
    "citations": "citations sources references",
    "source": "source",
    "quote": "quote",
}
"""By which names an output's fields are known; what they hold is said in `known_from`."""


def finish(conversation: Conversation, draft: Draft) -> Turn:
    """End an agent's work with a report, or with its typed output filled from the report."""
    report = markdown(draft)
    if OUTPUT not in conversation.tools:
        return Turn(report)
    schema = conversation.tools[OUTPUT].get("input_schema")
    fields = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(fields, dict) or not fields:
        return deliver(conversation, {"report": report}, report)
    shared = {name: item for name, item in (conversation.task or {}).items() if name in fields}
    return deliver(conversation, conforming(schema, shared, known_from(draft)), report)


def known_from(draft: Draft) -> dict[str, Any]:
    """Give what a report knows, under every name a field may have for it."""
    findings = [finding for section in draft.sections for finding in section.findings]
    best = findings[0] if findings else None
    values: dict[str, Any] = {
        "report": markdown(draft),
        "answer": short_answer(draft) or NOT_DETERMINED,
        "title": title_of(draft.question),
        "statements": [finding.statement for finding in findings[:8]],
        "findings": [finding.model_dump(mode="json") for finding in findings[:8]],
        "gaps": [gap for section in draft.sections for gap in section.gaps],
        "conflicts": list(draft.conflicts),
        "statement": best.statement if best else NOT_DETERMINED,
        "question": draft.question,
        "citations": [one.model_dump(mode="json") for finding in findings[:8] for one in finding.citations],
        "source": best.citations[0].source if best and best.citations else NOT_DETERMINED,
        "quote": best.citations[0].quote if best and best.citations else "",
    }
    return {name: values[meaning] for meaning, names in _FIELDS.items() for name in names.split()}


def found_in(kind: type[Kind], value: object, depth: int = 0) -> Iterator[Kind]:
    """Give what has the shape of `kind`, like findings, wherever it stands in a typed input."""
    if isinstance(value, dict) and depth < 8:
        own = each(kind, [value])
        if own:
            yield own[0]
        else:
            for item in value.values():
                yield from found_in(kind, item, depth + 1)
    elif isinstance(value, (list, tuple)) and depth < 8:
        for item in value:
            yield from found_in(kind, item, depth + 1)
