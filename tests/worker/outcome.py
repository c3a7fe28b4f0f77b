"""What came of a service's sessions: each one's record beside what the upstream was asked, and the sums."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from harness import events as ev
from harness.store.database import Database
from harness.store.record import SessionRecord, read_record
from harness.store.spans import read_spans
from tests.e2e.account import Account
from tests.kit.calls import Call
from tests.kit.ledgers import mistakes
from tests.kit.processes import until_sync
from tests.kit.traces import violations
from tests.worker.scripts import stage_of
from tests.worker.service import Service


@dataclass(frozen=True)
class Sums:
    """What all sessions came to; `taken_up` counts how often a process went on with one after the first."""

    sessions: int
    calls: int
    taken_up: int
    repeated: int
    unattributed: int

    def __str__(self) -> str:
        return (
            f"{self.sessions} sessions, {self.calls} model calls, {self.taken_up} resumptions, "
            f"{self.repeated} calls repeated, {self.unattributed} unattributed"
        )


def check_all(service: Service, *, but: str = "") -> Sums:
    """Hold every session against what is promised: as if nothing had happened, but for calls on the wire.

    `but` is a session that a person has stopped.
    """
    records, spans, ledger = asyncio.run(_read(service))
    owners = {
        payload.claude_session_id: session_id
        for session_id, record in records.items()
        for event in record.journal
        if isinstance(payload := event.payload, ev.AgentRunStarted)
    }
    calls: dict[str, list[Call]] = defaultdict(list)
    for call in service.api.calls().messages():
        calls[owners[call.request.session]].append(call)
    sums, problems = [], []
    for session_id, record in records.items():
        if session_id == but:
            continue
        try:
            sums.append(_check(service, session_id, record, calls[session_id], spans[session_id]))
        except AssertionError as problem:
            problems.append(f"{session_id}, {service.sessions[session_id].name}: {problem}")
    assert not [*problems, *ledger], "\n".join([*problems, *ledger])
    return Sums(
        sessions=len(sums),
        calls=sum(each.calls for each in sums),
        taken_up=sum(each.taken_up for each in sums),
        repeated=sum(each.repeated for each in sums),
        unattributed=sum(each.unattributed for each in sums),
    )


def check_nothing_left(service: Service) -> None:
    """No session is due or leased, and no process of an agent lives; a lease of the dead runs out."""

    def left() -> list[object]:
        rows = service.asked("select id from session where due_at is not null or lease_until > now()")
        return [*rows, *service.processes()]

    until_sync(lambda: not left(), "leases and processes to be gone")


def _check(
    service: Service, session_id: str, record: SessionRecord, calls: list[Call], trace: list[str]
) -> Sums:
    kind, kinds = service.sessions[session_id], Counter(event.payload.kind for event in record.journal)
    state = record.state
    assert (state.status, state.report) == ("done", kind.report)
    assert kinds["session.finished"] == 1
    finals = Counter(
        event.agent_run_id for event in record.journal if event.payload.kind == "agent_run.finished"
    )
    assert finals == dict.fromkeys(state.runs, 1), "an agent run has not ended once"
    tokens = service.tokens(session_id)
    assert tokens == sorted(tokens), "an event of an old token came after one of a new"
    assert trace == []
    account = Account(
        journal=record.journal,
        state=state,
        gaps=[gap.what for gap in record.gaps],
        asked=Counter(stage_of(call.request) for call in calls),
        answered=Counter(stage_of(call.request) for call in calls if call.outcome == "completed"),
        served=sum(call.usage.output_tokens for call in calls if call.usage),
    )
    account.check()
    repeated = sum(account.asked.values()) - len(account.asked)
    assert repeated <= state.usage.unattributed_calls, account.asked
    return Sums(1, len(calls), kinds["session.resumed"] - 1, repeated, state.usage.unattributed_calls)


async def _read(service: Service) -> tuple[dict[str, SessionRecord], dict[str, list[str]], list[str]]:
    async with await Database.open(service.dsn) as database:
        records = {each: await read_record(database, each) for each in service.sessions}
        spans = {
            each: violations(await read_spans(database, each), record.journal, record.state)
            for each, record in records.items()
        }
        ledger = await mistakes(database)
    return records, spans, ledger


def doctor_agrees(service: Service, sessions: Iterable[str]) -> None:
    """Ask the doctor about these sessions: their records are whole."""
    for session_id in sessions:
        code, found = service.desk.run("doctor", "--session", session_id)
        assert (code, found["ok"]) == (0, True), found
