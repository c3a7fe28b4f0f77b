"""The findings that a finished report stands for: each quote under its Sources, as a statement of its own."""

from __future__ import annotations

from harness.citations import citations
from harness.offline.shapes import Citation, Finding


def findings_of_report(report: str) -> list[Finding]:
    """Give one finding for each quote that a Markdown report lists under its Sources."""
    return [
        Finding(
            statement=" ".join(one.quote.split()), citations=(Citation(source=one.source, quote=one.quote),)
        )
        for one in citations(report)
        if one.source and one.quote and one.quote.strip()
    ]
