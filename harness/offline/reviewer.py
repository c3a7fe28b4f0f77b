"""The reviewer: looks whether the quotes of an answer stand in their documents. More it cannot judge."""

from __future__ import annotations

from harness.offline.checker import lookups, where
from harness.offline.conversation import Conversation
from harness.offline.fill import conforming
from harness.offline.finish import found_in
from harness.offline.lines import stitched
from harness.offline.quoted import findings_of_report
from harness.offline.search import passages
from harness.offline.shapes import Citation, Finding
from harness.offline.turn import NOTICE, OUTPUT, Turn, deliver


def act(conversation: Conversation) -> Turn:
    """Look the quotes up, then pass an answer whose quotes all stand there, and abstain from any other."""
    answer = (conversation.task or {}).get("output")
    claims = findings_of_report(answer) if isinstance(answer, str) else [*found_in(Finding, answer)]
    calls = lookups(conversation, claims)
    if calls:
        return Turn("Looking up the quotes in their sources.", tuple(calls))
    verdict, problem = _verdict(conversation, claims)
    said = f"{problem} Nothing else was judged ({NOTICE})."
    schema = conversation.tools.get(OUTPUT, {}).get("input_schema")
    output = {"verdict": verdict, "problem": said}
    return deliver(conversation, conforming(schema, output), f"{verdict}: {said}")


def _verdict(conversation: Conversation, claims: list[Finding]) -> tuple[str, str]:
    quoted = dict.fromkeys(one for claim in claims for one in claim.citations if one.quote.strip())
    if not quoted:
        return "abstain", "The answer has no quote that could be looked up."
    seen = stitched(passages(conversation.all_calls))
    lost: list[Citation] = [citation for citation in quoted if where(citation, seen) is None]
    if lost:
        labels = ", ".join(dict.fromkeys(citation.source for citation in lost))
        return "abstain", f"{len(lost)} of {len(quoted)} quotes were not found in what was read of {labels}."
    return "pass", f"Every quote stands in its document, {len(quoted)} in all."
