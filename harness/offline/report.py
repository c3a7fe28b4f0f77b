"""The report in Markdown: a short answer, a section for each part of the question, gaps, and the sources.

Every sentence taken from a document carries a number, and every number has a line under `## Sources`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.offline.conflicts import disagreements
from harness.offline.question import Question
from harness.offline.shapes import Citation, Finding
from harness.offline.turn import NOTICE
from harness.offline.words import kin, stem, terms

LONGEST_TITLE = 140

_NOT_ANSWERED = "The documents do not answer this, as far as the overlap of words can tell."
_NEAREST = "No sentence has all the words of the question; these come nearest. "
_NOT_RESEARCHED = "This is not answered: no research has brought a result that can be used."


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
    unconfirmed: tuple[str, ...] = ()
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
        nearest = "" if any(map(_has_all_words, draft.sections)) else _NEAREST
        parts.append(nearest + " ".join(sources.cited(finding) for finding in shortly))
    else:
        failed = not draft.sections or any(section.problem for section in draft.sections)
        parts.append(_NOT_RESEARCHED if failed else _NOT_ANSWERED)
    said = list(shortly)
    if len(draft.sections) == 1 and not draft.sections[0].problem:
        more = [finding for finding in draft.sections[0].findings if not is_said(finding, said)]
        parts += _listed("More from the documents", [sources.cited(finding) for finding in more])
    else:
        for section in draft.sections:
            parts += [f"## {title_of(section.question)}", _section(section, said, sources)]
    parts += _listed("Where the documents disagree", _conflicts(draft, sources))
    parts += _listed("Left out after checking", draft.left_out)
    parts += _listed("Not confirmed by the check", draft.unconfirmed)
    gaps = [gap for section in draft.sections for gap in section.gaps]
    if not gaps and all(section.findings for section in draft.sections):
        gaps = ["Every part has a quote; whether the quotes are the answer, only a reader can tell."]
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

    def marker(self, findings: Sequence[Finding]) -> str:
        """Give the numbers of some findings' quotes, as in "[1, 3]"; empty when they have none."""
        cited = list(dict.fromkeys(citation for finding in findings for citation in finding.citations))
        self._cited += [citation for citation in cited if citation not in self._cited]
        numbers = sorted(self._cited.index(citation) + 1 for citation in cited)
        return f"[{', '.join(map(str, numbers))}]" if numbers else ""

    def cited(self, finding: Finding) -> str:
        """Give a statement with the numbers of its quotes."""
        text = " ".join(finding.statement.split())
        marker = f" {self.marker([finding])}".rstrip()
        ends = text.endswith(".") and not text.endswith("..")
        return f"{text[:-1]}{marker}." if ends else f"{text}{marker}"

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
    """Take the best finding of each part; when that is only one, the next best as well."""
    best: list[Finding] = []
    firsts = [finding for section in draft.sections for finding in section.findings[:1]]
    others = [finding for section in draft.sections for finding in section.findings[1:]]
    for finding in firsts:
        if not is_said(finding, best):
            best.append(finding)
    if len(best) == 1:
        best += [finding for finding in others if not is_said(finding, best)][:1]
    return best


def _has_all_words(section: Section) -> bool:
    """Whether the best finding has each word that names the subject, or one that may stand for it."""
    said = {term for finding in section.findings[:1] for term in terms(finding.statement)}
    asked = {stem(word) for word in Question(section.question).search_words}
    return all(term in said or kin(term) & said for term in asked)


def _section(section: Section, said: list[Finding], sources: _Sources) -> str:
    """Write a part's problem and what it adds to what has been said; add that to `said`."""
    above = [one for finding in section.findings for one in said if is_said(finding, [one])]
    lines: list[str] = []
    for finding in section.findings:
        if not is_said(finding, said):
            said.append(finding)
            lines.append(f"- {sources.cited(finding)}")
    if above:
        lines.append(f"- {'See also' if lines else 'See'} above: {sources.marker(above)}.")
    paragraphs = [section.problem, "\n".join(lines)]
    return "\n\n".join(text for text in paragraphs if text) or "Nothing was found."


def is_said(finding: Finding, said: Sequence[Finding]) -> bool:
    """Whether one of the findings said has the same words, or quotes all that this one quotes."""
    return any(
        finding.statement == other.statement
        or (bool(finding.citations) and all(_is_quoted(one, other.citations) for one in finding.citations))
        for other in said
    )


def _is_quoted(citation: Citation, others: Sequence[Citation]) -> bool:
    quote = _folded(citation.quote)
    return any(citation.source == other.source and quote in _folded(other.quote) for other in others)


def _folded(text: str) -> str:
    return " ".join(text.split())


def _conflicts(draft: Draft, sources: _Sources) -> list[str]:
    findings = [finding for section in draft.sections for finding in section.findings]
    every = list({finding.statement: finding for finding in findings}.values())
    found = [f"{sources.cited(one)} But: {sources.cited(other)}" for one, other in disagreements(every)]
    known = [one.statement for pair in disagreements(every) for one in pair]
    return found + [text for text in draft.conflicts if not any(statement in text for statement in known)]


def _listed(heading: str, lines: list[str] | tuple[str, ...]) -> list[str]:
    return [f"## {heading}", "\n".join(f"- {' '.join(line.split())}" for line in lines)] if lines else []
