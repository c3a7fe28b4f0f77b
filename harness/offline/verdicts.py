"""What a check made of the findings, as a report tells it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from harness.offline.shapes import Finding, Verdict


def judged(
    findings: Sequence[Finding], verdicts: Mapping[str, Verdict], words: Collection[str]
) -> dict[Finding, str]:
    """Give the findings whose verdict is one of these words, each with a sentence that says why."""
    return {
        finding: f"{finding.statement} ({verdict.verdict.replace('_', ' ')}: {verdict.reason})"
        for finding in findings
        if (verdict := verdicts.get(finding.statement)) and verdict.verdict in words
    }


def check_note(every: Sequence[Finding], verdicts: Mapping[str, Verdict]) -> str:
    """Say in a sentence how much of what was found a check has confirmed."""
    given = [verdicts[finding.statement] for finding in every if finding.statement in verdicts]
    supported = sum(verdict.verdict == "supported" for verdict in given)
    if not given:
        return "The quotes were not checked a second time."
    if supported == len(every):
        return "A second check found every quote in its source."
    return f"A second check confirmed {supported} of {len(every)} findings."
