"""What a session's journal and transcripts say in the end, beside what the upstream was asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from harness.audit import audit
from harness.events import Event
from harness.state import SessionState, fold
from harness.store.database import Database
from harness.store.journal import read_events
from harness.store.transcripts import read_transcript
from tests.e2e.running import Desk
from tests.kit.script import Request
from tests.kit.scripted_api import ScriptedProcess

MOST_TOKENS = 80
"""What a played call serves at most."""


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

    async def read() -> tuple[list[Event], list[str]]:
        async with await Database.open(desk.dsn or "") as database:
            journal = await read_events(database, session_id)
            state = fold(session_id, journal)
            ids = {run.claude_session_id for run in state.runs.values() if run.claude_session_id}
            transcripts = {each: await read_transcript(database, session_id, each) for each in ids}
        return journal, [gap.what for gap in audit(journal, transcripts)]

    journal, gaps = asyncio.run(read())
    calls = api.calls()
    return Account(
        journal=journal,
        state=fold(session_id, journal),
        gaps=gaps,
        asked=Counter(stage_of(call.request) for call in calls.messages()),
        answered=Counter(stage_of(call.request) for call in calls.completed()),
        served=calls.served().output_tokens,
    )
