from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.counting import Row, servers
from tests.e2e.running import Desk, desk_with_notes
from tests.e2e.table import PROPERTY, Missed, Tally, kill_property, table
from tests.kit.processes import kill
from tests.kit.scripted_api import ScriptedProcess, scripted_process


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what all kills of this run have cost."""
    reports = [report for kept in terminalreporter.stats.values() for report in kept]
    kills = [
        value
        for report in reports
        if getattr(report, "when", None) == "teardown"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if kills:
        terminalreporter.section("what kills have cost")
        for line in table(kills):
            terminalreporter.write_line(line)


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Tally:
    """Adds a kill to the table that is printed at the end."""

    def add(flow: str, victim: str, what: Row | Missed) -> None:
        record_property(PROPERTY, kill_property(flow, victim, what))

    return add


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
    with desk_with_notes(home, api.base_url, dsn) as table:
        yield table


@pytest.fixture
def embedded_desk(home: Path, api: ScriptedProcess) -> Iterator[Desk]:
    """A desk whose database is the embedded one of its own home, so that it can be killed."""
    with desk_with_notes(home, api.base_url, None) as table:
        yield table
    for process in servers(home):
        kill(process)
