from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.corpus.document import Document, Heading
from harness.corpus.passages import MAX_CHARACTERS, MIN_BEFORE_HEADING, MIN_CHARACTERS, cut

_pieces = st.sampled_from(["word ", "Sentence. ", "\n", "\n\n", "x" * 700, "语言", " "])
_texts = st.lists(_pieces, max_size=300).map("".join)


@given(_texts, st.lists(st.integers(0, 5000), max_size=20))
def test_passages_put_together_are_the_text(text: str, places: list[int]) -> None:
    """No character is lost or doubled, each offset is where its passage begins, and none is too long."""
    headings = tuple(Heading(place, f"H{place}") for place in sorted({p for p in places if p < len(text)}))
    passages = list(cut(Document(text, headings=headings)))
    assert "".join(passage.text for passage in passages) == text
    for passage in passages:
        assert text[passage.offset :].startswith(passage.text)
        assert 0 < len(passage.text) <= max(MAX_CHARACTERS, 2 * MIN_CHARACTERS)
    assert all(len(passage.text) >= MIN_BEFORE_HEADING for passage in passages[:-1])


def test_paragraphs_stay_whole() -> None:
    """A passage ends where a paragraph ends, as late as it may."""
    paragraph = "A sentence of a paragraph. " * 12
    text = "\n\n".join([paragraph.strip()] * 20)
    passages = list(cut(Document(text)))
    assert all(passage.text.startswith("A sentence") for passage in passages)
    assert all(passage.text.endswith("\n\n") for passage in passages[:-1])
    assert all(1000 < len(passage.text) <= MAX_CHARACTERS for passage in passages[:-1])


def test_a_text_without_borders_is_cut_all_the_same() -> None:
    """A text of one endless word, or without paragraphs, is cut to size, at sentences if there are any."""
    assert [len(passage.text) for passage in cut(Document("x" * 4000))] == [1500, 1500, 1000]
    passages = list(cut(Document("One sentence after another. " * 200)))
    assert all(passage.text.startswith("One") for passage in passages)


def test_a_passage_begins_at_its_heading() -> None:
    """A heading after enough text begins a passage, and passages know what heading they stand under."""
    before, after = "Before. " * 60, "After. " * 400
    text = f"{before}\n\nsynchronous_commit\n\n{after}"
    start = text.index("synchronous_commit")
    passages = list(cut(Document(text, headings=(Heading(start, "synchronous_commit"),))))
    assert passages[1].offset == start
    assert [passage.heading for passage in passages] == ["", *["synchronous_commit"] * (len(passages) - 1)]


def test_small_sections_share_a_passage() -> None:
    """Sections of a few words are put together, and the passage carries all of their headings."""
    text = "".join(f"Term {n}\n\nShort.\n\n" for n in range(10))
    headings = tuple(Heading(text.index(f"Term {n}"), f"Term {n}") for n in range(10))
    passages = list(cut(Document(text, headings=headings)))
    assert len(passages) == 1
    assert passages[0].heading.startswith("Term 0 / Term 1 / Term 2")


def test_an_empty_document_has_no_passage() -> None:
    """Nothing gives nothing."""
    assert list(cut(Document(""))) == []
