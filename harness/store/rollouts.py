"""Rollouts in the store: what is rolled out, which sessions are counted for it, and how they ended."""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import BadInput, StoreError
from harness.log_fields import about
from harness.rollout import Arm, Bounds, Kind, Rollout, RolloutStatus, Tally, crossed
from harness.state import SessionState
from harness.store.database import Database, Json
from harness.store.journal import load_state
from harness.store.queries import queries

log = logging.getLogger(__name__)

_SQL = queries("rollouts")

_AT_ONCE = 20
"""Sessions whose ends are noted for others in one go."""


async def add_rollout(
    database: Database,
    *,
    kind: Kind,
    name: str,
    old_version: str,
    new_version: str,
    content: Mapping[str, Any],
    percent: float,
    tenants: Sequence[str] | None,
    bounds: Bounds,
) -> str:
    """Begin a rollout and give its id.

    Raises:
        BadInput: another one for the same old version is running.
    """
    row = {
        "id": str(uuid.uuid4()),
        "kind": kind,
        "name": name,
        "old_version": old_version,
        "new_version": new_version,
        "content": Json(content),
        "percent": percent,
        "tenants": list(tenants) if tenants else None,
        "bounds": Json(bounds.model_dump()),
    }
    if await database.one(_SQL["add"], row) is None:
        raise BadInput(
            f"A rollout of {name} is running already; end it first with: "
            f"harness rollout promote {name}, or: harness rollout abort {name}"
        )
    return str(row["id"])


async def read_rollouts(database: Database) -> list[Rollout]:
    """Read all rollouts, the newest first."""
    return [_rollout(row) for row in await database.all(_SQL["all"])]


async def rollouts_in_effect(database: Database) -> list[Rollout]:
    """Read those that decide about sessions: running ones and promoted ones."""
    return [_rollout(row) for row in await database.all(_SQL["in_effect"])]


async def rollout_content(database: Database, rollout_id: str) -> dict[str, Any]:
    """Read the new version itself: a bundle's packed files, or a flow."""
    row = await database.one(_SQL["content"], {"id": rollout_id})
    if row is None:
        raise StoreError(f"The rollout {rollout_id} was removed meanwhile; try again.")
    content: dict[str, Any] = row["content"]
    return content


async def end_rollout(
    database: Database, rollout: Rollout, status: RolloutStatus, reason: str | None
) -> bool:
    """Promote or abort a rollout as it was read; False when somebody else has ended it meanwhile."""
    given = {"id": rollout.id, "status": status, "reason": reason, "from": [rollout.status]}
    return await database.one(_SQL["end"], given) is not None


async def note_arms(database: Database, session_id: str, arms: Mapping[str, Arm]) -> None:
    """Note which version a session begins with, for each rollout that counts it."""
    for rollout_id, arm in arms.items():
        given = {"rollout_id": rollout_id, "session_id": session_id, "arm": arm}
        await database.run(_SQL["note_arm"], given)


async def settle_rollouts(database: Database, state: SessionState) -> None:
    """Note how a session has ended, and abort a rollout whose new version has crossed a limit by now.

    To be called when a session stops. It raises nothing of the harness: the end of another session, or a look
    at the rollout, makes up for it.
    """
    if not state.finished:
        return
    try:
        for rollout_id in await _note_end(database, state):
            await judge(database, rollout_id)
    except StoreError as problem:
        log.warning(
            "how session %s ended is not noted for its rollout: %s",
            state.id,
            problem,
            extra=about("rollout_unsettled"),
        )


async def judge(database: Database, rollout_id: str) -> None:
    """Abort a running rollout if its numbers say so, once the ends that nobody has noted are counted, too."""
    for row in await database.all(_SQL["unnoted_ends"], {"rollout_id": rollout_id, "limit": _AT_ONCE}):
        ended = await load_state(database, str(row["id"]))
        if ended.finished:
            await _note_end(database, ended)
    tally = await tallies(database, rollout_id)
    running = [each for each in await rollouts_in_effect(database) if each.id == rollout_id]
    for rollout in running:
        reason = crossed(tally["new"], tally["old"], rollout.bounds) if rollout.status == "running" else None
        if reason is not None and await end_rollout(database, rollout, "aborted", reason):
            log.warning(
                "the rollout of %s was aborted: %s",
                rollout.name,
                reason,
                extra=about("rollout_aborted", rollout=rollout_id),
            )


async def tallies(database: Database, rollout_id: str) -> dict[Arm, Tally]:
    """Count the sessions of both arms."""
    found: dict[Arm, Tally] = {"old": Tally(), "new": Tally()}
    for row in await database.all(_SQL["tallies"], {"rollout_id": rollout_id}):
        arm: Arm = row.pop("arm")
        found[arm] = Tally.model_validate(row)
    return found


async def _note_end(database: Database, state: SessionState) -> list[str]:
    """Note a session's end wherever it is counted, and give those rollouts."""
    answering = [run for run in state.runs.values() if run.role != "router"]
    verdicts = Counter(each.verdict for run in answering for each in run.verdicts)
    outcomes = [run.outcome for run in answering if run.outcome]
    # Schema and checks say nothing of an answer that passes, and the last "no" is an outcome and no verdict.
    refused = sum(each.help is not None and each.help.reason == "gate" for each in outcomes)
    given = {
        "session_id": state.id,
        "status": state.status,
        "passed": sum(each.status == "done" for each in outcomes),
        "sent_back": verdicts["fix"] + refused,
        "abstained": verdicts["abstain"] + verdicts["error"],
        "cost_usd": state.cost_usd,
    }
    return [str(row["rollout_id"]) for row in await database.all(_SQL["note_end"], given)]


def _rollout(row: dict[str, Any]) -> Rollout:
    tenants = None if row["tenants"] is None else tuple(row["tenants"])
    return Rollout.model_validate(row | {"id": str(row["id"]), "tenants": tenants})
