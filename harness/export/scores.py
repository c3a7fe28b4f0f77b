"""Scores on their way to Langfuse: kept in the store first, and sent from there until they have arrived."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.backoff import pause_s
from harness.errors import StoreError
from harness.export.langfuse import Langfuse, LangfuseProblem, receives
from harness.settings import Settings
from harness.store.database import Database
from harness.store.journal import read_events_of
from harness.store.scores import KeptScore, ScoreOutbox, note_scores
from harness.tracing.scores import SCORED

log = logging.getLogger(__name__)

WITHIN_S = 5.0
"""How long sending may take, in seconds."""

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 600.0

SUSPICIOUS = 5
"""Scores that Langfuse may find unfit before it has taken any: then it is not the scores."""

_AT_ONCE = 50


@dataclass(frozen=True)
class Sent:
    """How many scores Langfuse has taken now, will never take, and how many wait.

    `problem` says why some wait, `refusal` why the last one was refused. None of those that wait is due for
    `pause_s` seconds.
    """

    sent: int
    refused: int
    left: int
    problem: str | None = None
    refusal: str | None = None
    pause_s: float = 0


async def send_scores(
    database: Database, settings: Settings, session_id: str | None = None, *, deadline_s: float = WITHIN_S
) -> Sent:
    """Send a tenant's scores that are due, or those of one session, for at most `deadline_s` seconds.

    A score that was sent twice is there once. What is not taken now waits, longer each time. Trouble with
    the server ends the sending, so that it is asked once, and not once for each score. Raises StoreError.
    """
    outbox = ScoreOutbox(database, settings.tenant, session_id)
    waiting = await outbox.left()
    if not waiting.left or not receives(settings):
        return Sent(0, 0, waiting.left)
    async with Langfuse(settings, deadline_s) as langfuse:
        sending = _Sending(outbox, langfuse)
        await sending.run()
    problem = str(sending.problem) if sending.problem else None
    waiting = await outbox.left()
    return Sent(sending.sent, sending.refused, waiting.left, problem, sending.refusal, waiting.pause_s)


@dataclass
class _Sending:
    """Empties an outbox as far as Langfuse lets it."""

    outbox: ScoreOutbox
    langfuse: Langfuse
    sent: int = 0
    refused: int = 0
    problem: LangfuseProblem | None = None
    refusal: str | None = None
    unfit: list[tuple[KeptScore, LangfuseProblem]] = field(default_factory=list)

    async def run(self) -> None:
        """Send until nothing is due, the time is up, or the server is in trouble."""
        while (taken := await self.outbox.take(_AT_ONCE)) and await self._all(taken):
            pass
        if self.sent:
            for score, problem in self.unfit:
                await self._refuse(score, problem)
        elif self.unfit:
            # Perhaps a server of another kind or age, to which every score is unfit.
            self.problem = self.problem or self.unfit[0][1]
            await self._later([score for score, _ in self.unfit])

    async def _all(self, taken: Sequence[KeptScore]) -> bool:
        for place, score in enumerate(taken):
            if self.langfuse.time_is_up or not await self._one(score):
                await self._later(taken[place:])
                return False
        return True

    async def _one(self, score: KeptScore) -> bool:
        """Send a score; false when the server is in trouble, and has not got it."""
        try:
            await self.langfuse.give(score)
        except LangfuseProblem as found:
            match found.kind:
                case "rejected":
                    await self._refuse(score, found)
                case "unfit" if self.sent or len(self.unfit) < SUSPICIOUS:
                    self.unfit.append((score, found))
                case _:
                    self.problem = found
                    return False
        else:
            await self.outbox.sent(score)
            self.sent += 1
        return True

    async def _refuse(self, score: KeptScore, problem: LangfuseProblem) -> None:
        await self.outbox.refuse(score, problem.what)
        self.refused += 1
        self.refusal = problem.what

    async def _later(self, scores: Sequence[KeptScore]) -> None:
        """Give scores back: to be taken at once if there was only no time, else after a pause."""
        await self.outbox.later(scores, _pause_s(scores[0], self.problem) if self.problem else 0)


async def settle_scores(
    database: Database, settings: Settings, session_id: str, *, deadline_s: float = WITHIN_S
) -> None:
    """Keep the scores that follow from a session's journal, and send them if spans are sent at work, too.

    To be called when a session stops. It raises nothing of the harness: a score is never worth a session.
    """
    try:
        journal = await read_events_of(database, session_id, SCORED)
        await note_scores(database, session_id, journal, comments=settings.tracing.capture == "full")
        if not settings.tracing.export:
            return
        found = await send_scores(database, settings, session_id, deadline_s=deadline_s)
    except StoreError as problem:
        log.warning("The scores of session %s are not settled: %s", session_id, problem)
        return
    if found.problem:
        log.warning("Scores that wait to be sent: %d. %s", found.left, found.problem)
    if found.refusal:
        log.warning("Scores that will not be sent again: %d. %s.", found.refused, found.refusal)


def _pause_s(score: KeptScore, problem: LangfuseProblem) -> float:
    """Seconds until the next try: longer each time, and at least as long as Langfuse asks for."""
    return max(problem.pause_s, pause_s(score.tries, FIRST_PAUSE_S, LONGEST_PAUSE_S))
