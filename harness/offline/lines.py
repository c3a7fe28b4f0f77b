"""The sentences of passages in their places, with the words of each and of what stands around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.offline.sentences import Sentence, sentences
from harness.offline.shapes import Passage
from harness.offline.words import terms

IN_TITLE, BESIDE, ABOVE = 0.35, 0.35, 0.7
"""What a word counts that stands not in a sentence but in its title, beside it, or in its heading."""


@dataclass(frozen=True)
class Line:
    """A sentence at its place, counted within its stretch; `first` is the first under the same heading."""

    stretch: Passage
    sentence: Sentence
    place: int
    first: int
    own: frozenset[str]
    around: Mapping[str, float]

    @property
    def title(self) -> str:
        """The words by which its document is known."""
        return title_of(self.stretch)


def title_of(passage: Passage) -> str:
    """Give a document's title and where it lies."""
    return f"{passage.title or ''} {passage.locator or ''}"


def lines_of(stretch: Passage) -> list[Line]:
    """Give the sentences of a stretch of text that are whole in it."""
    found = sentences(stretch.text)
    if found and stretch.offset > 0 and found[0].start == 0 and not found[0].text[0].isupper():
        found = found[1:]  # it began before the passage
    if found and stretch.next_offset is not None and found[-1].end == len(stretch.text.rstrip()):
        found = found[:-1]  # it may go on after the passage
    own = [frozenset(terms(sentence.text)) for sentence in found]
    title = dict.fromkeys(terms(title_of(stretch)), IN_TITLE)
    lines: list[Line] = []
    for place, sentence in enumerate(found):
        beside = frozenset[str]().union(*own[max(0, place - 2) : place], *own[place + 1 : place + 2])
        around = title | dict.fromkeys(beside, BESIDE)
        around |= dict.fromkeys(terms(sentence.heading), ABOVE)
        follows = bool(lines) and lines[-1].sentence.heading_start == sentence.heading_start
        lines.append(
            Line(stretch, sentence, place, lines[-1].first if follows else place, own[place], around)
        )
    return lines


def stitched(passages: Sequence[Passage]) -> list[Passage]:
    """Join passages of a document that overlap, so that no sentence is cut or counted twice."""
    order: dict[str, list[Passage]] = {}
    for passage in passages:
        order.setdefault(passage.source, []).append(passage)
    joined: list[Passage] = []
    for own in order.values():
        own.sort(key=lambda passage: (passage.offset, -len(passage.text)))
        current = own[0]
        for passage in own[1:]:
            overlap = current.offset + len(current.text) - passage.offset
            same = current.text[len(current.text) - overlap :][: len(passage.text)]
            if overlap >= 0 and passage.text.startswith(same):
                rest = passage.text[overlap:]
                ends = {"next_offset": passage.next_offset} if rest or not overlap else {}
                current = current.model_copy(update={"text": current.text + rest, **ends})
            else:
                joined.append(current)
                current = passage
        joined.append(current)
    return joined
