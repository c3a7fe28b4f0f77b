"""From the paths given with `--sources` to the files of a session, in an order that does not change."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from harness.corpus.readers import SNIFFED_BYTES, Kind, kind_of
from harness.errors import BadSource

MAX_FILES = 5_000
MAX_BYTES = 256 * 1024 * 1024

# What a saved web page is drawn with: text, but nothing to read.
_PAGE_ASSETS = frozenset({".css", ".js", ".map", ".svg"})


@dataclass(frozen=True)
class SourceFile:
    """A file to read: `locator` is how a person knows it, `named` whether the person named this very file."""

    path: Path
    locator: str
    kind: Kind
    named: bool


def collect(paths: Sequence[str | os.PathLike[str]]) -> list[SourceFile]:
    """Find the files that `paths` mean: files as given, folders with all that lies below them, by name.

    In folders hidden and binary files are left out and links are followed; no file comes twice. A locator is
    the path from the file or folder that was given. No more than the beginning of a file is read.

    Raises BadSource for a path that is missing or cannot be read, for a named file of an unsupported format,
    when nothing is left to read, and for more than `MAX_FILES` files or `MAX_BYTES` bytes.
    """
    found: dict[Path, SourceFile] = {}
    size = 0
    try:
        for given in paths:
            for file in _expand(Path(os.path.abspath(given))):
                real = file.path.resolve()
                if real not in found:
                    found[real] = file
                    size += real.stat().st_size
                    _refuse_too_much(len(found), size)
    except OSError as error:
        raise BadSource(unreadable(str(error.filename), error)) from error
    if not found:
        raise BadSource(
            "The sources hold no document: name Markdown, text, HTML or PDF files, or folders with them."
        )
    return _told_apart(list(found.values()))


def unreadable(locator: str, error: OSError) -> str:
    """Say in a sentence why the system does not give a file's content, and what to do."""
    if isinstance(error, FileNotFoundError):
        return f"There is no file or folder {locator}: correct the path, or leave it out of the sources."
    reason = error.strerror or type(error).__name__
    return f"{locator} cannot be read ({reason}): allow reading it, or leave it out of the sources."


def _expand(path: Path) -> Iterator[SourceFile]:
    path.stat()  # raises for what is not there, which the tests below call false
    if path.is_dir():
        yield from _walk(path)
        return
    kind = _kind(path) if path.is_file() else None
    if kind is None:
        raise BadSource(
            f"{path.name} is not in a format that can be read: convert it to PDF, HTML, Markdown or text."
        )
    yield SourceFile(path, path.name, kind, named=True)


def _walk(root: Path) -> Iterator[SourceFile]:
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True, onerror=_raise):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if name.startswith(".") or path.suffix.lower() in _PAGE_ASSETS or not path.is_file():
                continue
            kind = _kind(path)
            if kind:
                yield SourceFile(path, path.relative_to(root.parent).as_posix(), kind, named=False)


def _kind(path: Path) -> Kind | None:
    with path.open("rb") as file:
        return kind_of(path.name, file.read(SNIFFED_BYTES))


def _raise(error: OSError) -> NoReturn:
    raise error


def _refuse_too_much(files: int, size: int) -> None:
    if files > MAX_FILES:
        too_much = f"{MAX_FILES:,} files"
    elif size > MAX_BYTES:
        too_much = f"{MAX_BYTES // 1024**2} MiB"
    else:
        return
    raise BadSource(
        f"The sources are more than {too_much}, the most a session takes: name only the files and folders "
        "that matter."
    )


def _told_apart(files: list[SourceFile]) -> list[SourceFile]:
    """Give files of the same locator, which come from different places, their whole path instead."""
    count = Counter(file.locator for file in files)
    return [file if count[file.locator] == 1 else replace(file, locator=str(file.path)) for file in files]
