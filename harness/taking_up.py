"""Taking a session up under a lease: what its journal says, what it still needs, and who goes on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness import events as ev
from harness.beginning import open_journal
from harness.bundles.bundle import limits_of
from harness.errors import BadInput
from harness.limits import granted, more
from harness.permit import check_role, permitted_to_go_on
from harness.records import Limits
from harness.request import NO_WIRE, named
from harness.resumable import check_answer, check_resumable, ended_for_good, wanting_help
from harness.session import Session, Tools
from harness.state import RunState, SessionState
from harness.stopping import OnTrouble, for_a_person
from harness.store.database import Database
from harness.store.journal import Journal, catch_up
from harness.store.lease import Holder, Lease
from harness.store.ledger import sweep
from harness.versions import session_bundles


@dataclass(frozen=True)
class Wishes:
    """What is said when a session is taken up; None leaves it as it was."""

    question: str | None = None
    answer: str | None = None
    record: bool | None = None
    budget_usd: float | None = None
    budget_tokens: int | None = None
    max_concurrent: int | None = None

    @property
    def limits(self) -> Limits:
        """The limits that are named. Raises BadInput as `named` does."""
        return named(self.budget_usd, self.budget_tokens)


async def take_up(
    tools: Tools,
    database: Database,
    state: SessionState,
    lease: Lease,
    wishes: Wishes = Wishes(),
    on_trouble: OnTrouble = for_a_person,
) -> Session:
    """Commit that this process goes on with a session; `lease` is renewed already and stays the caller's.

    `state` is brought up to date. A session that has ended for good is given as one that only sums up.
    `on_trouble` decides what a problem comes to that the session cannot mend itself.

    Raises:
        BadInput: it lacks something, and nothing has been committed.
    """
    tools = replace(tools, settings=tools.settings.model_copy(update={"tenant": state.tenant}))
    await catch_up(database, state)
    if wishes.question is None and ended_for_good(state):
        await lease.release()
        return closed(tools, database, state)
    if state.created is not None:
        await check_role(database, state.created.upstream)
    tools = await with_its_bundles(tools, database, state)
    journal = await resumed(tools, database, state, lease, wishes)
    asked_for = state.created.max_concurrent if state.created else None
    concurrent = wishes.max_concurrent or asked_for or tools.settings.limits.max_concurrent
    return Session(tools, journal, lease, concurrent, "session.resumed", on_trouble)


async def with_its_bundles(tools: Tools, database: Database, state: SessionState) -> Tools:
    """What a session works with: the versions of its bundles that it began with.

    Raises:
        NotResumable: one of them is neither here nor kept.
    """
    kept = await session_bundles(database, state, tools.bundles, tools.settings.home)
    return replace(tools, bundles=kept)


def closed(tools: Tools, database: Database, state: SessionState) -> Session:
    """A session that has ended: its lease allows nothing."""
    lease = Lease(database, state.id, 0, 0)
    lease.lose()
    journal = open_journal(database, lease, state, tools.settings, tools.redactor)
    return Session(tools, journal, None, 1, "session.resumed")


async def resumed(
    tools: Tools, database: Database, state: SessionState, lease: Lease, wishes: Wishes
) -> Journal:
    """Commit who goes on, with which budget, and grant more to a root that stopped for want of it.

    Raises:
        BadInput: the session lacks something, and nothing has been committed.
    """
    limits = await permitted_to_go_on(database, state, tools.bundles, tools.settings, wishes.limits)
    check_resumable(state, limits, tools.settings, tools.bundles)
    check_answer(state, wishes.answer)
    if wishes.record and state.created is not None and state.created.upstream == "direct":
        raise BadInput(NO_WIRE)
    journal = open_journal(database, lease, state, tools.settings, tools.redactor)
    for listener in tools.listeners:
        journal.listen(listener)
    if state.created is not None and state.created.upstream == "live":
        await sweep(database)
    # As it stands now: once it goes on, nobody is stuck any more.
    stopped, here = wanting_help(state), Holder.here()
    goes_on = ev.SessionResumed(
        token=lease.token,
        host=here.host,
        pid=here.pid,
        limits=None if limits == state.limits else limits,
        record=bool(wishes.record),
    )
    await journal.append(goes_on, status="running")
    if wishes.question is not None:
        await journal.append(ev.SessionAsked(question=wishes.question))
    for run in stopped:
        raised = more(run, granted(limits_of(run.agent, tools.bundles), tools.settings))
        told = tools.redactor.text(wishes.answer or _without_an_answer(run))
        await journal.append(ev.AgentRunReopened(limits=raised, answer=told), run_id=run.id)
    return journal


def _without_an_answer(run: RunState) -> str:
    """What an agent run is told that goes on, where nobody has said anything."""
    if run.status != "failed" or run.outcome is None:
        return "Your limits have been raised."
    return f"It failed: {run.outcome.problem} Try once more, in another way where that can help."
