"""A database's ledger held against its journals, for tests that kill."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import pytest

from harness import events as ev
from harness.store.database import Database
from harness.store.journal import load_state, read_events
from harness.store.ledger import sweep

_NEAR = 1e-9


@dataclass
class Booked:
    """What answered calls used, and how many attempts nobody knows the use of."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    lost: int = 0


async def mistakes(database: Database) -> list[str]:
    """Say where the ledger differs from the journals of all live sessions; nobody is at work any more.

    A call whose checkpoint has no end in its journal is lost, whether or not somebody has gone on.
    """
    await sweep(database)
    found = []
    journals, ledger = await _of_journals(database), await _of_ledger(database)
    for tenant in journals.keys() | ledger.keys():
        told, booked = journals[tenant], ledger[tenant]
        if (told.calls, told.tokens, told.lost) != (booked.calls, booked.tokens, booked.lost):
            found.append(f"{tenant}: the journals say {told}, the ledger {booked}")
        if told.usd != pytest.approx(booked.usd, abs=_NEAR):
            found.append(f"{tenant}: the journals say ${told.usd:.9f}, the ledger ${booked.usd:.9f}")
    left = await database.all("SELECT id FROM reservation")
    if left:
        found.append(f"{len(left)} reservations are left")
    rows = await database.all(
        "SELECT account.tenant, month_usd, month_tokens, sum(usd + unattributed_usd) AS usd,"
        " sum(tokens + unattributed_tokens) AS tokens FROM account JOIN spending USING (tenant)"
        " WHERE spending.day >= date_trunc('month', account.day) GROUP BY account.tenant"
    )
    for row in rows:
        if (row["month_usd"], row["month_tokens"]) != (row["usd"], row["tokens"]):
            found.append(f"the account of {row['tenant']} is not the sum of its lines: {row}")
    return found


async def _of_ledger(database: Database) -> dict[str, Booked]:
    rows = await database.all(
        "SELECT tenant, sum(calls) AS calls, sum(tokens) AS tokens, sum(usd) AS usd,"
        " sum(unattributed_calls) AS lost FROM spending GROUP BY tenant"
    )
    found: dict[str, Booked] = defaultdict(Booked)
    for row in rows:
        found[row["tenant"]] = Booked(
            int(row["calls"]), int(row["tokens"]), float(row["usd"]), int(row["lost"])
        )
    return found


async def _of_journals(database: Database) -> dict[str, Booked]:
    found: dict[str, Booked] = defaultdict(Booked)
    for row in await database.all("SELECT id FROM session WHERE head > 0"):
        session_id = str(row["id"])
        state = await load_state(database, session_id)
        if state.created is None or state.created.upstream != "live":
            continue
        events = await read_events(database, session_id)
        # What a fork has copied was paid in its origin.
        own = [event for event in events if state.forked is None or event.seq > state.forked.at + 1]
        _add(found[state.tenant], own)
    return found


def _add(booked: Booked, events: list[ev.Event]) -> None:
    attempts: dict[tuple[str, str], int] = {}
    for event in events:
        call = (event.agent_run_id or "", str(getattr(event.payload, "call_id", "")))
        match event.payload:
            case ev.ModelRequested():
                # Asked for again, the call before was lost.
                booked.lost += attempts.pop(call, 0)
                attempts[call] = 1
            case ev.ModelRetried(lost=lost):
                attempts[call] += lost
            case ev.ModelFinished() as answered:
                attempts.pop(call, None)
                booked.lost += answered.usage.unattributed_calls
                booked.calls += 1
                booked.tokens += answered.usage.total_tokens
                booked.usd += answered.cost_usd or 0.0
            case ev.ModelFailed(usage=usage):
                attempts.pop(call, None)
                booked.lost += usage.unattributed_calls
            case _:
                pass
    booked.lost += sum(attempts.values())
