"""The scores of sessions: kept first, shown from here, and taken from the outbox to be sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from harness.events import Event
from harness.records import Record
from harness.store.database import Database, Json
from harness.store.queries import queries
from harness.store.spans import read_agent_run_spans
from harness.tracing.scores import Score, scores_of

_SQL = queries("spans")


class KeptScore(Score):
    """A score as it is stored: how often it was taken to be sent, and why it will never be, if so."""

    tries: int
    sent_at: datetime | None
    refused: str | None


async def add_score(database: Database, score: Score) -> None:
    """Keep a score. The same again changes nothing; under its id a changed one takes its place."""
    await database.run(_SQL["add_score"], score.model_dump() | {"value": Json(score.value)})


async def note_scores(
    database: Database, session_id: str, journal: Iterable[Event], *, comments: bool = True
) -> None:
    """Keep the scores that follow from a session's events; to do so again is harmless."""
    spans = await read_agent_run_spans(database, session_id)
    for score in scores_of(journal, spans, comments=comments):
        await add_score(database, score)


async def read_scores(database: Database, session_id: str) -> list[KeptScore]:
    """Read a session's scores in the order in which they were given."""
    return [_score(row) for row in await database.all(_SQL["scores"], {"session_id": session_id})]


class Left(Record):
    """How many scores wait, and for how many seconds none of them is to be tried."""

    left: int
    pause_s: float


class ScoreOutbox:
    """A tenant's scores, or those of one session, that have not been sent.

    Taken scores are out of others' sight for `hold_s` seconds: a sender that dies gives them back by that.
    """

    def __init__(
        self, database: Database, tenant: str, session_id: str | None = None, *, hold_s: float = 120.0
    ) -> None:
        self._database = database
        self._whose = {"tenant": tenant, "session_id": session_id}
        self._hold_s = hold_s

    async def take(self, limit: int) -> list[KeptScore]:
        """Take scores that are due."""
        given = self._whose | {"limit": limit, "hold": self._hold_s}
        taken = [_score(row) for row in await self._database.all(_SQL["take_scores"], given)]
        return sorted(taken, key=lambda score: score.given_at)

    async def sent(self, score: Score) -> None:
        """Note that the receiver has it."""
        await self._database.run(_SQL["scores_sent"], {"ids": [score.id]})

    async def later(self, scores: Sequence[Score], pause_s: float) -> None:
        """Give scores back, to be taken again after a pause."""
        ids = [score.id for score in scores]
        await self._database.run(_SQL["scores_later"], {"ids": ids, "pause": pause_s})

    async def refuse(self, score: Score, problem: str) -> None:
        """Note that the receiver will never take it, and why."""
        await self._database.run(_SQL["score_refused"], {"id": score.id, "problem": problem})

    async def left(self) -> Left:
        """Count the scores that wait, those that are not due yet or are taken included."""
        row = await self._database.one(_SQL["scores_left"], self._whose)
        assert row is not None, "a count is a row"
        return Left.model_validate(row)


def _score(row: dict[str, Any]) -> KeptScore:
    return KeptScore.model_validate(row | {"id": str(row["id"]), "session_id": str(row["session_id"])})
