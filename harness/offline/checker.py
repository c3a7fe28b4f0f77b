"""The fact checker: for each claim it finds the cited document and looks whether the quote stands there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from harness.offline.conflicts import contradict
from harness.offline.conversation import Call, Conversation, ToolUse
from harness.offline.extract import HEADING_REACH
from harness.offline.fill import conforming
from harness.offline.lines import stitched
from harness.offline.search import HITS, READ, SEARCH, passages
from harness.offline.shapes import Citation, Finding, Passage, each
from harness.offline.turn import OUTPUT, Turn, deliver
from harness.offline.words import is_common, terms, words

COVERED = 0.6
"""Share of a statement's words that its quote must have to be called its support."""
MOST_SEARCHES = 12
MOST_READS = 6
WINDOW = 8000
"""Characters of a document read at once."""


def act(conversation: Conversation) -> Turn:
    """Look for the quotes that are not yet found, then give the verdicts."""
    claims = each(Finding, (conversation.task or {}).get("claims"))
    calls = lookups(conversation, claims)
    if calls:
        return Turn("Looking up the quotes in their sources.", tuple(calls))
    verdicts = [_verdict(claim, conversation) for claim in claims]
    schema = conversation.tools.get(OUTPUT, {}).get("input_schema")
    text = "\n".join(f"- {one['verdict']}: {one['statement']} ({one['reason']})" for one in verdicts)
    return deliver(
        conversation, conforming(schema, {"verdicts": verdicts}), text or "There were no claims to check."
    )


def lookups(conversation: Conversation, claims: Sequence[Finding]) -> list[ToolUse]:
    """Give the calls that look for the quotes not found yet.

    Search for each first; where that fails, read its document from the start, a window at a time.
    """
    if conversation.hurried:
        return []
    seen = stitched(passages(conversation.all_calls))
    missing = [
        citation
        for claim in claims
        for citation in claim.citations
        if citation.quote.strip() and where(citation, seen) is None
    ]
    searches, reads = conversation.made(SEARCH), conversation.made(READ)
    calls: list[ToolUse] = []
    if SEARCH in conversation.tools:
        made = {call.input.get("query") for call in searches}
        queries = dict.fromkeys(filter(None, (_query(citation.quote) for citation in missing)))
        calls = [ToolUse(SEARCH, {"query": query, "limit": HITS}) for query in queries if query not in made]
        calls = calls[: max(0, MOST_SEARCHES - len(searches))]
    if not calls and READ in conversation.tools and len(reads) < MOST_READS:
        offsets = {citation.source: _unread(citation, reads, seen) for citation in missing}
        calls = [
            ToolUse(READ, {"source": source, "offset": offset, "length": WINDOW})
            for source, offset in offsets.items()
            if offset is not None
        ][: MOST_READS - len(reads)]
    return calls


def _query(quote: str) -> str:
    """Give the words of a quote that tell it best, in its order."""
    telling = [word for word in words(quote) if not is_common(word)]
    longest = set(sorted(telling, key=len, reverse=True)[:6])
    return " ".join(dict.fromkeys(word for word in telling if word in longest))


def _unread(citation: Citation, reads: Sequence[Call], seen: Sequence[Passage]) -> int | None:
    """Give where to read on in a quote's document; None when all of it is read, or nothing can be.

    First around the passage that shares the most words with the quote, then from the start to the end.
    """
    own = [call for call in reads if call.input.get("source") == citation.source]
    quoted = set(terms(citation.quote))
    alike = [
        (len(shared), passage.offset)
        for passage in seen
        if passage.source == citation.source
        and len(shared := quoted & set(terms(passage.text))) * 2 > len(quoted)
    ]
    if not own:
        return max(0, max(alike)[1] - WINDOW // 4) if alike else 0
    if not any(call.input.get("offset") == 0 for call in own):
        return 0
    read = passages(own[-1:])
    return read[0].next_offset if read else None


def _verdict(claim: Finding, conversation: Conversation) -> dict[str, Any]:
    seen = stitched(passages(conversation.all_calls))
    found = [citation for citation in claim.citations if where(citation, seen) is not None]
    quoted = [citation for citation in claim.citations if citation.quote.strip()]
    if not quoted:
        verdict, reason = "cannot_tell", "The claim has no quote that could be looked up."
    elif found:
        verdict, reason = _judge(claim, found, seen)
        if len(found) < len(quoted):
            reason += f" {len(quoted) - len(found)} of its quotes were not found."
    elif all(_read_whole(citation, conversation.made(READ), seen) for citation in quoted):
        verdict, reason = "not_found", f"The quote does not stand in {_labels(quoted)}."
    else:
        verdict, reason = "cannot_tell", f"The quote is not in what could be read of {_labels(quoted)}."
    return {
        "statement": claim.statement,
        "verdict": verdict,
        "reason": reason,
        "citations": [citation.model_dump(mode="json") for citation in found],
    }


def _judge(claim: Finding, found: Sequence[Citation], seen: Sequence[Passage]) -> tuple[str, str]:
    """Compare a claim with the quotes that do stand in their documents, and the text right above them."""
    quoted = " ".join(citation.quote for citation in found)
    above = " ".join(_above(citation, seen) for citation in found)
    stated = set(terms(claim.statement))
    if contradict(claim.statement, quoted):
        return "refuted", f"The quote stands in {_labels(found)}, but it says otherwise than the claim."
    if len(stated & set(terms(f"{above} {quoted}"))) < COVERED * len(stated):
        return "cannot_tell", f"The quote in {_labels(found)} does not carry the claim by its words alone."
    return "supported", f"The quote stands word for word in {_labels(found)}."


def _above(citation: Citation, seen: Sequence[Passage]) -> str:
    passage = where(citation, seen)
    head = _folded(passage.text).partition(_folded(citation.quote))[0] if passage else ""
    return head[-HEADING_REACH:]


def _read_whole(citation: Citation, reads: Sequence[Call], seen: Sequence[Passage]) -> bool:
    """Whether the cited document was read from its start to its end."""
    own = [call for call in reads if call.input.get("source") == citation.source]
    return bool(passages(own[-1:])) and _unread(citation, reads, seen) is None


def _labels(citations: Sequence[Citation]) -> str:
    return ", ".join(dict.fromkeys(citation.source for citation in citations))


def where(citation: Citation, seen: Sequence[Passage]) -> Passage | None:
    """Give the passage of the cited document in which the quote stands, white space aside."""
    quote = _folded(citation.quote)
    own = (passage for passage in seen if passage.source == citation.source)
    return next((passage for passage in own if quote in _folded(passage.text)), None)


def _folded(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
