"""What a person says to a session is kept without secrets, whichever way it is said."""

from __future__ import annotations

import pytest

from harness import events as ev
from harness.events import AgentRunReopened
from harness.library import Harness
from harness.plan import plan
from harness.records import NeedsHelp, Outcome
from harness.redaction import REDACTED
from harness.session import Session
from harness.settings import from_environment
from harness.store.database import Database
from harness.store.journal import read_events
from tests.cli.hand_made import FLOW, keep, worked
from tests.kit.journals import Book, created, run_created, started

KNOWN = "Quiet-Heron-41x77"


@pytest.fixture
def harness(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Harness:
    """The library, in an environment with a secret."""
    monkeypatch.setenv("MY_SERVICE_TOKEN", KNOWN)
    return Harness(settings=from_environment(None, {"dsn": dsn}, {}))


async def let_go(session: Session) -> None:
    """Give the lease back without advancing."""
    assert session._lease is not None
    await session._lease.release()


async def test_a_question_is_kept_without_secrets(harness: Harness, database: Database) -> None:
    """In the session's row and in its journal."""
    async with harness:
        session = await harness.start(f"Why {KNOWN}?", flow="single", upstream="offline")
        await let_go(session)
        assert session.state.question == f"Why {REDACTED}?"
    (row,) = await database.all("select question from session", {})
    assert row["question"] == f"Why {REDACTED}?"


async def test_a_further_question_is_kept_without_secrets(harness: Harness, database: Database) -> None:
    """As the agents are told it."""
    session_id = await keep(database, worked(bundles={}), status="done")
    async with harness:
        session = await harness.ask(session_id, f"And {KNOWN}?")
        await let_go(session)
        assert session.state.questions[-1] == f"And {REDACTED}?"


async def test_an_answer_is_kept_without_secrets(harness: Harness, database: Database) -> None:
    """As the agent that asked is told it, and as it is looked for in its transcript."""
    book = Book()
    book.add(created(FLOW, bundles={}))
    (spec,) = plan(FLOW, book.state).create
    book.add(run_created(spec), spec.id)
    book.add(started(book.state.runs[spec.id]), spec.id)
    help_ = NeedsHelp(reason="question", missing="The password.")
    book.add(ev.AgentRunFinished(outcome=Outcome(status="needs_help", help=help_), work_s=1.0), spec.id)
    session_id = await keep(database, book, status="needs_help")
    async with harness:
        await let_go(await harness.resume(session_id, answer=f"It is {KNOWN}."))
    told = [each.payload for each in await read_events(database, session_id)]
    assert [each.answer for each in told if isinstance(each, AgentRunReopened)] == [f"It is {REDACTED}."]
