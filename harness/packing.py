"""The files of a bundle, packed to be stored, and laid out again in a folder that is named by their hash."""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Self

from pydantic import Field

from harness.errors import BadBundle, HarnessError, StoreError
from harness.records import Record

LARGEST = 8 * 1024**2
"""Bytes that the files of a bundle may have in all: they are kept in the database with each version."""

Files = Mapping[str, bytes]
"""Contents by the path below the folder that the bundle stands in: `researcher/AGENT.md`, or `scout.md`."""


class Packed(Record):
    """A bundle's files as JSON: texts as they are, anything else in base64. `sha256` is that of all of it."""

    sha256: str
    texts: dict[str, str]
    binaries: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def of(cls, files: Files) -> Self:
        """Pack files."""
        texts, binaries = dict[str, str](), dict[str, str]()
        for path, content in files.items():
            try:
                texts[path] = content.decode()
            except UnicodeDecodeError:
                binaries[path] = base64.b64encode(content).decode()
        return cls(sha256=digest(files), texts=texts, binaries=binaries)

    def files(self) -> Files:
        """Give the files back.

        Raises:
            StoreError: they are not what was packed.
        """
        files = {path: text.encode() for path, text in self.texts.items()}
        files |= {path: base64.b64decode(text) for path, text in self.binaries.items()}
        strange = [path for path in files if not _below(path)]
        if strange or len(_entries(files)) != 1 or digest(files) != self.sha256:
            raise StoreError(
                f"The stored files of a bundle are not those of their hash {self.sha256[:12]}; "
                "restore the table bundle_version or rollout from a backup."
            )
        return files


def read_files(entry: Path) -> dict[str, bytes]:
    """Read all of a bundle: its folder, or its single file. Hidden files and `__pycache__` are left out.

    Raises:
        BadBundle: a file cannot be read, or there is too much.
    """
    paths = [entry] if entry.is_file() else [path for path in sorted(entry.rglob("*")) if path.is_file()]
    files: dict[str, bytes] = {}
    for path in paths:
        inner = path.relative_to(entry.parent)
        if any(part.startswith(".") or part == "__pycache__" for part in inner.parts[1:]):
            continue
        try:
            files[inner.as_posix()] = path.read_bytes()
        except OSError as error:
            raise BadBundle(f"{path} cannot be read: {error.strerror}; mend or remove it.") from error
    if sum(map(len, files.values())) > LARGEST:
        raise BadBundle(
            f"{entry} has more than {LARGEST // 1024**2} MiB of files, all of which are kept with a version; "
            "put data elsewhere."
        )
    return files


def digest(files: Files) -> str:
    """Give the sha256 of names and contents."""
    each = [[path, hashlib.sha256(content).hexdigest()] for path, content in sorted(files.items())]
    return hashlib.sha256(json.dumps(each).encode()).hexdigest()


def unpack(packed: Packed, root: Path) -> Path:
    """Lay a bundle's files out below `root`, whole or not at all, and give its folder or single file.

    What is there already is compared byte for byte, and replaced if it was changed.

    Raises:
        StoreError: the files are not what was packed.
        HarnessError: they cannot be written.
    """
    files = packed.files()
    (name,) = _entries(files)
    place = root / packed.sha256
    try:
        if not _holds(place / name, files):
            _lay_out(files, place)
    except OSError as error:
        raise HarnessError(
            f"The files of a kept bundle cannot be written to {place}: {error.strerror}; "
            "make room there, or set HARNESS_HOME to another folder."
        ) from error
    return place / name


def _lay_out(files: Files, place: Path) -> None:
    (name,) = _entries(files)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".laying-", dir=place.parent) as scratch:
        draft = Path(scratch, "draft")
        for path, content in files.items():
            file = draft / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        try:
            draft.rename(place)
        except OSError:
            # It is there: another process was faster, or somebody has changed what was laid out.
            if not _holds(place / name, files):
                place.rename(Path(scratch, "changed"))
                draft.rename(place)


def _holds(entry: Path, files: Files) -> bool:
    return entry.exists() and read_files(entry) == files


def _entries(files: Files) -> set[str]:
    return {PurePosixPath(path).parts[0] for path in files}


def _below(path: str) -> bool:
    pure = PurePosixPath(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts
