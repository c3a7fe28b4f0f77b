from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.counting import servers
from tests.e2e.running import Desk
from tests.kit.processes import kill
from tests.kit.scripted_api import ScriptedProcess, scripted_process


@pytest.fixture
def holds(home: Path) -> Path:
    """A folder where a stage of the played session can be held."""
    folder = home / "holds"
    folder.mkdir()
    return folder


@pytest.fixture
def api(home: Path, holds: Path) -> Iterator[ScriptedProcess]:
    """The played model, in a process that outlives the harness."""
    with scripted_process(
        "tests.e2e.scripts:expedition", home / "calls.jsonl", given={"holds": str(holds)}
    ) as played:
        yield played


@pytest.fixture
def desk(home: Path, dsn: str, api: ScriptedProcess) -> Iterator[Desk]:
    """A place to run commands at, with documents to search."""
    (home / "notes.md").write_text("# Notes\n\nTides, winds and stars. Ropes, sails and charts.\n")
    table = Desk(home, api.base_url, dsn)
    yield table
    table.close()
    for command in table.started:
        print(*command.lines, *command.errors, sep="\n")


@pytest.fixture
def embedded_desk(home: Path, api: ScriptedProcess) -> Iterator[Desk]:
    """A desk whose database is the embedded one of its own home, so that it can be killed."""
    (home / "notes.md").write_text("# Notes\n\nTides, winds and stars. Ropes, sails and charts.\n")
    table = Desk(home, api.base_url, None)
    yield table
    table.close()
    for process in servers(home):
        kill(process)
