"""The documents of sessions in Postgres: each kept once for a tenant, searched and read by session."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from itertools import islice

from harness.corpus.collect import SourceFile
from harness.corpus.document import Document, storable
from harness.corpus.loading import Loaded, load
from harness.corpus.passages import cut
from harness.records import Record
from harness.redaction import Redactor
from harness.store.database import Connection, Database
from harness.store.queries import queries
from harness.tools import ToolProblem

_SQL = queries("corpus")

_PER_DOCUMENT = 2
"""How many passages of one document a search gives before it turns to other documents."""

_BATCH = 1_000
"""How many passages go into one insert: about 1.5 MB of text."""

_SHOWN_LABELS = 5

# A phrase in quotation marks, or anything else between spaces.
_WORD = re.compile(r'"[^"]+"|\S+')
# A minus before a word excludes it in Postgres' query language; a question means an option: `pg_dump -Fc`.
_MINUS = re.compile(r"(?<!\S)-+(?=\S)")
# RFC9110, which a text may well call RFC 9110.
_NUMBERED = re.compile(r"^([^\W\d_]+)(\d+)$")


class Source(Record):
    """A document of a session, under the label by which reports cite it; `length` is in characters."""

    label: str
    title: str
    locator: str
    length: int


class Hit(Record):
    """A passage that a search found; `offset` is where it begins in its source, in characters."""

    source: str
    title: str
    locator: str
    passage: int
    offset: int
    text: str
    score: float


class SearchResult(Record):
    """The best hits for a query, best first; `total` counts all passages with any word of the query."""

    query: str
    total: int
    hits: list[Hit]


class Excerpt(Record):
    """A part of a source; `next_offset` is None at its end, `length` is that of the whole source.

    All numbers are in characters.
    """

    source: str
    title: str
    locator: str
    offset: int
    text: str
    next_offset: int | None
    length: int


class Corpus:
    """The documents of all sessions in one database. Sessions are named by their id, a UUID.

    What is stored has gone through `redactor`. Every method raises StoreError when Postgres cannot answer.
    """

    def __init__(self, database: Database, redactor: Redactor | None = None) -> None:
        self._database = database
        self._redactor = redactor or Redactor()

    async def ingest(self, session_id: str, tenant: str, files: Sequence[SourceFile]) -> int:
        """Make `files` sources of the session and give how many sources it has then.

        All is read before anything is written, and all is written or nothing. What the session has already
        keeps its label, so a repetition changes nothing.

        Raises BadSource when any of the files cannot be read.
        """
        return await self.attach(session_id, tenant, await self.load(tenant, files))

    async def load(self, tenant: str, files: Sequence[SourceFile]) -> list[Loaded]:
        """Read what the tenant does not have yet: the half of `ingest` that writes nothing.

        It needs no session, so bad files can be refused before there is one. Raises BadSource as `ingest`.
        """

        async def known(addresses: Sequence[str]) -> set[str]:
            params = {"tenant": tenant, "sha256": list(addresses)}
            return {row["sha256"] for row in await self._database.all(_SQL["known_documents"], params)}

        return await load(files, known)

    async def attach(self, session_id: str, tenant: str, loaded: Sequence[Loaded]) -> int:
        """Write what was loaded and label it for the session, in the order given: the half that writes.

        Gives how many sources the session has then. The same content twice is one source.
        """
        loaded = await asyncio.to_thread(lambda: [each.redacted(self._redactor.text) for each in loaded])
        async with self._database.transaction() as connection:
            await _add(connection, tenant, {each.sha256: each.document for each in loaded if each.document})
            first = {each.sha256: each.locator for each in reversed(loaded)}
            order = dict.fromkeys(each.sha256 for each in loaded)
            await connection.run(_SQL["lock_labels"], {"session_id": session_id})
            await connection.run(
                _SQL["link_documents"],
                {
                    "session_id": session_id,
                    "tenant": tenant,
                    "sha256": list(order),
                    "locator": [first[sha256] for sha256 in order],
                },
            )
            return len(await connection.all(_SQL["sources"], {"session_id": session_id}))

    async def copy(self, from_session: str, session_id: str, count: int) -> None:
        """Give a session the first `count` sources of another, under the same labels."""
        params = {"from": from_session, "session_id": session_id, "count": count}
        await self._database.run(_SQL["copy_documents"], params)

    async def add(self, session_id: str, tenant: str, loaded: Loaded) -> str:
        """Make one document a source of the session, if it is none yet, and give its label."""
        await self.attach(session_id, tenant, [loaded])
        params = {"session_id": session_id, "tenant": tenant, "sha256": loaded.sha256}
        row = await self._database.one(_SQL["label"], params)
        assert row is not None, "it has just been linked"
        return str(row["label"])

    async def search(self, session_id: str, query: str, limit: int) -> SearchResult:
        """Find at most `limit` passages of the session's sources for a question, some words or a name."""
        asked = _MINUS.sub("", storable(query))
        rows = await self._database.all(
            _SQL["search"],
            {
                "session_id": session_id,
                "query": asked,
                "words": _words(asked),
                "per_document": _PER_DOCUMENT,
                "limit": limit,
            },
        )
        total = rows[0]["total"] if rows else 0
        hits = [Hit(**{name: row[name] for name in Hit.model_fields}) for row in rows]
        return SearchResult(query=query, total=total, hits=hits)

    async def read(self, session_id: str, source: str, offset: int = 0, length: int = 4000) -> Excerpt:
        """Read up to `length` characters of a source, from `offset` on.

        Raises ToolProblem for a label the session does not have and for an offset behind the end.
        """
        params = {"session_id": session_id, "label": storable(source), "offset": offset, "length": length}
        row = await self._database.one(_SQL["excerpt"], params)
        if row is None:
            raise await self._unknown(session_id, source)
        if offset >= row["length"]:
            raise ToolProblem(f"{source} has {row['length']} characters: read from an offset below that.")
        end = offset + len(row["text"])
        return Excerpt(**row, offset=offset, next_offset=end if end < row["length"] else None)

    async def sources(self, session_id: str) -> list[Source]:
        """Give the session's sources in the order of their labels."""
        return [
            Source(**row) for row in await self._database.all(_SQL["sources"], {"session_id": session_id})
        ]

    async def text(self, session_id: str, source: str) -> str:
        """Give the whole text of a source. Raises ToolProblem for a label the session does not have."""
        params = {"session_id": session_id, "label": storable(source)}
        row = await self._database.one(_SQL["source_text"], params)
        if row is None or row["text"] is None:
            raise await self._unknown(session_id, source)
        return str(row["text"])

    async def _unknown(self, session_id: str, source: str) -> ToolProblem:
        labels = [each.label for each in await self.sources(session_id)]
        if not labels:
            return ToolProblem(f"There is no source {source}: this session has no sources.")
        more = f" and so on to {labels[-1]}" if len(labels) > _SHOWN_LABELS else ""
        return ToolProblem(
            f"There is no source {source} in this session: use a label that a search gave, "
            f"such as {', '.join(labels[:_SHOWN_LABELS])}{more}."
        )


async def _add(connection: Connection, tenant: str, documents: Mapping[str, Document]) -> None:
    rows = await connection.all(
        _SQL["add_documents"],
        {
            "tenant": tenant,
            "sha256": list(documents),
            "title": [document.title for document in documents.values()],
            "length": [len(document.text) for document in documents.values()],
        },
    )
    passages = (
        {
            "document": row["id"],
            "number": number,
            "start": passage.offset,
            "title": documents[row["sha256"]].title or "",
            "heading": passage.heading,
            "text": passage.text,
        }
        for row in rows
        for number, passage in enumerate(cut(documents[row["sha256"]]), 1)
    )
    while batch := list(islice(passages, _BATCH)):
        columns = {name: [passage[name] for passage in batch] for name in batch[0]}
        await connection.run(_SQL["add_passages"], columns)


def _words(query: str) -> list[str]:
    """Give the words and phrases of a query, and the parts of those that are made of several."""
    words = _WORD.findall(query)
    parts = [part for word in words for part in re.findall(r"\w+", word)]
    numbered = [f'"{name} {number}"' for part in parts for name, number in _NUMBERED.findall(part)]
    return [*words, *parts, *numbered]
