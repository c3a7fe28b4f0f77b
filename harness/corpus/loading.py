"""From the files of a session to documents with their addresses, all of them or none."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from harness.corpus.collect import SourceFile, unreadable
from harness.corpus.document import Document
from harness.corpus.readers import read
from harness.errors import BadSource

# Part of every document's address: raise it when files are read or cut differently than before.
_READING = 2

_SHOWN_PROBLEMS = 5


@dataclass(frozen=True)
class Loaded:
    """A file's content under its address; `document` is None when that is stored already."""

    locator: str
    sha256: str
    document: Document | None

    def redacted(self, redact: Callable[[str], str]) -> Loaded:
        """Give the same without secrets, under the same address."""
        document = self.document and self.document.redacted(redact)
        return Loaded(redact(self.locator), self.sha256, document)


async def load(
    files: Sequence[SourceFile], known: Callable[[Sequence[str]], Awaitable[set[str]]]
) -> list[Loaded]:
    """Read the files, leaving out those of whose addresses `known` says that they are stored.

    A file without text is an error when the person named it, and left out when it was found in a folder.

    Raises BadSource with everything that is wrong, when anything is or when no text is left.
    """
    problems: list[BadSource] = []
    loaded: list[Loaded] = []
    addresses: list[tuple[SourceFile, str]] = []
    # Each file is a thread's work of its own, so that a cancelled ingest ends with the file it is at.
    for file in files:
        try:
            addresses.append((file, await asyncio.to_thread(_address, file)))
        except BadSource as problem:
            problems.append(problem)
    stored = await known([address for _, address in addresses])
    for file, address in addresses:
        try:
            each = (
                Loaded(file.locator, address, None)
                if address in stored
                else await asyncio.to_thread(_read, file)
            )
        except BadSource as problem:
            problems.append(problem)
        else:
            loaded += [each] if each else []
    if problems:
        raise _together(problems)
    if not loaded:
        raise BadSource("The sources hold no text: name files that have something to read in them.")
    return loaded


def address_of(data: bytes, kind: str) -> str:
    """Give the address of a content: the SHA-256 of its bytes and of how they are read, in hexadecimal."""
    return hashlib.sha256(f"{kind} {_READING}\n".encode() + data).hexdigest()


def _address(file: SourceFile) -> str:
    return address_of(_bytes(file), file.kind)


def _read(file: SourceFile) -> Loaded | None:
    data = _bytes(file)
    document = read(data, file.kind, file.locator)
    if document.text:
        return Loaded(file.locator, address_of(data, file.kind), document)
    if file.named:
        raise BadSource(f"{file.locator} holds no text: leave it out of the sources.")
    return None


def _bytes(file: SourceFile) -> bytes:
    try:
        return file.path.read_bytes()
    except OSError as error:
        raise BadSource(unreadable(file.locator, error)) from error


def _together(problems: list[BadSource]) -> BadSource:
    if len(problems) == 1:
        return problems[0]
    shown = "; ".join(str(problem).rstrip(".") for problem in problems[:_SHOWN_PROBLEMS])
    more = len(problems) - _SHOWN_PROBLEMS
    return BadSource(
        f"{len(problems)} sources cannot be used: {shown}{f'; and {more} more' if more > 0 else ''}."
    )
