"""A CLI that outlived its harness, before the journal had its name."""

from __future__ import annotations

from pathlib import Path

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
