"""The toolset `files`: the files of the session's workspace, to list, to read and to search."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.corpus.readers import SNIFFED_BYTES, decode, kind_of
from harness.tools import InvalidInput, Tool, ToolContext, ToolProblem, Toolset, TooSlow
from harness.toolsets.workspace import Workspace

MOST_BYTES = 5_000_000
"""Of a file that is read or searched."""

MOST_LISTED = 200
SEARCH_S = 10.0
"""Seconds a search may take."""

_MATCHER = Path(__file__).with_name("matching.py")


class ListInput(BaseModel):
    """What to list."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(default=".", max_length=1000, description="A folder of the workspace.")
    pattern: str = Field(
        default="",
        max_length=200,
        description="All files below whose name or path fits, like `*.md`; else what stands in the folder.",
    )


class Entry(BaseModel):
    """A file, with its size in bytes, or a folder."""

    path: str
    kind: Literal["file", "folder"]
    size: int | None


class Listing(BaseModel):
    """The first entries; `total` counts all of them."""

    entries: list[Entry]
    total: int


class ReadInput(BaseModel):
    """What to read."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(min_length=1, max_length=1000, description="A file, as list or grep names it.")
    offset: int = Field(default=0, ge=0, le=2**30, description="Where to begin, in characters.")
    length: int = Field(default=4000, ge=200, le=20_000, description="How many characters to give at most.")


class Text(BaseModel):
    """A part of a file; `next_offset` is null at its end, `length` is the whole file's, in characters."""

    path: str
    offset: int
    text: str
    next_offset: int | None
    length: int


class GrepInput(BaseModel):
    """What to search for."""

    model_config = ConfigDict(extra="forbid")

    pattern: str = Field(
        min_length=1, max_length=300, description="A regular expression of Python, tried on each line."
    )
    path: str = Field(default=".", max_length=1000, description="A folder or a file of the workspace.")
    files: str = Field(default="*", max_length=200, description="Only files that fit, like `*.md`.")
    ignore_case: bool = Field(default=False, description="Whether capitals do not matter.")
    limit: int = Field(default=50, ge=1, le=200, description="The most lines to give.")


class Line(BaseModel):
    """A line that fits; `line` counts from 1."""

    path: str
    line: int
    text: str


class Found(BaseModel):
    """The first lines that fit; `more` says that there may be others, `skipped` counts files not searched."""

    lines: list[Line]
    more: bool
    skipped: int


async def _list(context: ToolContext, asked: ListInput) -> Listing:
    return await asyncio.to_thread(_listing, Workspace.of(context), asked)


def _listing(workspace: Workspace, asked: ListInput) -> Listing:
    folder = workspace.find(asked.path)
    try:
        if asked.pattern or folder.is_file():
            found = list(workspace.files(folder, asked.pattern or "*"))
        else:
            found = workspace.entries(folder)
        shown = [_entry(workspace, path) for path in found[:MOST_LISTED]]
    except OSError as problem:
        raise ToolProblem(f"'{asked.path}' cannot be listed ({problem.strerror}).") from problem
    return Listing(entries=shown, total=len(found))


def _entry(workspace: Workspace, path: Path) -> Entry:
    if path.is_dir():
        return Entry(path=workspace.name(path), kind="folder", size=None)
    return Entry(path=workspace.name(path), kind="file", size=path.stat().st_size)


async def _read(context: ToolContext, asked: ReadInput) -> Text:
    return await asyncio.to_thread(_text, Workspace.of(context), asked)


def _text(workspace: Workspace, asked: ReadInput) -> Text:
    path = workspace.find(asked.path)
    if not path.is_file():
        raise InvalidInput(f"'{asked.path}' is no file; list shows what is in a folder.")
    if path.stat().st_size > MOST_BYTES:
        raise ToolProblem(f"'{asked.path}' is larger than {MOST_BYTES:,} bytes; search in it with grep.")
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise ToolProblem(f"'{asked.path}' cannot be read ({problem.strerror}).") from problem
    if kind_of("", data[:SNIFFED_BYTES]) in (None, "pdf"):
        raise ToolProblem(f"'{asked.path}' is not a text file; documents are given to a session as sources.")
    text = decode(data)
    if asked.offset and asked.offset >= len(text):
        raise InvalidInput(f"'{asked.path}' has {len(text)} characters; read from an offset below that.")
    end = asked.offset + asked.length
    return Text(
        path=workspace.name(path),
        offset=asked.offset,
        text=text[asked.offset : end],
        next_offset=end if end < len(text) else None,
        length=len(text),
    )


async def _grep(context: ToolContext, asked: GrepInput) -> Found:
    workspace = Workspace.of(context)

    def chosen() -> list[tuple[str, str]]:
        folder = workspace.find(asked.path)
        return [(str(path), workspace.name(path)) for path in workspace.files(folder, asked.files)]

    given = {
        "pattern": asked.pattern,
        "ignore_case": asked.ignore_case,
        "files": await asyncio.to_thread(chosen),
        "limit": asked.limit,
        "most_bytes": MOST_BYTES,
        "cpu_s": math.ceil(SEARCH_S) + 1,
    }
    said = json.loads(await _matched(json.dumps(given)))
    if "problem" in said:
        raise InvalidInput(f"pattern: {said['problem']}.")
    return Found(**said)


async def _matched(given: str) -> bytes:
    """Search in a process of its own: some expressions take forever, and no thread can be ended."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-S",
        str(_MATCHER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(SEARCH_S):
            said, _ = await process.communicate(given.encode())
    except TimeoutError as problem:
        raise TooSlow(
            f"The search took longer than {SEARCH_S:g} s; use a simpler pattern or a smaller folder."
        ) from problem
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise ToolProblem("The search broke off; use a simpler pattern or a smaller folder.")
    return said


_LIST = """\
List the workspace: what stands in a folder, or with a pattern all files below it that fit. Gives at most \
200 entries; `total` counts all."""

_READ = """\
Read a text file of the workspace, a part at a time: begin at `offset` and go on at `next_offset`, which is \
null at the end. To find a place in a long file use grep first."""

_GREP = """\
Search the text files of the workspace for lines that fit a regular expression, and get each with its file \
and line number. `more` says that the limit was reached: take a narrower pattern or folder."""

FILES = Toolset(
    "files",
    (
        Tool("list", _LIST, ListInput, _list, replay="read_only"),
        Tool("read", _READ, ReadInput, _read, replay="read_only"),
        Tool("grep", _GREP, GrepInput, _grep, replay="read_only", tries=1),
    ),
)
