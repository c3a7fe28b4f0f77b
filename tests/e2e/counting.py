"""After a kill: let the session end, and count what was lost and what was paid twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from harness.audit import audit
from harness.state import SessionState, fold
from harness.store.database import Database
from harness.store.embedded import EmbeddedServer, status
from harness.store.journal import load_state, read_events
from harness.store.transcripts import read_transcript
from tests.e2e.running import Command, Desk
from tests.e2e.scripts import REPORT, stage_of
from tests.kit.processes import tree
from tests.kit.scripted_api import ScriptedProcess

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """What one kill has cost. `on_the_wire` are agent runs of the killed process with an open model call."""

    repeated: int
    on_the_wire: int
    runs_repeated: int
    orphan_calls: int
    events_lost: int
    unsettled_tokens: int
    gaps: tuple[str, ...]

    def check(self) -> None:
        """Hold it against what is promised."""
        assert self.repeated <= self.on_the_wire, self
        assert self.runs_repeated == 0, self
        assert self.orphan_calls == 0, self
        assert self.events_lost == 0, self
        assert self.unsettled_tokens == 0, self
        assert self.gaps == (), self


def after_kill_of_harness(desk: Desk, api: ScriptedProcess, command: Command) -> Row | None:
    """Kill the harness (its CLIs live on), resume, and count; None if there is nothing to resume."""
    command.kill()
    at_kill = len(api.calls().messages())
    session_id = command.session_id or only_session(desk)
    if session_id is None:
        return None
    before = _read(desk, lambda database: load_state(database, session_id))
    orphans = len(api.calls().messages()) - at_kill
    code, finished = desk.run("resume", session_id)
    assert (code, finished["report"]) == (0, REPORT), finished
    return _row(desk, api, session_id, before, orphans)


def after_kill_of_another(desk: Desk, api: ScriptedProcess, command: Command) -> Row:
    """Something else was killed: the harness itself has to bring the session to its end."""
    code = command.wait(120)
    assert command.finished is not None, "".join(command.errors)
    assert (code, command.finished["report"]) == (0, REPORT), command.finished
    return _row(desk, api, command.finished["session_id"], None, 0)


def _row(desk: Desk, api: ScriptedProcess, session_id: str, before: SessionState | None, orphans: int) -> Row:
    async def record(database: Database) -> tuple[SessionState, list[int], tuple[str, ...]]:
        journal = await read_events(database, session_id)
        state = fold(session_id, journal)
        ids = {run.claude_session_id for run in state.runs.values() if run.claude_session_id}
        transcripts = {each: await read_transcript(database, session_id, each) for each in ids}
        gaps = tuple(gap.what for gap in audit(journal, transcripts))
        return state, [event.seq for event in journal], gaps

    after, numbers, gaps = _read(desk, record)
    known = before.runs.values() if before else ()
    stages = Counter(stage_of(call.request) for call in api.calls().completed())
    served = api.calls().served()
    settled = after.usage
    lost = (before.head if before else 0) - len(numbers)
    return Row(
        repeated=sum(count - 1 for count in stages.values()),
        on_the_wire=sum(bool(run.open_calls) for run in known),
        runs_repeated=sum(after.runs[run.id].attempts > run.attempts for run in known if run.final),
        orphan_calls=orphans,
        events_lost=max(0, lost) + sum(seq != n for n, seq in enumerate(numbers, start=1)),
        unsettled_tokens=_unsettled(settled.output_tokens, served.output_tokens, settled.unattributed_calls),
        gaps=gaps,
    )


def _unsettled(settled: int, served: int, unattributed_calls: int) -> int:
    """Tokens that break `settled <= served <= settled + unattributed`; a played call serves 80 at most."""
    most = settled + 80 * unattributed_calls
    return max(0, settled - served) + max(0, served - most)


def only_session(desk: Desk) -> str | None:
    """The id of the one session there is."""
    code, listed = desk.run("sessions")
    assert code == 0
    return str(listed["sessions"][0]["session_id"]) if listed["sessions"] else None


def servers(home: Path) -> list[psutil.Process]:
    """The embedded server of a home, postmaster and all."""
    pid = status(home / "harness").pid
    return [psutil.Process(pid), *tree(pid)] if pid else []


def _read(desk: Desk, work: Callable[[Database], Awaitable[T]]) -> T:
    async def read(dsn: str) -> T:
        async with await Database.open(dsn) as database:
            return await work(database)

    with EmbeddedServer.acquire(desk.home / "harness") as server:
        return asyncio.run(read(server.dsn))
