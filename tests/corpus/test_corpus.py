from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest

from harness.corpus.collect import SourceFile, collect
from harness.corpus.corpus import Corpus
from harness.corpus.document import Document
from harness.corpus.loading import Loaded
from harness.errors import BadSource, StoreError
from harness.store.database import Database
from harness.tools import ToolProblem
from tests.corpus.conftest import Session
from tests.corpus.documents import pdf

_TABLES = ("document", "passage", "session_document")


async def _rows(database: Database) -> dict[str, list[str]]:
    return {
        name: [row["text"] for row in await database.all(f"select t::text as text from {name} t order by 1")]
        for name in _TABLES
    }


def _files(folder: Path, files: dict[str, str | bytes]) -> list[SourceFile]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return collect([folder])


async def test_sources_are_labelled_in_order(corpus: Corpus, session: Session) -> None:
    """Labels count from S1 in the order of the files; a title comes from the document, else its locator."""
    files: dict[str, str | bytes] = {f"{n:02}.txt": f"Text {n}" for n in range(1, 11)}
    session_id = await session(
        {**files, "11.md": "# Eleven\n\nText", "12.pdf": pdf(["Text"], title="Twelve")}
    )
    sources = await corpus.sources(session_id)
    assert [source.label for source in sources] == [f"S{n}" for n in range(1, 13)]
    assert [source.locator for source in sources][9:] == ["docs/10.txt", "docs/11.md", "docs/12.pdf"]
    assert [source.title for source in sources][9:] == ["docs/10.txt", "Eleven", "Twelve"]
    assert sources[0].length == len("Text 1")


async def test_repeating_an_ingest_changes_nothing(
    corpus: Corpus, session: Session, database: Database, tmp_path: Path
) -> None:
    """The same session over the same files again keeps every row as it was."""
    files = _files(tmp_path / "docs", {"a.md": "# A\n\nText", "b.txt": "More text"})
    session_id = await session()
    assert await corpus.ingest(session_id, "tenant", files) == 2
    before = await _rows(database)
    assert await corpus.ingest(session_id, "tenant", files) == 2
    assert await _rows(database) == before


async def test_a_document_is_stored_once_for_a_tenant(
    corpus: Corpus, session: Session, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another session reads and stores nothing of what is there already; another tenant has its own."""
    await session({"a.md": "# A\n\nText", "b.txt": "More text"})
    before = await _rows(database)
    with monkeypatch.context() as patched:
        patched.setattr("harness.corpus.loading.read", None)  # a file that is read again fails the test
        second = await session({"renamed.md": "# A\n\nText", "b.txt": "More text"})
    after = await _rows(database)
    assert (after["document"], after["passage"]) == (before["document"], before["passage"])
    assert [source.locator for source in await corpus.sources(second)] == ["docs/b.txt", "docs/renamed.md"]
    await session({"a.md": "# A\n\nText"}, tenant="other")
    assert len((await _rows(database))["document"]) == 3


async def test_the_way_of_reading_is_part_of_the_address(corpus: Corpus, session: Session) -> None:
    """The same bytes under another suffix are another document, since they read differently."""
    session_id = await session({"a.html": "<p>Text</p>", "b.txt": "<p>Text</p>"})
    assert [await corpus.text(session_id, label) for label in ("S1", "S2")] == ["Text", "<p>Text</p>"]


async def test_a_copy_is_one_source(corpus: Corpus, session: Session) -> None:
    """Two files with the same content are one source, known by the first of them."""
    session_id = await session({"a.txt": "Same", "b.txt": "Same", "c.txt": "Other"})
    assert [(s.label, s.locator) for s in await corpus.sources(session_id)] == [
        ("S1", "docs/a.txt"),
        ("S2", "docs/c.txt"),
    ]


async def test_added_documents_get_the_next_labels(corpus: Corpus, session: Session, tmp_path: Path) -> None:
    """A later ingest keeps the labels that reports may cite already, also when many run at once."""
    session_id = await session({"a.txt": "First"})
    later = [_files(tmp_path / f"later{n}", {f"{n}.txt": f"Later {n}"}) for n in range(8)]
    await asyncio.gather(*(corpus.ingest(session_id, "tenant", files) for files in later))
    sources = await corpus.sources(session_id)
    assert [source.label for source in sources] == [f"S{n}" for n in range(1, 10)]
    assert sources[0].locator == "docs/a.txt"


async def test_sessions_may_add_the_same_documents_at_once(
    corpus: Corpus, session: Session, database: Database
) -> None:
    """Sessions that add the same new documents at one moment, in any order, do not lock one another out."""
    loaded = [Loaded(f"{n}.txt", f"{n:064}", Document(f"Text {n}")) for n in range(2000)]
    sessions = [await session() for _ in range(4)]
    orders = [loaded, loaded[::-1], loaded[1000:] + loaded[:1000], loaded[::-1]]
    counts = await asyncio.gather(
        *(corpus.attach(one, "tenant", order) for one, order in zip(sessions, orders, strict=True))
    )
    assert counts == [2000] * 4
    assert len((await _rows(database))["document"]) == 2000
    assert await corpus.text(sessions[1], "S1") == "Text 1999"


async def test_bad_files_leave_nothing_behind(
    corpus: Corpus, session: Session, database: Database, tmp_path: Path
) -> None:
    """All problems are told at once, and of the good files nothing is written either."""
    session_id = await session()
    files = _files(
        tmp_path / "docs",
        {"a.txt": "Good", "b.pdf": pdf(["x"], password="p"), "c.pdf": b"broken", "d.txt": "Goes away"},
    )
    (tmp_path / "docs/d.txt").unlink()
    with pytest.raises(BadSource) as caught:
        await corpus.ingest(session_id, "tenant", files)
    message = str(caught.value)
    assert message.startswith("3 sources cannot be used: ")
    assert all(name in message for name in ("docs/b.pdf is encrypted", "docs/c.pdf is not", "docs/d.txt"))
    assert "Good" not in str(await _rows(database))


async def test_a_file_without_text(corpus: Corpus, session: Session, tmp_path: Path) -> None:
    """An empty file is left out when it was found in a folder and refused when it was named."""
    session_id = await session({"a.txt": "Text", "empty.md": "", "stub.html": "<nav>Home</nav>"})
    assert [source.locator for source in await corpus.sources(session_id)] == ["docs/a.txt"]
    (tmp_path / "empty.md").touch()
    with pytest.raises(BadSource, match=r"empty\.md holds no text: leave it out"):
        await corpus.ingest(session_id, "tenant", collect([tmp_path / "empty.md"]))
    with pytest.raises(BadSource, match="The sources hold no text"):
        await corpus.ingest(session_id, "tenant", _files(tmp_path / "empties", {"a.md": "\n"}))


async def test_an_ingest_for_no_session_writes_nothing(
    corpus: Corpus, database: Database, tmp_path: Path
) -> None:
    """Without the session the whole transaction is undone, the documents included."""
    with pytest.raises(StoreError):
        await corpus.ingest(str(uuid.uuid4()), "tenant", _files(tmp_path / "docs", {"a.txt": "Text"}))
    assert await _rows(database) == {name: [] for name in _TABLES}


async def test_a_text_comes_back_whole(corpus: Corpus, session: Session) -> None:
    """The text of a source, and its parts, are what was read, whatever its passages."""
    text = "\n\n".join(f"Paragraph {n} über “{n}” 語言 😀. " * 15 for n in range(40)).strip()
    session_id = await session({"a.txt": text})
    assert await corpus.text(session_id, "S1") == text
    for offset, length in ((0, 10), (1490, 40), (700, 8000), (len(text) - 5, 4000), (0, len(text) + 1)):
        excerpt = await corpus.read(session_id, "S1", offset, length)
        assert excerpt.text == text[offset : offset + length]
        assert (excerpt.offset, excerpt.length) == (offset, len(text))
        assert excerpt.next_offset == (offset + length if offset + length < len(text) else None)


async def test_a_long_document_can_be_read_anywhere(corpus: Corpus, session: Session) -> None:
    """Offsets beyond the range of small integers are as good as others."""
    text = " ".join(str(n) for n in range(15_000))
    session_id = await session({"a.txt": text})
    for offset in (30_000, 32_767, 32_768, 65_536, len(text) - 1):
        excerpt = await corpus.read(session_id, "S1", offset, 8000)
        assert excerpt.text == text[offset : offset + 8000]


async def test_reading_on_gives_every_character_once(corpus: Corpus, session: Session) -> None:
    """Following next_offset to its end gives the whole text."""
    text = "\n\n".join(f"Paragraph {n}. " * 20 for n in range(40)).strip()
    session_id = await session({"a.txt": text})
    parts: list[str] = []
    offset: int | None = 0
    while offset is not None:
        excerpt = await corpus.read(session_id, "S1", offset, 777)
        parts.append(excerpt.text)
        offset = excerpt.next_offset
    assert "".join(parts) == text


async def test_an_unknown_label_is_a_problem_the_agent_can_mend(corpus: Corpus, session: Session) -> None:
    """The answer names labels that exist, and an offset behind the end names the length."""
    session_id = await session({f"{n:02}.txt": f"Text {n}" for n in range(1, 9)})
    with pytest.raises(ToolProblem, match=r"no source S99 .* such as S1, S2, S3, S4, S5 and so on to S8"):
        await corpus.read(session_id, "S99")
    with pytest.raises(ToolProblem, match="no source S1\0 "):
        await corpus.read(session_id, "S1\0 ")
    with pytest.raises(ToolProblem, match="no source S99"):
        await corpus.text(session_id, "S99")
    with pytest.raises(ToolProblem, match="S1 has 6 characters"):
        await corpus.read(session_id, "S1", offset=6)
    with pytest.raises(ToolProblem, match="this session has no sources"):
        await corpus.read(await session(), "S1")


async def test_a_session_sees_only_its_own_documents(corpus: Corpus, session: Session) -> None:
    """Neither search nor read reaches the documents of another session, and they do not count."""
    await session({"a.txt": "The albatross flies.", "b.txt": "A bird."})
    other = await session({"c.txt": "The sparrow is a bird."})
    assert (await corpus.search(other, "albatross", 8)).hits == []
    result = await corpus.search(other, "bird", 8)
    assert (result.total, [hit.locator for hit in result.hits]) == (1, ["docs/c.txt"])
    assert await corpus.text(other, "S1") == "The sparrow is a bird."
    with pytest.raises(ToolProblem):
        await corpus.read(other, "S2")
