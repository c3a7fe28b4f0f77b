"""A whole session on the oldest Postgres that is promised, whose programs the machine has to have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.store.embedded import EmbeddedServer, status
from harness.store.migrate import OLDEST_SERVER
from tests.e2e.running import Desk, desk_with_notes
from tests.e2e.scripts import ALONE, ANSWER, FOLLOW_UP, stage_alone
from tests.kit.oldest_postgres import use_oldest_postgres
from tests.kit.processes import until_sync
from tests.kit.scripted_api import ScriptedProcess, scripted_process


@pytest.fixture
def api(home: Path, holds: Path) -> Iterator[ScriptedProcess]:
    """The played model: an analyst that works alone."""
    with scripted_process(
        "tests.e2e.scripts:alone", home / "calls.jsonl", given={"holds": str(holds)}
    ) as played:
        yield played


@pytest.fixture
def old_desk(home: Path, api: ScriptedProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A desk whose home holds a database that the oldest Postgres has made, and has to serve."""
    use_oldest_postgres(monkeypatch)
    with (
        EmbeddedServer.acquire(home / "harness") as server,
        desk_with_notes(home, api.base_url, None) as desk,
    ):
        assert status(home / "harness").version == str(OLDEST_SERVER), server.dsn
        yield desk


def test_a_session_is_killed_resumed_and_asked_again(
    old_desk: Desk, api: ScriptedProcess, holds: Path
) -> None:
    """Killed amid a model call, it goes on to its report, ends for those who wait, and answers on."""
    (holds / "step-1.hold").touch()
    command = old_desk.start("run", "How?", "--sources", "notes.md", "--flow", "single")
    until_sync(lambda: "step-1" in _open(api), "the second step to be on the wire", timeout_s=60)
    command.kill(clis_too=True)
    session_id = command.session_id
    assert session_id is not None
    (holds / "step-1.hold").unlink()
    code, finished = old_desk.run("resume", session_id)
    assert (code, finished["report"]) == (0, ALONE)
    assert old_desk.run("wait", session_id)[0] == 0
    code, answered = old_desk.run("ask", session_id, FOLLOW_UP)
    assert (code, answered["report"]) == (0, ANSWER)


def test_a_submitted_session_is_paused_and_cancelled(old_desk: Desk) -> None:
    """Nobody has taken it up: it is stopped in the database alone."""
    code, submitted = old_desk.run("submit", "How?", "--sources", "notes.md", "--flow", "single")
    assert code == 0
    for stop, status_after in (("pause", "suspended"), ("cancel", "cancelled")):
        assert old_desk.run(stop, submitted["session_id"])[0] == 0
        _, shown = old_desk.run("show", submitted["session_id"])
        assert shown["status"] == status_after, stop


def _open(api: ScriptedProcess) -> list[str]:
    return [stage_alone(call.request) for call in api.calls().messages() if call.outcome == "open"]
