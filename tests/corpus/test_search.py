from __future__ import annotations

import pytest

from harness.corpus.corpus import Corpus
from tests.corpus.conftest import Session

DOCUMENTS: dict[str, str | bytes] = {
    "commit.md": "# Asynchronous commit\n\nWith `synchronous_commit` off the server reports a commit before "
    "the write-ahead log is flushed to disk, so the last transactions may be lost after a crash.",
    "level.md": "# Settings of the log\n\nThe parameter `wal_level` says how much is written to the log.\n\n"
    "Its values are minimal, replica and logical.",
    "http.txt": "RFC 9110 defines the semantics of HTTP: methods, status codes and fields. RFC 9111 too.",
    "backup.txt": "A base backup is taken with pg_basebackup -Ft, and the log is archived for recovery.",
    "cooking.txt": "A good broth is made of bones, water and time; the cook writes nothing down.",
}


async def _found(corpus: Corpus, session_id: str, query: str, limit: int = 8) -> list[str]:
    result = await corpus.search(session_id, query, limit)
    return [hit.locator.removeprefix("docs/") for hit in result.hits]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("synchronous_commit", "commit.md"),
        ("wal_level", "level.md"),
        ("RFC 9110", "http.txt"),
        ("RFC9110", "http.txt"),
        ("rfc 9111 caching", "http.txt"),
        ("What is lost when the server crashes with synchronous commits turned off?", "commit.md"),
        ("write-ahead log flush", "commit.md"),
        ("flushing/write ahead", "commit.md"),
        ("how do I make a broth", "cooking.txt"),
        ("pg_basebackup -Ft", "backup.txt"),
        ("fields/codes", "http.txt"),
        ('"base backup"', "backup.txt"),
        ("asynchronous", "commit.md"),
        ("LOGICAL OR Replica", "level.md"),
        ("unbalanced \"quote and ' & | ! :* (signs", "http.txt"),
    ],
)
async def test_questions_words_and_names_find_their_document(
    corpus: Corpus, session: Session, query: str, first: str
) -> None:
    """Whole questions, identifiers, inflected words, phrases and odd signs lead to the right document."""
    documents = DOCUMENTS if "signs" not in query else {**DOCUMENTS, "http.txt": "Quote signs of HTTP."}
    session_id = await session(documents)
    assert (await _found(corpus, session_id, query))[:1] == [first]


@pytest.mark.parametrize("query", ["", "the of and", "xyzzy", "\0", "!!! &|", "\ud800"])
async def test_a_query_without_a_match_finds_nothing(corpus: Corpus, session: Session, query: str) -> None:
    """Unknown words, stop words and mere signs give an empty result, not an error."""
    result = await corpus.search(await session(DOCUMENTS), query, 8)
    assert (result.total, result.hits) == (0, [])


async def test_a_passage_with_every_word_comes_first(corpus: Corpus, session: Session) -> None:
    """One mention of all the words stands before many mentions of some; the others fill up the result."""
    session_id = await session(
        {
            "a.txt": "lease lease lease lease lease lease lease lease",
            "b.txt": "token token token token token token token token",
            "c.txt": "The lease, which another process may hold, is proved by a long look at its token.",
            "d.txt": "Nothing of it.",
        }
    )
    result = await corpus.search(session_id, "lease token", 8)
    assert result.hits[0].locator == "docs/c.txt"
    assert {hit.locator for hit in result.hits[1:]} == {"docs/a.txt", "docs/b.txt"}
    assert result.total == 3
    scores = [hit.score for hit in result.hits]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 1 > scores[1] > 0


async def test_a_minus_excludes_nothing(corpus: Corpus, session: Session) -> None:
    """An option such as -Ft is a word like the others: the passage that has it has every word."""
    hits = (await corpus.search(await session(DOCUMENTS), "recovery -Ft", 8)).hits
    assert [hit.locator for hit in hits] == ["docs/backup.txt"]
    assert hits[0].score > 1


async def test_a_rare_word_is_worth_more_than_a_common_one(corpus: Corpus, session: Session) -> None:
    """Of two passages with one word of the query each, the one with the rarer word comes first."""
    files: dict[str, str | bytes] = {f"{n:02}.txt": f"The server number {n} is a server." for n in range(20)}
    session_id = await session({**files, "z.txt": "A mention of wraparound."})
    assert (await _found(corpus, session_id, "server wraparound"))[0] == "z.txt"


async def test_hits_come_from_several_documents(corpus: Corpus, session: Session) -> None:
    """A long document that fits everywhere leaves room for the others, and fills up only what they leave."""
    long = "\n\n".join(
        f"Part {n}: the planner plans. " + "The planner of plans plans. " * 40 for n in range(9)
    )
    session_id = await session({"long.txt": long, "one.txt": "A planner.", "two.txt": "Some planner, too."})
    found = await _found(corpus, session_id, "planner", 6)
    assert found[:4].count("long.txt") == 2
    assert set(found[:4]) == {"long.txt", "one.txt", "two.txt"}
    assert found[4:] == ["long.txt", "long.txt"]


@pytest.mark.parametrize("limit", [1, 2, 3, 20])
async def test_never_more_hits_than_asked_for(corpus: Corpus, session: Session, limit: int) -> None:
    """The limit holds, and the total still counts every passage."""
    session_id = await session({f"{n}.txt": f"Lease {n}" for n in range(12)})
    result = await corpus.search(session_id, "lease", limit)
    assert len(result.hits) == min(limit, 12)
    assert result.total == 12


async def test_a_hit_says_where_it_stands(corpus: Corpus, session: Session) -> None:
    """Source, number and offset lead back to the very passage."""
    text = (
        "\n\n".join(f"Paragraph {n}. " + "Filling words. " * 30 for n in range(20))
        + "\n\nThe albatross flies."
    )
    session_id = await session({"a.txt": "Other.", "b.txt": text})
    hit = (await corpus.search(session_id, "albatross", 8)).hits[0]
    assert (hit.source, hit.locator, hit.title) == ("S2", "docs/b.txt", "docs/b.txt")
    assert hit.text.endswith("The albatross flies.")
    assert hit.passage > 1
    assert (await corpus.read(session_id, "S2", hit.offset, len(hit.text))).text == hit.text


async def test_titles_and_headings_weigh_more_than_text(corpus: Corpus, session: Session) -> None:
    """A passage whose title or heading has the word stands before one whose text has it."""
    filling = "Plain filling words. " * 100
    session_id = await session(
        {
            "a.txt": "A vacuum is mentioned here, and vacuum again.",
            "b.html": "<title>Vacuum</title><p>How it is done.</p>",
            "c.md": f"# Other\n\n{filling}\n\n## Freezing\n\nHow that is done.",
            "d.txt": "Freezing is mentioned here, and freezing again.",
        }
    )
    assert (await _found(corpus, session_id, "vacuum")) == ["b.html", "a.txt"]
    assert (await _found(corpus, session_id, "freezing")) == ["c.md", "d.txt"]


async def test_a_word_divided_at_a_line_end_is_found(corpus: Corpus, session: Session) -> None:
    """What a PDF divides is found as one word."""
    session_id = await session({"a.txt": "The asyn-\nchronous commit.", "b.txt": "Nothing."})
    assert await _found(corpus, session_id, "asynchronous") == ["a.txt"]
