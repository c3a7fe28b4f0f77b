"""`harness tenants` as a person uses it, and how sessions are held against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import NotAllowed
from harness.library import Harness
from harness.records import Limits
from harness.store.database import Database
from harness.store.sessions import Sessions
from harness.store.tenants import set_limits
from tests.cli.hand_made import halfway, keep
from tests.cli.processes import document, run_process

LIVE: dict[str, Any] = {"upstream": "live", "flow_name": "research"}


def said(dsn: str, *args: str) -> str:
    """What a command says."""
    result = run_process("tenants", *args, dsn=dsn)
    assert result.returncode == 0, result.stderr
    return result.stdout


def harness_for(dsn: str, home: Path) -> Harness:
    options = {"dsn": dsn, "tenant": "acme", "home": home, "upstream.api_key": "sk-ant-dummy"}
    return Harness(project=home, options=options)


def test_what_is_set_is_shown(dsn: str) -> None:
    """`none` takes a limit away, and what is not named stays as it is."""
    said(dsn, "set", "acme", "--daily-usd", "5", "--models", "a,b,a", "--max-sessions", "0")
    shown = said(dsn, "set", "acme", "--daily-usd", "none", "--monthly-tokens", "2000000")
    assert "This month: 0 model calls, $0.00, 0 tokens; limit: 2.00M tokens." in shown
    assert "Today (UTC): 0 model calls, $0.00, 0 tokens; limit: no limit." in shown
    assert "At work at the same time: 0. Models: a, b. Flows: any." in shown
    assert said(dsn, "show", "acme") == shown
    assert "2.00M tokens" in said(dsn, "list")


async def test_a_program_is_told_all_of_it(dsn: str, database: Database) -> None:
    """Limits, use, and sessions by how they stand."""
    await set_limits(database, "acme", {"session_usd": 2.5, "flows": ("single",)})
    await keep(database, halfway(), tenant="acme", status="suspended")
    shown = await document("tenants", "show", "acme", dsn=dsn)
    assert (shown["limits"]["session_usd"], shown["limits"]["flows"]) == (2.5, ["single"])
    assert shown["sessions"] == {"suspended": 1}
    assert (shown["today"]["usd"], shown["month"]["unattributed_calls"], shown["days"]) == (0, 0, [])
    assert (await document("tenants", "list", dsn=dsn))["tenants"] == [shown]


async def test_a_session_that_goes_on_gets_the_limits_of_its_tenant(
    dsn: str, database: Database, home: Path
) -> None:
    """The smaller ones, whatever it began with; more is refused, and nothing is committed."""
    session_id = await keep(database, halfway(**LIVE), tenant="acme", status="suspended")
    await set_limits(database, "acme", {"session_usd": 3, "session_tokens": 500_000})
    async with harness_for(dsn, home) as harness:
        with pytest.raises(NotAllowed, match=r"\$3\.00 at most, not \$5\.00"):
            await harness.resume(session_id, budget_usd=5)
        assert (await harness.state(session_id)).status == "suspended"
        session = await harness.resume(session_id, budget_usd=2)
        assert session.state.limits == Limits(max_cost_usd=2, max_tokens=500_000)
        async for _ in session:
            break


async def test_a_fork_is_refused_what_its_tenant_may_not(dsn: str, database: Database, home: Path) -> None:
    """Also one that would go on at once; neither leaves a session behind."""
    session_id = await keep(database, halfway(**LIVE), tenant="acme", status="suspended")
    await set_limits(database, "acme", {"flows": ("single",)})
    async with harness_for(dsn, home) as harness:
        with pytest.raises(NotAllowed, match="may not use the flow 'research'"):
            await harness.fork(session_id, at=1)
        await set_limits(database, "acme", {"flows": None, "session_usd": 1})
        with pytest.raises(NotAllowed, match=r"\$1\.00 at most, not \$2\.00"):
            await harness.resume(session_id, at=1, budget_usd=2)
        assert len(await Sessions(database, "acme").newest(9)) == 1


async def test_a_worker_leaves_what_is_not_allowed_to_a_person(
    dsn: str, database: Database, home: Path
) -> None:
    """The limits were tightened after the session had been submitted."""
    async with harness_for(dsn, home) as harness:
        session_id = await harness.submit("Why?", flow="single")
        await set_limits(database, "acme", {"models": ("claude-haiku-5-5",)})
        await (await harness.worker()).run(until_empty=True)
        state = await harness.state(session_id)
    assert state.status == "suspended"
    assert "may not use the model" in (state.problem or "")


async def test_raised_limits_make_waiting_sessions_due_and_no_others(database: Database) -> None:
    """Those that wait for a budget; one that begins later by a person's wish stays where it is."""
    held = await keep(database, halfway(), tenant="acme", status="suspended")
    later = await keep(database, halfway(), tenant="acme", status="suspended")
    await database.run("UPDATE session SET status = 'queued', due_at = now() + interval '1 day'")
    await database.run("UPDATE session SET held_revision = 0 WHERE id = %(id)s", {"id": held})
    await set_limits(database, "other", {"daily_usd": 1})
    assert await due(database) == []
    await set_limits(database, "acme", {"daily_usd": 1})
    assert await due(database) == [held]
    assert later not in await due(database)


async def due(database: Database) -> list[str]:
    rows = await database.all("SELECT id FROM session WHERE due_at <= clock_timestamp()")
    return [str(row["id"]) for row in rows]
