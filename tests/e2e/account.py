"""What a session's journal and transcripts say in the end, beside what the upstream was asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from harness.events import Event
from harness.state import SessionState
from harness.store.database import Database
from harness.store.record import SessionRecord, read_record
from tests.e2e.counting import MOST_TOKENS
from tests.e2e.running import Desk
from tests.kit.script import Request
from tests.kit.scripted_api import ScriptedProcess


@dataclass(frozen=True)
class Account:
    """A session's record, and how often the upstream was asked for each stage and answered it to the end."""

    journal: list[Event]
    state: SessionState
    gaps: list[str]
    asked: Counter[str]
    answered: Counter[str]
    served: int

    def committed(self, kind: str) -> int:
        """How many events of a kind the journal has."""
        return sum(event.payload.kind == kind for event in self.journal)

    @property
    def repeated(self) -> set[str]:
        """The stages that were asked for more than once."""
        return {stage for stage, count in self.asked.items() if count > 1}

    def check(self) -> None:
        """Nothing is missing, and what was served is settled or known to be unattributed."""
        settled, lost = self.state.usage.output_tokens, self.state.usage.unattributed_calls
        # Of an answer that broke off the transcript has the whole blocks, but nobody told its usage.
        broken_off = [gap for gap in self.gaps if gap.endswith("has no usage in the journal")]
        assert len(broken_off) <= lost, self.gaps
        assert len(self.gaps) == len(broken_off), self.gaps
        assert settled <= self.served <= settled + MOST_TOKENS * lost, (settled, self.served, lost)


def account(desk: Desk, api: ScriptedProcess, session_id: str, stage_of: Callable[[Request], str]) -> Account:
    """Read it from the desk's database and the upstream's log."""

    async def read() -> SessionRecord:
        async with await Database.open(desk.dsn or "") as database:
            return await read_record(database, session_id)

    record = asyncio.run(read())
    calls = api.calls()
    return Account(
        journal=record.journal,
        state=record.state,
        gaps=[gap.what for gap in record.gaps],
        asked=Counter(stage_of(call.request) for call in calls.messages() if call.outcome != "invalid"),
        answered=Counter(stage_of(call.request) for call in calls.completed()),
        served=calls.served().output_tokens,
    )
