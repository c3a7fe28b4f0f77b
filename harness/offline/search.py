"""Which documents to search and read next, for one or several questions, and what has come back so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.offline.conversation import Call, Conversation, ToolUse
from harness.offline.evidence import Evidence
from harness.offline.question import Question
from harness.offline.shapes import Passage, each

SEARCH = "mcp__corpus__search"
READ = "mcp__corpus__read"

HITS = 10
"""Passages asked for in one search."""
WINDOW = 4000
"""Characters asked for in one reading, of which a quarter stand before the hit."""
MOST_SEARCHES = 8
MOST_READS = 3


def passages(calls: Iterable[Call]) -> list[Passage]:
    """Give every passage that searches and readings have returned, oldest first."""
    found: list[Passage] = []
    for call in calls:
        data = call.data if call.name in (SEARCH, READ) else None
        if isinstance(data, dict):
            found += each(Passage, data.get("hits") if call.name == SEARCH else [data])
    return found


def searched(conversation: Conversation) -> list[str]:
    """Give the queries made since the question was asked, each once."""
    return list(dict.fromkeys(str(call.input.get("query", "")) for call in conversation.made(SEARCH)))


def next_calls(conversation: Conversation, asked: Sequence[Question]) -> list[ToolUse]:
    """Give the searches and readings to make now; none when enough has been looked at.

    Three rounds at most: two phrasings of each question; then the most distinctive words, and reading
    around the best passages; then a last search for each question that still has no answer.
    """
    if conversation.hurried or SEARCH not in conversation.tools:
        return []
    phrasings = [_phrasings(question) for question in asked]
    first = _pending(conversation, [query for queries in phrasings for query in queries[:2]])
    if first:
        return first
    evidence = Evidence(passages(conversation.all_calls))
    second = _pending(conversation, [query for queries in phrasings for query in queries[2:3]])
    second += _readings(conversation, asked, evidence)
    if second:
        return second
    unanswered = [
        queries for question, queries in zip(asked, phrasings, strict=True) if not evidence.best(question, 1)
    ]
    return _pending(conversation, [query for queries in unanswered for query in queries[3:]])


def _phrasings(question: Question) -> list[str]:
    """Give the question in up to four ways to search for it, the strictest first."""
    subject = list(question.search_words)
    distinctive = sorted(subject, key=lambda word: (_is_name(word), len(word)), reverse=True)
    pair = [word for word in subject if word in distinctive[:2]]
    ways = [question.text.strip(" ?.!")[:300], " ".join(subject), " ".join(pair), " ".join(distinctive[:1])]
    return list({way.lower(): way for way in ways if way}.values())


def _is_name(word: str) -> bool:
    return any(char.isdigit() or char.isupper() for char in word[1:])


def _pending(conversation: Conversation, queries: Sequence[str]) -> list[ToolUse]:
    """Leave out what has been searched already; what failed once may be tried once more."""
    made = conversation.made(SEARCH)
    pending: list[ToolUse] = []
    for query in dict.fromkeys(queries):
        own = [call for call in made if call.input.get("query") == query]
        if len(own) < 2 and all(call.failed for call in own) and len(made) + len(pending) < MOST_SEARCHES:
            pending.append(ToolUse(SEARCH, {"query": query, "limit": HITS}))
    return pending


def _readings(conversation: Conversation, asked: Sequence[Question], evidence: Evidence) -> list[ToolUse]:
    """Read around the best passages, once."""
    if READ not in conversation.tools or conversation.made(READ):
        return []
    places = [
        (extract.source, max(0, extract.start - WINDOW // 4))
        for rank in range(2)
        for question in asked
        for extract in evidence.best(question, 2)[rank : rank + 1]
    ]
    if not places:
        places = [(passage.source, passage.offset) for passage in passages(conversation.calls)[:1]]
    apart: list[tuple[str, int]] = []
    for source, offset in places:
        if not any(source == other and abs(offset - at) < WINDOW // 2 for other, at in apart):
            apart.append((source, offset))
    return [
        ToolUse(READ, {"source": source, "offset": offset, "length": WINDOW})
        for source, offset in apart[:MOST_READS]
    ]
