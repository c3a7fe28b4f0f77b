"""Rollouts in the store: what sessions count for them, how ends are noted, and when one is aborted."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import pytest

from harness import events as ev
from harness.errors import BadInput
from harness.plan import plan
from harness.records import NeedsHelp, Outcome, SessionStatus
from harness.rollout import Arm, Bounds, Rollout, Tally
from harness.store.database import Database
from harness.store.journal import Journal, load_state
from harness.store.rollouts import (
    add_rollout,
    end_rollout,
    judge,
    note_arms,
    read_rollouts,
    rollout_content,
    rollouts_in_effect,
    settle_rollouts,
    tallies,
)
from tests.kit.journals import RESEARCH, created, finished, requested, run_created, started
from tests.kit.sessions import FaultyDatabase, first, new_journal

OLD, NEW = "a" * 64, "b" * 64
QUICK = Bounds(min_sessions=4)


async def begun(database: Database, **given: Any) -> str:
    """A rollout of the bundle researcher to half of the sessions, decided after four of each."""
    fields: dict[str, Any] = {
        "kind": "bundle",
        "name": "researcher",
        "old_version": OLD,
        "new_version": NEW,
        "content": {"files": "new"},
        "percent": 50.0,
        "tenants": None,
        "bounds": QUICK,
    }
    return await add_rollout(database, **(fields | given))


async def one(database: Database, rollout_id: str) -> Rollout:
    (found,) = [each for each in await read_rollouts(database) if each.id == rollout_id]
    return found


async def ended(
    database: Database,
    rollout_id: str,
    arm: Arm,
    status: SessionStatus = "done",
    *,
    usd: float = 0.0,
    verdicts: Sequence[str] = (),
    settle: bool = True,
) -> Journal:
    """A session of this arm that came to its end."""
    journal = await new_journal(database)
    await note_arms(database, journal.session_id, {rollout_id: arm})
    await journal.append(created())
    (spec,) = plan(RESEARCH, journal.state).create
    await journal.append(run_created(spec), run_id=spec.id)
    run = journal.state.runs[spec.id]
    await journal.append(started(run), run_id=run.id)
    call = str(uuid.uuid4())
    await journal.append(requested(call), run_id=run.id)
    await journal.append(finished(call, cost_usd=usd), run_id=run.id)
    for verdict in verdicts:
        await journal.append(ev.GateDecided.model_validate({"by": "g", "verdict": verdict}), run_id=run.id)
    help = NeedsHelp(reason="gate") if status == "needs_help" else None
    if status in ("done", "failed", "needs_help", "cancelled"):
        outcome = Outcome.model_validate({"status": status, "help": help})
        await journal.append(ev.AgentRunFinished(outcome=outcome, work_s=0), run_id=run.id)
        end = ev.SessionFinished.model_validate({"status": status, "report": None, "problem": None})
        await journal.append(end, status=status)
    else:
        await journal.append(ev.SessionSuspended(reason="It was stopped."), status="suspended")
    if settle:
        await settle_rollouts(database, journal.state)
    return journal


async def test_what_was_begun_is_read_again(database: Database) -> None:
    """With its limits and tenants; its content is read apart."""
    rollout_id = await begun(database, tenants=["t", "u"], percent=12.5)
    (found,) = await read_rollouts(database)
    assert (found.id, found.kind, found.name, found.status) == (rollout_id, "bundle", "researcher", "running")
    assert (found.old_version, found.new_version, found.percent) == (OLD, NEW, 12.5)
    assert (found.tenants, found.bounds, found.reason, found.ended_at) == (("t", "u"), QUICK, None, None)
    assert await rollout_content(database, rollout_id) == {"files": "new"}


async def test_one_at_a_time_takes_sessions_from_a_version(database: Database) -> None:
    """Also of two that begin at once; another old version, name or kind is another matter."""
    both = await asyncio.gather(begun(database), begun(database), return_exceptions=True)
    assert [type(each) for each in both if not isinstance(each, str)] == [BadInput]
    with pytest.raises(BadInput, match="harness rollout abort researcher"):
        await begun(database)
    await begun(database, old_version=NEW, new_version=OLD)
    await begun(database, name="lead")
    await begun(database, kind="flow")
    first_one = next(each for each in await read_rollouts(database) if each.id in both)
    assert await end_rollout(database, first_one, "promoted", None)
    await begun(database)


async def test_it_is_ended_once(database: Database) -> None:
    """Of two who do it at the same time one learns that it is over."""
    found = await one(database, await begun(database))
    done = await asyncio.gather(
        end_rollout(database, found, "promoted", None), end_rollout(database, found, "aborted", "x")
    )
    assert sorted(done) == [False, True]
    now = await one(database, found.id)
    assert now.status == ("promoted" if done[0] else "aborted")
    assert now.ended_at is not None


async def test_aborted_ones_are_out_of_effect(database: Database) -> None:
    """Running and promoted ones decide about sessions."""
    ids = [await begun(database, name=name) for name in "abc"]
    await end_rollout(database, await one(database, ids[0]), "aborted", "x")
    await end_rollout(database, await one(database, ids[1]), "promoted", None)
    assert {each.id for each in await rollouts_in_effect(database)} == set(ids[1:])


async def test_ends_are_counted_by_their_arm(database: Database) -> None:
    """Outcomes, verdicts and cost; a suspended session has not ended, a cancelled one says nothing."""
    rollout_id = await begun(database)
    await ended(database, rollout_id, "new", usd=0.5, verdicts=["fix", "pass"])
    await ended(database, rollout_id, "new", "failed", usd=0.25)
    await ended(database, rollout_id, "new", "needs_help", verdicts=["fix", "abstain", "error"])
    await ended(database, rollout_id, "old", "suspended", usd=9)
    await ended(database, rollout_id, "old", "cancelled", usd=9)
    found = await tallies(database, rollout_id)
    assert found["old"] == Tally(begun=2, ended=0)
    assert found["new"] == Tally(
        begun=3, ended=3, failed=2, passed=1, sent_back=3, abstained=2, priced=3, cost_usd=0.75
    )


async def test_a_cost_that_is_not_known_is_not_counted(database: Database) -> None:
    """It is neither zero nor anything else."""
    rollout_id = await begun(database)
    await ended(database, rollout_id, "new", usd=0.5)
    journal = await new_journal(database)
    await note_arms(database, journal.session_id, {rollout_id: "new"})
    await journal.append(created())
    (spec,) = plan(RESEARCH, journal.state).create
    await journal.append(run_created(spec), run_id=spec.id)
    await journal.append(started(journal.state.runs[spec.id]), run_id=spec.id)
    call = str(uuid.uuid4())
    await journal.append(requested(call), run_id=spec.id)
    await journal.append(finished(call, cost_usd=None), run_id=spec.id)
    await journal.append(ev.SessionFinished(status="done", report=None, problem=None), status="done")
    await settle_rollouts(database, journal.state)
    found = (await tallies(database, rollout_id))["new"]
    assert (found.ended, found.priced, found.mean_usd) == (2, 1, 0.5)


async def test_the_end_of_a_session_that_crosses_a_limit_aborts(database: Database) -> None:
    """Not before enough have ended with each version, and with the numbers of both."""
    rollout_id = await begun(database)
    for _ in range(4):
        await ended(database, rollout_id, "old")
    for status in ("failed", "done", "failed"):
        await ended(database, rollout_id, "new", status)
        assert (await one(database, rollout_id)).status == "running"
    await ended(database, rollout_id, "new")
    found = await one(database, rollout_id)
    assert (found.status, found.reason) == (
        "aborted",
        "With the new version 2 of 4 sessions failed (50 %), with the old one 0 of 4 (0 %); "
        "the limit is 10 points more.",
    )
    await ended(database, rollout_id, "new", "failed")
    assert (await tallies(database, rollout_id))["new"].failed == 3, "what has begun is counted to its end"
    assert (await one(database, rollout_id)).reason == found.reason


@pytest.mark.parametrize(
    ("worse", "says"),
    [
        ({"usd": 0.4}, "a session costs $0.4000, with the old one $0.2000"),
        ({"usd": 0.2, "verdicts": ["fix"]}, "gates sent back 4 of 8 answers"),
    ],
)
async def test_cost_and_gates_abort_as_well(database: Database, worse: dict[str, Any], says: str) -> None:
    """Each against the old version's."""
    rollout_id = await begun(database)
    for _ in range(4):
        await ended(database, rollout_id, "new", **worse)
        await ended(database, rollout_id, "old", usd=0.2)
    found = await one(database, rollout_id)
    assert found.status == "aborted"
    assert says in (found.reason or "")


async def test_a_promoted_version_is_aborted_by_nobody_but_a_person(database: Database) -> None:
    """Its old sessions may still end, whichever way."""
    rollout_id = await begun(database)
    await end_rollout(database, await one(database, rollout_id), "promoted", None)
    for arm in ("old", "new"):
        for _ in range(4):
            await ended(database, rollout_id, arm, "failed" if arm == "new" else "done")
    assert (await one(database, rollout_id)).status == "promoted"


async def test_a_session_that_went_on_is_counted_as_it_ended_last(database: Database) -> None:
    """Once, not twice."""
    rollout_id = await begun(database)
    journal = await ended(database, rollout_id, "new", "failed")
    await journal.append(ev.SessionResumed(token=1, host="h", pid=1), status="running")
    await journal.append(ev.SessionFinished(status="done", report=None, problem=None), status="done")
    await settle_rollouts(database, journal.state)
    found = (await tallies(database, rollout_id))["new"]
    assert (found.begun, found.ended, found.failed) == (1, 1, 0)


async def test_an_end_that_nobody_has_noted_is_made_up_for(database: Database) -> None:
    """Its process died with it: the next end, or a look, counts it."""
    rollout_id = await begun(database)
    for _ in range(4):
        await ended(database, rollout_id, "new", "failed", settle=False)
        await ended(database, rollout_id, "old", settle=False)
    await ended(database, rollout_id, "new", "suspended", settle=False)
    assert (await tallies(database, rollout_id))["new"].ended == 0
    await judge(database, rollout_id)
    assert (await tallies(database, rollout_id))["new"].ended == 4
    assert (await one(database, rollout_id)).status == "aborted"


async def test_a_store_that_is_away_costs_no_session(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and another end makes up for it."""

    class Away(FaultyDatabase):
        async def all(
            self, sql: LiteralString, params: Mapping[str, object] | None = None
        ) -> list[dict[str, Any]]:
            await self.one(sql, params)
            return []

    rollout_id = await begun(database)
    journal = await ended(database, rollout_id, "new", settle=False)
    await settle_rollouts(Away(database, first(1, "before")), await load_state(database, journal.session_id))
    assert "is not noted for its rollout" in caplog.text
    assert (await tallies(database, rollout_id))["new"].ended == 0


async def test_a_session_without_a_rollout_touches_none(database: Database) -> None:
    """Nor does one that has not ended."""
    journal = await new_journal(database)
    await journal.append(created())
    await settle_rollouts(database, journal.state)
    await journal.append(ev.SessionFinished(status="done", report=None, problem=None), status="done")
    await settle_rollouts(database, journal.state)
    assert await database.all("SELECT FROM rollout_session") == []
