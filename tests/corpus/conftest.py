from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from harness.corpus.collect import collect
from harness.corpus.corpus import Corpus
from harness.store.database import Database
from harness.store.queries import queries

Session = Callable[..., Awaitable[str]]


@pytest.fixture
def corpus(database: Database) -> Corpus:
    """The corpus of a fresh database."""
    return Corpus(database)


@pytest.fixture
def session(database: Database, corpus: Corpus, tmp_path: Path) -> Session:
    """A function that makes a session over files, given by name and content, and returns its id."""

    async def made(files: dict[str, str | bytes] | None = None, tenant: str = "tenant") -> str:
        session_id = str(uuid.uuid4())
        row = {
            "id": session_id,
            "tenant": tenant,
            "flow": "flow",
            "question": "Why?",
            "holder": None,
            "ttl": 30,
        }
        await database.run(queries("journal")["create_session"], row)
        if files:
            folder = tmp_path / session_id / "docs"
            for name, content in files.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.encode() if isinstance(content, str) else content)
            await corpus.ingest(session_id, tenant, collect([folder]))
        return session_id

    return made
