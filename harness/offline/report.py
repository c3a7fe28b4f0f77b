"""The report in Markdown: a short answer, a section for each part of the question, gaps, and the sources.

Every sentence taken from a document carries a number, and every number has a line under `## Sources`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.offline.conflicts import disagreements
from harness.offline.shapes import Citation, Finding
from harness.offline.turn import NOTICE

LONGEST_TITLE = 140


@dataclass(frozen=True)
class Section:
    """One part of the question: its findings, best first, what was missing, and what went wrong."""

    question: str
    findings: tuple[Finding, ...] = ()
    gaps: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Draft:
    """Everything a report is made of; `names` gives the documents' titles by label."""

    question: str
    sections: tuple[Section, ...]
    names: Mapping[str, str] = field(default_factory=dict)
    conflicts: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def title_of(question: str) -> str:
    """Give a question as a title of one line."""
    text = " ".join(question.split()).strip("# ")
    return text if len(text) <= LONGEST_TITLE else text[: LONGEST_TITLE - 1].rsplit(" ", 1)[0] + "…"


def markdown(draft: Draft) -> str:
    """Write the report."""
    sources = _Sources(draft.names)
    shortly = _short_answer(draft)
    parts = [f"# {title_of(draft.question) or 'Report'}", _preface(draft), "## Short answer"]
    if shortly:
        parts.append(" ".join(sources.cited(finding) for finding in shortly))
    else:
        parts.append("The documents do not answer this, as far as the overlap of words can tell.")
    single = len(draft.sections) == 1
    for section in draft.sections:
        body = _section(section, shortly, sources, single=single)
        if body:
            heading = "More from the documents" if single and not section.problem else title_of(section.question)
            parts += [f"## {heading}", body]
    parts += _listed("Where the documents disagree", _conflicts(draft, sources))
    parts += _listed("Left out after checking", draft.left_out)
    gaps = [gap for section in draft.sections for gap in section.gaps]
    if not gaps and all(section.findings for section in draft.sections):
        gaps = ["Each part of the question has at least one quote; whether it is the whole answer, only a reader can tell."]
    parts += _listed("What could not be found", list(dict.fromkeys(gaps)))
    return "\n\n".join([*parts, "## Sources", sources.lines() or "No document is cited."]) + "\n"


def short_answer(draft: Draft) -> str:
    """Give the short answer without numbers, for where a report does not fit."""
    return " ".join(finding.statement for finding in _short_answer(draft))


class _Sources:
    """Numbers the quotes as they are cited: one number for one quote of one document."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._cited: list[Citation] = []

    def cited(self, finding: Finding) -> str:
        """Give a statement with the numbers of its quotes."""
        numbers = []
        for citation in finding.citations:
            if citation not in self._cited:
                self._cited.append(citation)
            numbers.append(self._cited.index(citation) + 1)
        marker = f" [{', '.join(map(str, numbers))}]" if numbers else ""
        text = " ".join(finding.statement.split())
        return f"{text[:-1]}{marker}." if text.endswith(".") and not text.endswith("..") else f"{text}{marker}"

    def lines(self) -> str:
        """Give one line for each number."""
        lines = []
        for number, citation in enumerate(self._cited, start=1):
            quote = " ".join(citation.quote.split())
            name = self._names.get(citation.source, citation.source)
            lines.append(f"[{number}] {citation.source}, {name}" + (f': "{quote}"' if quote else ""))
        return "\n".join(lines)


def _preface(draft: Draft) -> str:
    lead = f"Made {NOTICE}. Every sentence with a number is taken from the documents."
    return " ".join([lead, *draft.notes])


def _short_answer(draft: Draft) -> list[Finding]:
    """Take the best finding of each part; of a question in one part, the best two."""
    if len(draft.sections) == 1:
        return list(draft.sections[0].findings[:2])
    best = [finding for section in draft.sections for finding in section.findings[:1]]
    return list({finding.statement: finding for finding in best}.values())


def _section(section: Section, shortly: list[Finding], sources: _Sources, *, single: bool) -> str:
    problem = [section.problem] if section.problem else []
    more = [f"- {sources.cited(finding)}" for finding in section.findings if finding not in shortly]
    if not more and not problem and not single:
        said = "Nothing beyond the short answer" if section.findings else "Nothing was found"
        cited = [finding for finding in section.findings if finding in shortly]
        return f"{sources.cited(cited[0].model_copy(update={'statement': said + '.'}))}" if cited else f"{said}."
    return "\n\n".join([*problem, *(["\n".join(more)] if more else [])])


def _conflicts(draft: Draft, sources: _Sources) -> list[str]:
    every = list({finding.statement: finding for section in draft.sections for finding in section.findings}.values())
    found = [f"{sources.cited(one)} But: {sources.cited(other)}" for one, other in disagreements(every)]
    known = [one.statement for pair in disagreements(every) for one in pair]
    return found + [text for text in draft.conflicts if not any(statement in text for statement in known)]


def _listed(heading: str, lines: list[str] | tuple[str, ...]) -> list[str]:
    return [f"## {heading}", "\n".join(f"- {' '.join(line.split())}" for line in lines)] if lines else []
