"""Scores on their way to Langfuse: kept in the store first, and sent from there until they have arrived."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass

from harness.errors import StoreError
from harness.export.langfuse import Langfuse, LangfuseProblem, receives
from harness.settings import Settings
from harness.store.database import Database
from harness.store.journal import read_events
from harness.store.scores import KeptScore, ScoreOutbox, note_scores

log = logging.getLogger(__name__)

WITHIN_S = 5.0
"""How long sending may take, in seconds."""

LONGEST_PAUSE_S = 600.0

_AT_ONCE = 50


@dataclass(frozen=True)
class Sent:
    """How many scores Langfuse has taken now, will never take, and how many wait; and why they do."""

    sent: int
    refused: int
    left: int
    problem: str | None = None


async def send_scores(
    database: Database, settings: Settings, session_id: str | None = None, *, deadline_s: float = WITHIN_S
) -> Sent:
    """Send a tenant's scores that are due, or those of one session, for at most `deadline_s` seconds.

    A score that was sent twice is there once. What Langfuse does not take now waits, longer each time; the
    first one it does not take ends the sending, so that a server in trouble is asked once. Raises StoreError.
    """
    outbox = ScoreOutbox(database, settings.tenant, session_id)
    sent = refused = 0
    problem: LangfuseProblem | None = None
    taken = await outbox.take(_AT_ONCE) if receives(settings) else []
    if taken:
        async with Langfuse(settings, deadline_s) as langfuse:
            while taken and not langfuse.time_is_up:
                score = taken[0]
                try:
                    await langfuse.give(score)
                except LangfuseProblem as found:
                    if found.kind != "refused":
                        problem = found
                        break
                    await outbox.refuse(score, found.what)
                    refused += 1
                else:
                    await outbox.sent(score)
                    sent += 1
                taken = taken[1:] or await outbox.take(_AT_ONCE)
        if taken:
            await outbox.later(taken, _pause_s(taken[0], problem) if problem else 0)
    return Sent(sent, refused, await outbox.left(), str(problem) if problem else None)


async def settle_scores(
    database: Database, settings: Settings, session_id: str, *, deadline_s: float = WITHIN_S
) -> None:
    """Keep the scores that follow from a session's journal, and send them if spans are sent at work, too.

    To be called when a session stops. It raises nothing of the harness: a score is never worth a session.
    """
    try:
        journal = await read_events(database, session_id)
        await note_scores(database, session_id, journal, comments=settings.tracing.capture == "full")
        if not settings.tracing.export:
            return
        found = await send_scores(database, settings, session_id, deadline_s=deadline_s)
    except StoreError as problem:
        log.warning("The scores of session %s are not settled: %s", session_id, problem)
        return
    if found.problem:
        log.warning("Scores that wait to be sent: %d. %s", found.left, found.problem)


def _pause_s(score: KeptScore, problem: LangfuseProblem) -> float:
    """As long as Langfuse asks for, or twice as long with each try; not all senders at the same moment."""
    longer = min(LONGEST_PAUSE_S, 2.0**score.tries) * random.uniform(0.5, 1)
    return max(problem.pause_s, longer)
