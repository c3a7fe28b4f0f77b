"""CLIs that outlive their harness before the journal has their name, or do not live until then."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from harness import Harness
from harness.process_times import started_at
from harness.settings import from_environment
from harness.store.journal import read_events
from tests.e2e.running import Desk
from tests.e2e.scripts import REPORT
from tests.kit.processes import alive, clis_using, until_sync
from tests.kit.scripted_api import ScriptedProcess


def test_a_cli_that_is_not_in_the_journal_yet_is_found_and_ended(
    desk: Desk, api: ScriptedProcess, home: Path
) -> None:
    """Killed between the start of its CLI and the commit of its process id, it leaves no survivor."""
    note = home / "reached"
    command = desk.start(
        "run", "How?", "--sources", "notes.md", HARNESS_CRASH_AT=f"before cli.started#1@{note}"
    )
    until_sync(note.exists, "the CLI to be started", timeout_s=60)
    survivors = command.clis()
    assert survivors
    # Stopped, the CLI cannot notice that its parent is gone.
    for cli in survivors:
        cli.suspend()
    command.kill()
    assert all(alive(cli) for cli in survivors)
    assert command.session_id is not None
    code, finished = desk.run("resume", command.session_id)
    assert (code, finished["report"]) == (0, REPORT)
    assert not any(alive(cli) for cli in survivors)
    assert clis_using(api.base_url) == []


async def test_a_cli_that_dies_before_it_is_noted_is_launched_again(
    home: Path, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends like one that dies later: its session goes on, and is done."""
    (home / "notes.md").write_text("# Tides\n\nTides turn twice a day because the earth turns below them.\n")
    gone: list[int] = []

    def once_gone(pid: int) -> float:
        if not gone:
            gone.append(pid)
            raise psutil.NoSuchProcess(pid)
        return started_at(pid)

    monkeypatch.setattr("harness.agent_run.started_at", once_gone)
    settings = from_environment(home, {"dsn": dsn, "home": home / "data"}, {})
    async with Harness(project=home, settings=settings) as harness:
        session = await harness.start(
            "How often do tides turn?", sources=[home / "notes.md"], flow="single", upstream="offline"
        )
        assert (await session.result()).status == "done"
        kinds = [event.payload.kind for event in await read_events(await harness.database(), session.id)]
    assert len(gone) == 1
    assert (kinds.count("agent_run.interrupted"), kinds.count("cli.started")) == (1, 1)
