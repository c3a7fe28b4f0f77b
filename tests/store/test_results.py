"""Results that are too long: what of them an agent is given, and where the rest is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from harness.errors import StoreUnavailable
from harness.results import READ_RESULT, ReadResult, bounded, bounded_content
from harness.store.database import Database
from harness.store.embedded import EmbeddedServer
from harness.tools import ToolContext
from tests.kit.databases import fresh_database
from tests.kit.sessions import new_session

LIMIT = 100
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBOR"}}


@pytest.fixture(scope="module")
def dsn(postgres: EmbeddedServer, migrated_template: str) -> Iterator[str]:
    """One database for all tests here: each has a session of its own."""
    with fresh_database(postgres.dsn, migrated_template) as shared:
        yield shared


@pytest.fixture
async def context(database: Database) -> ToolContext:
    """A tool's context in a session of its own."""
    session = await new_session(database)
    return ToolContext(session, "default", "run-1", database)


def said(value: str) -> dict[str, str]:
    """Make a text block."""
    return {"type": "text", "text": value}


async def read_on(context: ToolContext, begun: str) -> str:
    """Read on where a text says that it was cut."""
    given = json.loads(begun.rpartition("read_result: ")[2].rstrip("]"))
    part = await READ_RESULT.run(context, ReadResult(**given, length=20_000))
    assert isinstance(part, BaseModel)
    return str(part.model_dump()["text"])


@pytest.mark.parametrize(
    "content",
    ["x" * LIMIT, [said("x" * LIMIT)], [said("x" * 50), PICTURE, said("y" * 49)], [PICTURE], None, {"a": 1}],
    ids=str,
)
async def test_what_is_short_stays_as_it_is(context: ToolContext, content: Any) -> None:
    """Up to the limit, all texts together, with what joins them; and what has no text."""
    assert await bounded_content(content, context, LIMIT) is None


async def test_a_long_text_is_bounded_in_the_form_that_it_came_in(context: ToolContext) -> None:
    """A text as a text, blocks as blocks, with the same words as a tool of the harness's own."""
    whole = "".join(f"{n} " for n in range(200))
    begun = await bounded(whole, context, LIMIT)
    assert await bounded_content(whole, context, LIMIT) == begun
    assert await bounded_content([said(whole)], context, LIMIT) == [said(begun)]
    assert begun.startswith(whole[:LIMIT])
    assert await read_on(context, begun) == whole[LIMIT:]


async def test_several_texts_are_one_and_pictures_stay(context: ToolContext) -> None:
    """None of them alone is too long; what follows the cut is read on in, line by line."""
    texts = ["a" * 60, "b" * 60, "c" * 60]
    content = [said(texts[0]), PICTURE, said(texts[1]), said(texts[2]), PICTURE]
    made = await bounded_content(content, context, LIMIT)
    assert made is not None
    begun, *others = made
    assert others == [PICTURE, PICTURE]
    whole = "\n".join(texts)
    assert begun["text"].startswith(whole[:LIMIT] + "\n\n[Cut after")
    assert await read_on(context, begun["text"]) == whole[LIMIT:]


async def test_without_the_store_the_rest_is_lost_and_the_agent_is_told(
    context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole would fill its context; what it is told is no reference to nothing."""

    async def away(*_: Any) -> None:
        raise StoreUnavailable("It is away.")

    monkeypatch.setattr(context.database, "run", away)
    made = await bounded_content([said("x" * 300)], context, LIMIT)
    assert made == [said("x" * LIMIT + "\n\n[Cut after 100 of 300 characters; the rest is lost.]")]
