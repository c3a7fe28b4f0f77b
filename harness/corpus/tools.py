"""The toolset `corpus`: how agents search and read the documents of their session."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from harness.corpus.corpus import Corpus, Excerpt, SearchResult
from harness.tools import Tool, ToolContext, Toolset


class SearchInput(BaseModel):
    """What to search for."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(
        min_length=1,
        max_length=500,
        description='A question, a few telling words, or a name such as wal_level; "..." for a phrase.',
    )
    limit: int = Field(default=8, ge=1, le=20, description="The most passages to give.")


class ReadInput(BaseModel):
    """What to read."""

    model_config = ConfigDict(extra="forbid")

    source: str = Field(max_length=50, description="The label of the source, such as S3, as search gives it.")
    offset: int = Field(
        default=0,
        ge=0,
        le=2**30,
        description="Where to begin, in characters: the `offset` of a hit, or the `next_offset` of a read.",
    )
    length: int = Field(default=4000, ge=200, le=8000, description="How many characters to give at most.")


async def _search(context: ToolContext, asked: SearchInput) -> SearchResult:
    return await Corpus(context.database).search(context.session_id, asked.query, asked.limit)


async def _read(context: ToolContext, asked: ReadInput) -> Excerpt:
    return await Corpus(context.database).read(context.session_id, asked.source, asked.offset, asked.length)


_SEARCH = """\
Search the documents of this session. Gives the passages that fit best, each with the label of its source \
(S1, S2, ...), its title and where it stands. Use it first, and again for each question of its own: several \
short queries find more than a long one. Query with the words the documents would use. Word forms do not \
matter (commit finds committed), and passages with all the words come first. `total` counts the passages \
with any of the words; when the hits do not fit, take other or rarer words instead of repeating the query. \
Quote a passage word for word, and cite it by the label of its source."""

_READ = """\
Read on in one source: what stands around a passage that search found, or a document from its beginning. Use \
it before you rely on a passage that depends on its context, such as a table, a condition or an exception. \
Begin a little before the `offset` of the hit; go on at `next_offset`, which is null at the end. `length` in \
the answer is that of the whole source, in characters. Do not read long documents from end to end: search in \
them."""

CORPUS = Toolset(
    "corpus",
    (
        Tool("search", _SEARCH, SearchInput, _search, replay="read_only"),
        Tool("read", _READ, ReadInput, _read, replay="read_only"),
    ),
)
