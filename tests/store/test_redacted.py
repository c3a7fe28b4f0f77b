"""What the store keeps of transcripts, results, cached answers and documents holds no secret."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from claude_agent_sdk import SessionKey, SessionStoreEntry
from pydantic import BaseModel

from harness.corpus.collect import collect
from harness.corpus.corpus import Corpus
from harness.corpus.document import Document, Heading
from harness.redaction import REDACTED, Redactor
from harness.results import READ_RESULT, ReadResult, bounded
from harness.store.database import Database
from harness.store.embedded import EmbeddedServer
from harness.store.transcripts import TranscriptStore
from harness.tool_cache import ToolCache
from harness.tools import Tool, ToolContext
from tests.kit.databases import fresh_database
from tests.kit.sessions import new_session

KEY = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
KNOWN = "Quiet-Heron-41x77"


@pytest.fixture(scope="module")
def dsn(postgres: EmbeddedServer, migrated_template: str) -> Iterator[str]:
    """One database for all tests here: each has a session of its own."""
    with fresh_database(postgres.dsn, migrated_template) as shared:
        yield shared


async def context_of(database: Database) -> ToolContext:
    session_id = await new_session(database)
    return ToolContext(session_id, session_id, str(uuid.uuid4()), database, redactor=Redactor([KNOWN]))


async def test_a_transcript_is_stored_without_secrets_and_otherwise_as_it_was(database: Database) -> None:
    """By value, form and name; ids, signatures and counts stay, and what the CLI holds is not altered."""
    ids = {"uuid": str(uuid.uuid4()), "parentUuid": None, "sessionId": str(uuid.uuid4())}
    entry: dict[str, Any] = {
        **ids,
        "type": "assistant",
        "message": {
            "id": "msg_013Zva2CMHLNnjNjJKqJ2EKD",
            "usage": {"input_tokens": 7},
            "content": [
                {"type": "thinking", "thinking": f"It is {KNOWN}.", "signature": "Eq" + "Ab1+/" * 90},
                {
                    "type": "tool_use",
                    "id": "toolu_1",
                    "name": "x",
                    "input": {"password": "swordfish", "n": 1},
                },
                {"type": "text", "text": f"It is {KEY}."},
            ],
        },
    }
    before = json.dumps(entry)
    store = TranscriptStore(database, scope=str(uuid.uuid4()), redactor=Redactor([KNOWN]))
    key: SessionKey = {"project_key": "p", "session_id": "claude-1"}
    await store.append(key, cast("list[SessionStoreEntry]", [entry]))
    assert json.dumps(entry) == before
    loaded = await store.load(key)
    assert loaded is not None
    marked = before.replace(KNOWN, REDACTED).replace(KEY, REDACTED).replace("swordfish", REDACTED)
    assert loaded == [json.loads(marked)]


async def test_a_long_result_is_read_on_where_it_was_cut(database: Database) -> None:
    """What is given at once and what is kept are one text, so that the offsets fit."""
    context = await context_of(database)
    whole = f"{KNOWN} {KEY} and then " + "".join(f"{n} " for n in range(400))
    given, _, note = (await bounded(whole, context, 100)).partition("\n\n[Cut")
    reference = json.loads(note[note.index("{") : note.index("}") + 1])["reference"]
    rest = await READ_RESULT.run(context, ReadResult(reference=reference, offset=100, length=8000))
    assert isinstance(rest, BaseModel)
    assert given + rest.model_dump()["text"] == whole.replace(KNOWN, REDACTED).replace(KEY, REDACTED)
    assert await bounded(f"short {KEY}", context, 100) == f"short {KEY}", "what is not kept is given as it is"


async def test_a_cached_answer_is_the_same_for_the_first_call_as_for_all(database: Database) -> None:
    """Whoever comes later must not get another answer than the one who ran the tool."""
    context = await context_of(database)

    class Asked(BaseModel):
        """Nothing."""

    async def run(context: ToolContext, asked: Asked) -> str:
        return f"It is {KEY}."

    async def answer() -> str:
        return await run(context, Asked())

    tool = Tool("find", "Finds.", Asked, run, replay="read_only", cache_s=60)
    said = [await ToolCache().answer("mcp__x__find", tool, context, Asked(), answer, None) for _ in range(2)]
    assert said == [f"It is {REDACTED}."] * 2


async def test_a_document_is_ingested_without_secrets(database: Database, tmp_path: Path) -> None:
    """Text, title and headings; a passage still begins where its heading stands, and offsets fit."""
    text = (
        f"# The key {KNOWN}\n\n{KEY} opens it.\n\n## Tides\n\nThey turn twice a day.\n" + "More of it. " * 200
    )
    (tmp_path / "notes.md").write_text(text + "\n\n## Winds\n\nThey blow.\n")
    context = await context_of(database)
    corpus = Corpus(database, context.redactor)
    assert await corpus.ingest(context.session_id, context.tenant, collect([tmp_path])) == 1
    stored = await corpus.text(context.session_id, "S1")
    (source,) = await corpus.sources(context.session_id)
    assert (source.title, source.length) == (f"The key {REDACTED}", len(stored))
    assert KNOWN not in stored
    assert f"{REDACTED} opens it." in stored
    (hit,) = (await corpus.search(context.session_id, "winds blow", 1)).hits
    assert stored[hit.offset :].startswith(hit.text)
    assert hit.text.lstrip("# ").startswith("Winds")


def test_headings_stand_where_they_stand_after_redaction() -> None:
    """Unless a secret went across one: then none is left rather than a wrong one."""
    text = f"{KEY}\nTides\n{KNOWN}\nWinds\n"
    document = Document(text, None, tuple(Heading(text.index(word), word) for word in ("Tides", "Winds")))
    found = document.redacted(Redactor([KNOWN]).text)
    assert [found.text[each.offset :][: len(each.text)] for each in found.headings] == ["Tides", "Winds"]
    across = replace(document, headings=(Heading(text.index(KNOWN) + 4, "x"),))
    assert across.redacted(Redactor([KNOWN]).text) == Document(
        f"{REDACTED}\nTides\n{REDACTED}\nWinds\n", None
    )
    clean = Document("Tides\n", "T", (Heading(0, "Tides"),))
    assert clean.redacted(Redactor().text) == clean
