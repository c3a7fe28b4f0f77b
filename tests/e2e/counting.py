"""After a kill: let the session end, and count what was lost and what was asked for twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

from harness import events as ev
from harness.state import SessionState, fold
from harness.store.database import Database
from harness.store.embedded import EmbeddedServer, status
from harness.store.journal import read_events
from harness.store.record import read_record
from harness.store.spans import read_spans
from tests.e2e.plays import LEAD, Play
from tests.e2e.running import Command, Desk
from tests.e2e.scripts import OFF_SCRIPT
from tests.kit.calls import Call
from tests.kit.ledgers import mistakes
from tests.kit.processes import tree
from tests.kit.scripted_api import ScriptedProcess
from tests.kit.traces import violations

T = TypeVar("T")

MOST_TOKENS = 80
"""What a played call serves at most."""

NO_CALL = ("refused", "invalid", "cut")
"""Ends of calls that the script has made fail: they are tried again, whoever is killed."""

INTERRUPTED = 130
"""How a command ends that was stopped by Ctrl-C."""

_NOTHING: Counter[str] = Counter()


@dataclass(frozen=True)
class Row:
    """What one kill has cost.

    A call is repeated when its step is asked for again; one that the script
    refused or broke off does not count.
    It was on the wire when the upstream had it and the journal had no answer. `further_turns` are steps that
    an undisturbed run never asks for.
    """

    repeated: int
    off_the_wire: int
    on_the_wire: int
    further_turns: int
    runs_repeated: int
    orphan_calls: int
    events_lost: int
    unsettled_tokens: int
    gaps: tuple[str, ...]
    trace: tuple[str, ...] = ()
    ledger: tuple[str, ...] = ()

    def check(self) -> None:
        """Hold it against what is promised. Where the harness was not killed, nothing was on the wire."""
        assert self.off_the_wire == 0, self
        assert self.repeated <= self.on_the_wire, self
        assert self.runs_repeated == 0, self
        assert self.orphan_calls == 0, self
        assert self.events_lost == 0, self
        assert self.unsettled_tokens == 0, self
        assert self.gaps == (), self
        assert self.trace == (), self
        assert self.ledger == (), self


@dataclass(frozen=True)
class Standing:
    """How a session stands at the instant of a kill: its journal, and the steps it waits for an answer to."""

    session_id: str
    state: SessionState
    wire: Counter[str]

    @property
    def on_the_wire(self) -> int:
        """How many calls may have to be made again: open for the upstream, and for the journal too."""
        runs = self.state.runs.values()
        return min(self.wire.total(), sum(len(run.open_calls) + len(run.lost_calls) for run in runs))


def after_kill_of_harness(
    desk: Desk,
    api: ScriptedProcess,
    command: Command,
    play: Play = LEAD,
    given_up: Counter[str] = _NOTHING,
) -> Row | None:
    """Kill the harness (its CLIs live on), resume, and count; None if there is no session to resume.

    `given_up` are calls that the play itself has left on the wire before the kill.
    """
    command.kill()
    seen = len(api.calls().messages())
    before = standing(desk, api, command, play)
    orphans = len(api.calls().messages()) - seen
    if before is None:
        return None
    code, finished = desk.run("resume", before.session_id)
    return _row(desk, api, play, before, before.wire, given_up, code, finished, orphans)


def after_kill_of_another(
    desk: Desk,
    api: ScriptedProcess,
    command: Command,
    play: Play = LEAD,
    given_up: Counter[str] = _NOTHING,
    before: Standing | None = None,
) -> Row:
    """Something else was killed: the harness itself has to bring the session to its end."""
    code = command.wait(120)
    assert command.finished is not None, "".join(command.errors)
    finished = command.finished
    if code == INTERRUPTED and given_up:
        code, finished = desk.run("resume", finished["session_id"])
    return _row(desk, api, play, before, Counter(), given_up, code, finished, 0)


def standing(desk: Desk, api: ScriptedProcess, command: Command, play: Play) -> Standing | None:
    """Look at a session whose process is dead or stopped; None if there is no session yet."""
    session_id = command.session_id or only_session(desk)
    if session_id is None:
        return None
    journal = _read(desk, lambda database: read_events(database, session_id))
    answered = {e.payload.message_id for e in journal if isinstance(e.payload, ev.ModelFinished)}
    open_calls = [
        call
        for call in api.calls().messages()
        if call.outcome not in NO_CALL and (call.outcome == "open" or _message_id(call) not in answered)
    ]
    return Standing(
        session_id, fold(session_id, journal), Counter(play.stage(call.request) for call in open_calls)
    )


def _message_id(call: Call) -> object:
    return (call.message or {}).get("id")


def _row(
    desk: Desk,
    api: ScriptedProcess,
    play: Play,
    before: Standing | None,
    wire: Counter[str],
    given_up: Counter[str],
    code: int,
    finished: dict[str, Any],
    orphans: int,
) -> Row:
    session_id = str(finished["session_id"])

    record = _read(desk, lambda database: read_record(database, session_id))
    spans = _read(desk, lambda database: read_spans(database, session_id))
    after, numbers = record.state, [event.seq for event in record.journal]
    report = play.reports[len(after.questions) - 1]
    assert (code, finished["report"]) == (0, report), finished
    known = before.state.runs.values() if before else ()
    sent = _sent(api, play)
    repeated = sent - Counter(dict.fromkeys(sent, 1)) - given_up
    lost = (before.state.head if before else 0) - len(numbers)
    return Row(
        repeated=repeated.total(),
        off_the_wire=(repeated - wire).total(),
        on_the_wire=min(wire.total(), before.on_the_wire) if before else 0,
        further_turns=sum(stage.endswith(OFF_SCRIPT) for stage in sent),
        runs_repeated=sum(
            after.runs[run.id].attempts > run.attempts
            for run in known
            # One that asked for help is given more, and goes on.
            if run.final and run.status != "needs_help"
        ),
        orphan_calls=orphans,
        events_lost=max(0, lost) + sum(seq != n for n, seq in enumerate(numbers, start=1)),
        unsettled_tokens=_unsettled(api, after),
        gaps=tuple(gap.what for gap in record.gaps),
        trace=tuple(violations(spans, record.journal, after)),
        ledger=tuple(_read(desk, mistakes)),
    )


def _sent(api: ScriptedProcess, play: Play) -> Counter[str]:
    calls = api.calls().messages()
    return Counter(play.stage(call.request) for call in calls if call.outcome not in NO_CALL)


def _unsettled(api: ScriptedProcess, after: SessionState) -> int:
    """Tokens that break `settled <= served <= settled + unattributed`."""
    # What a fork has inherited was served to its origin.
    settled = (after.usage + after.inherited.usage).output_tokens
    served = api.calls().served().output_tokens
    most = settled + MOST_TOKENS * after.usage.unattributed_calls
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
