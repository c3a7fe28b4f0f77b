"""A worker: takes submitted sessions up as their turn comes and advances them, until it is told to drain.

What it holds in memory decides nothing: the session's row says who is at work, and when a worker dies its
sessions are due again as soon as their leases have ended.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness import events as ev
from harness.backoff import pause_s
from harness.beginning import open_journal
from harness.beside import WITH_PROCESSES_S, end
from harness.errors import HarnessError, JournalRefused, LeaseLost, StoreError, StoreUnavailable
from harness.housekeeping import housekeeping
from harness.log_fields import about
from harness.progress import Result
from harness.records import Record
from harness.session import Session, Tools
from harness.state import SessionState
from harness.stopping import Stop
from harness.store.database import Database
from harness.store.journal import Listener, load_state
from harness.store.ledger import sweep
from harness.store.notices import listening
from harness.store.queue import Claimed, Queue, tell
from harness.store.tenants import release
from harness.taking_up import take_up

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 600.0
"""Between tries of a session that came into trouble it could not mend, such as a service that is away."""

SWEEP_S = 5.0
"""How often it looks for sessions of processes of this host that have died."""

_STOPPED = Stop("Its worker was stopped.", "worker")


class Worked(Record):
    """A line of what a worker does: a session was claimed, or left as its status says.

    `waited_s` is for how long it could have been claimed. One that is left may also be `lease_lost`, or
    `dropped`, because it could not be read; of such a one `tenant` may be empty.
    """

    event: Literal["session.claimed", "session.left"]
    session_id: str
    tenant: str
    status: str
    problem: str | None = None
    waited_s: float = 0.0


class Pulse(Record):
    """How a worker fares: its `sessions` of `places`, and how long ago it looked for due ones."""

    draining: bool
    sessions: int
    places: int
    looked_s: float


@dataclass
class _Hand:
    """A session in hand; it is no `Session` yet while it is being taken up."""

    claimed: Claimed
    since: float
    session: Session | None = None
    order: Stop | None = None
    progress: int = 0
    """How far it had got when it was claimed."""

    @property
    def suspect(self) -> bool:
        """Whether it may be the one that took its last workers with it: it has got nowhere since."""
        moved = self.session is not None and self.session.state.progress > self.progress
        return self.claimed.tries > 1 and not moved


class Worker:
    """Advances sessions of all tenants in this process; see `Harness.worker`."""

    def __init__(self, tools: Tools, database: Database, concurrency: int, queues: Sequence[str]) -> None:
        self._tools = tools
        self._settings = tools.settings.worker
        self._database = database
        self._queue = Queue(database, queues)
        self._concurrency = concurrency
        self._hearing: list[Callable[[Worked], None]] = []
        self._hands: dict[asyncio.Task[None], _Hand] = {}
        self._news = asyncio.Event()
        self._draining = asyncio.Event()
        self._swept = 0.0
        self._looked = time.monotonic()
        self._away = False

    def drain(self) -> None:
        """Take nothing up any more, and hand what is at work back at its next checkpoint."""
        self._draining.set()
        self._news.set()

    def listen(self, hear: Callable[[Worked], None], follow: Listener | None = None) -> None:
        """Let `hear` know of each session that is claimed and left, and `follow` every event in between."""
        self._hearing.append(hear)
        if follow is not None:
            self._tools = replace(self._tools, listeners=(*self._tools.listeners, follow))

    def pulse(self) -> Pulse:
        """Tell how the worker fares."""
        return Pulse(
            draining=self._draining.is_set(),
            sessions=len(self._hands),
            places=self._concurrency,
            looked_s=time.monotonic() - self._looked,
        )

    async def run(self, *, until_empty: bool = False) -> None:
        """Advance sessions until told to drain, or with `until_empty` until none is due or at work anywhere.

        Cancelling it stops its sessions at once, at their last checkpoint; another worker goes on with them.
        """
        try:
            async with (
                listening(self._database.dsn, self._hear),
                housekeeping(self._database, self._tools.settings),
            ):
                while not self._draining.is_set():
                    if await self._look() and until_empty:
                        break
                    await self._wait(self._settings.poll_s)
            for hand in self._hands.values():
                self._stop(hand, _STOPPED)
            while self._hands:
                await self._wait(self._settings.poll_s)
        finally:
            for hand in self._hands.values():
                self._stop(hand, _STOPPED)
            await end(*self._hands, again_s=WITH_PROCESSES_S)

    async def _look(self) -> bool:
        """Take up what is due, as far as there is room; True when nothing is left to do anywhere."""
        self._reap()
        self._looked = time.monotonic()
        try:
            if time.monotonic() - self._swept > SWEEP_S:
                self._swept = time.monotonic()
                await self._queue.free_those_of_the_dead()
                await sweep(self._database)
                await release(self._database)
            # A suspect that ends its worker again shall not make others look like one.
            while len(self._hands) < self._concurrency and not self._has_suspect():
                claimed = await self._queue.claim(self._tools.settings.lease_ttl_s)
                if claimed is None:
                    return not self._hands and await self._queue.empty()
                hand = _Hand(claimed, time.monotonic())
                self._hands[asyncio.create_task(self._work(hand), name=claimed.session_id)] = hand
            if len(self._hands) >= self._concurrency:
                await self._make_room()
        except StoreUnavailable as problem:
            if not self._away:
                log.warning("The worker waits for its store. %s", problem, extra=about("queue_away"))
            self._away = True
        else:
            self._away = False
        return False

    def _has_suspect(self) -> bool:
        return any(hand.suspect for hand in self._hands.values())

    async def _make_room(self) -> None:
        """Leave the youngest session of the tenant with the most, for a tenant that has waited too long."""
        if any(hand.order is not None for hand in self._hands.values()):
            return  # It takes a session a while to come to its checkpoint; no other need go meanwhile.
        at_work = await self._queue.at_work()
        several = [hand for hand in self._hands.values() if at_work[hand.claimed.tenant] > 1]
        if not several or await self._queue.ask_for_room(self._settings.share_after_s) is None:
            return
        most = max(several, key=lambda hand: (at_work[hand.claimed.tenant], hand.since))
        self._stop(most, Stop("It makes room for another tenant.", "worker"))

    async def _wait(self, seconds: float) -> None:
        news = asyncio.create_task(self._news.wait())
        await asyncio.wait({news, *self._hands}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        news.cancel()
        self._news.clear()
        self._reap()

    def _reap(self) -> None:
        for task in [task for task in self._hands if task.done()]:
            hand = self._hands.pop(task)
            if (defect := task.exception()) is not None:
                # One session's defect is not the others': it is due again, and in the end set aside.
                named = about("session_broke", session_id=hand.claimed.session_id)
                log.error("a session ended in an unexpected error", exc_info=defect, extra=named)

    def _hear(self, session_id: str) -> None:
        for hand in self._hands.values():
            if hand.claimed.session_id == session_id:
                hand.claimed.lease.nudge()
        if not session_id:
            self._news.set()

    def _stop(self, hand: _Hand, order: Stop) -> None:
        hand.order = hand.order or order
        if hand.session is not None:
            hand.session.stop(hand.order)

    async def _work(self, hand: _Hand) -> None:
        """Take one session up and advance it as far as it goes."""
        lease = hand.claimed.lease
        lease.start()
        # What was asked of the holder before may not have been heard by it.
        lease.nudge()
        try:
            state = await load_state(self._database, lease.session_id)
            self._say("session.claimed", hand, state.status, None)
            ended = await self._advance(hand, state)
            self._say("session.left", hand, ended.status, ended.problem)
        except LeaseLost as problem:
            log.warning("%s", problem, extra=about("lease_lost", session_id=lease.session_id))
            self._say("session.left", hand, "lease_lost", str(problem))
        except HarnessError as problem:
            log.warning("%s", problem, extra=about("session_dropped", session_id=lease.session_id))
            if isinstance(problem, JournalRefused):
                await self._queue.leave_to_others(hand.claimed)
            else:
                # The lease runs out by itself, so that nobody takes the session up again at once.
                lease.lose()
            self._say("session.left", hand, "dropped", str(problem))
        finally:
            await asyncio.shield(lease.release())

    async def _advance(self, hand: _Hand, state: SessionState) -> Result | SessionState:
        before = hand.progress = state.progress

        def on_trouble(problem: str, again_s: float | None) -> Stop:
            if again_s is not None:
                return Stop(problem, "worker", again_s, counts=False)
            # What got it on starts the count again. An answer alone does not: it may be the same each time.
            tries = hand.claimed.tries if before == state.progress else 1
            if tries >= self._settings.max_tries:
                return Stop(f"{problem} Workers tried {tries} times; go on with: harness resume {state.id}")
            return Stop(problem, "worker", pause_s(tries, FIRST_PAUSE_S, LONGEST_PAUSE_S))

        lease = hand.claimed.lease
        if hand.claimed.tries > self._settings.max_tries:
            return await self._set_aside(
                hand,
                state,
                f"Workers took it up {hand.claimed.tries - 1} times and it got no further; "
                f"look at it with: harness show {state.id}",
            )
        try:
            session = await take_up(self._tools, self._database, state, lease, on_trouble=on_trouble)
        except (LeaseLost, StoreError):
            raise
        except HarnessError as problem:
            return await self._set_aside(hand, state, str(problem))
        hand.session = session
        if hand.order is not None:
            session.stop(hand.order)
        ended = await session.result()
        if session.lost is not None:
            raise LeaseLost(session.lost)
        if ended.status == "queued":
            await tell(self._database)
        return ended

    async def _set_aside(self, hand: _Hand, state: SessionState, why: str) -> SessionState:
        """Leave a session that cannot go on to a person."""
        journal = open_journal(
            self._database, hand.claimed.lease, state, self._tools.settings, self._tools.redactor
        )
        await journal.append(ev.SessionSuspended(reason=why), status="suspended")
        return state

    def _say(
        self,
        event: Literal["session.claimed", "session.left"],
        hand: _Hand,
        status: str,
        problem: str | None,
    ) -> None:
        worked = Worked(
            event=event,
            session_id=hand.claimed.session_id,
            tenant=hand.claimed.tenant,
            status=status,
            problem=problem,
            waited_s=hand.claimed.waited_s,
        )
        for hear in self._hearing:
            hear(worked)
