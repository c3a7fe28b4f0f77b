"""What Edit and Write make of a file that was changed after the agent read it, and before a resume."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.kit.script import ToolResult
from tests.kit.scripted_api import Reply, in_turn, text, tool_use
from tests.kit.sdk import Bench, Gate

FILES: dict[str, Any] = {"tools": ["Read", "Edit", "Write"], "allowed_tools": ["Read", "Edit", "Write"]}


async def after_a_change(bench: Bench, tool: str, old: str, changed: str, *, deferred: bool) -> ToolResult:
    """Let an agent read "one", change the file, and resume it to write it; give what came of that."""
    file = _file(bench)
    file.parent.mkdir()
    file.write_text("one\n")
    given = {"file_path": str(file)}
    given |= {"old_string": old, "new_string": "two"} if tool == "Edit" else {"content": "two\n"}
    turns = [Reply([tool_use("Read", {"file_path": str(file)})]), Reply([tool_use(tool, given)])]
    if not deferred:
        turns.insert(1, Reply([text("I have read it.")]))
    bench.api.script = in_turn(*turns, Reply([text("done")]))
    first = Gate(lambda firing: "defer" if deferred and firing.tool == tool else "allow")
    run = await bench.run(gate=first, **FILES)
    file.write_text(changed)
    os.utime(file, (4e9, 4e9))  # later than any clock that the CLI may have read
    await bench.run(None if deferred else "Go on.", gate=Gate(), resume=run.session, **FILES)
    return bench.api.calls.messages()[-1].request.tool_results()[-1]


def _file(bench: Bench) -> Path:
    return bench.home / "work" / "notes.txt"


@pytest.mark.parametrize("deferred", [False, True], ids=["prompted", "at the deferred call"])
async def test_write_is_refused(bench: Bench, deferred: bool) -> None:
    """The changed file stays as it is, and the agent is told to read it again."""
    result = await after_a_change(bench, "Write", "", "zero\none\n", deferred=deferred)
    assert result.is_error
    assert "File has been modified since read" in result.text
    assert _file(bench).read_text() == "zero\none\n"


@pytest.mark.parametrize("deferred", [False, True], ids=["prompted", "at the deferred call"])
async def test_edit_is_made_where_its_text_still_is(bench: Bench, deferred: bool) -> None:
    """The change by others is kept, and the agent is told of it."""
    result = await after_a_change(bench, "Edit", "one", "zero\none\n", deferred=deferred)
    assert not result.is_error
    assert "had been modified on disk since you last read it" in result.text
    assert _file(bench).read_text() == "zero\ntwo\n"


async def test_edit_is_refused_where_its_text_is_gone(bench: Bench) -> None:
    """The changed file stays as it is."""
    result = await after_a_change(bench, "Edit", "one", "zero\n", deferred=False)
    assert result.is_error
    assert _file(bench).read_text() == "zero\n"
