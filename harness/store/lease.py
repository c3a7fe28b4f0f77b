"""The lease: who may advance a session now.

Its token rises with each holder and every write proves it, so a holder that was frozen and comes back
writes nothing. The holder also stops by itself, by its own monotonic clock, before the lease can have ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import socket
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import psutil

from harness.beside import end
from harness.errors import LeaseHeld, LeaseLost, NoSuchSession, StoreUnavailable
from harness.log_fields import about
from harness.process_times import started_at
from harness.records import Record
from harness.store.database import Database, Json
from harness.store.queries import queries

log = logging.getLogger(__name__)

_SQL = queries("lease")
_JOURNAL = queries("journal")

T = TypeVar("T")

_MARGIN = 0.2
"""The share of the lease's time that the holder does not use: room for clocks and slow commits."""

_LAST_TRY_S = 1.0
"""How long a renewal may take when the time is up: a process that was frozen may still be the holder."""

_CALM_S = 15.0
"""A failure of the store that comes longer after the last one belongs to another absence, in seconds."""

_SILENT = "Postgres does not answer; check that it runs and try again."


class Holder(Record):
    """The operating system's name of a process: enough to tell whether it still lives."""

    host: str
    boot_id: str
    pid: int
    process_started: float

    @classmethod
    def here(cls) -> Holder:
        """Name this process."""
        pid = os.getpid()
        return cls(
            host=socket.gethostname(),
            boot_id=boot_id(),
            pid=pid,
            process_started=started_at(pid),
        )

    @property
    def on_this_host(self) -> bool:
        """Whether its process table is the one we can read; two machines may have one name."""
        return (self.host, self.boot_id) == (socket.gethostname(), boot_id())

    @property
    def known_dead(self) -> bool:
        """Whether the process is certainly gone: same host since its start, and no such process."""
        return self.on_this_host and not process_alive(self.pid, self.process_started)


@cache
def boot_id() -> str:
    """Name this boot of this machine, and of its containers this one: each has a process table of its own.

    That is the kernel's boot id, or the boot time where there is none, and the namespace of process ids.
    """
    path, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    boot = path.read_text().strip() if path.exists() else str(int(psutil.boot_time()))
    return f"{boot} {namespace.readlink()}" if namespace.is_symlink() else boot


def process_alive(pid: int, started: float) -> bool:
    """Tell whether the process that `started_at` then still runs; a zombie does not."""
    try:
        same = abs(started_at(pid) - started) < 1
        return same and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


class Lease:
    """This process's right to write one session, for as long as it keeps renewing it."""

    def __init__(
        self,
        database: Database,
        session_id: str,
        token: int,
        ttl_s: float,
        asked: float | None = None,
        seen_at: datetime | None = None,
    ) -> None:
        """`asked` is the monotonic time at which the lease was asked for, now by default.

        `seen_at` is the last sign of life of the holder before this one.
        """
        self.session_id = session_id
        self.seen_at = seen_at
        self.token = token
        self.ttl_s = ttl_s
        self.lost = asyncio.Event()
        self.cancel_requested = asyncio.Event()
        self.pause_requested = asyncio.Event()
        self._database = database
        self._taken_over = False
        self._trouble = ""
        self._failed_at = -math.inf
        self._until = self._safe_until(time.monotonic() if asked is None else asked)
        self._beat: asyncio.Task[None] | None = None
        self._nudged = asyncio.Event()
        self._left_behind: set[asyncio.Future[Any]] = set()

    @property
    def held(self) -> bool:
        """Whether this process may still write."""
        return not self.lost.is_set() and time.monotonic() < self._until

    @property
    def left_s(self) -> float:
        """Seconds for which this process may still write without renewing; 0 when it may not."""
        return max(0.0, self._until - time.monotonic()) if self.held else 0.0

    def lose(self) -> None:
        """Note that another process has the session now; nothing may be written any more."""
        self._taken_over = True
        self.lost.set()

    def gone(self) -> LeaseLost:
        """Say why this process may not write any more."""
        if self._taken_over:
            return LeaseLost(
                f"Another process has taken over session {self.session_id}; this one stops and has written "
                "nothing further."
            )
        return LeaseLost(self.given_up(f"The lease of {self.ttl_s:g} s ended before it could be renewed"))

    def given_up(self, what: str) -> str:
        """Say what took too long, why that may be, and how to go on, in one sentence."""
        trouble = self._recent_trouble()
        why = f": {trouble}; then" if trouble else ";"
        return f"{what}{why} go on with: harness resume {self.session_id}"

    async def waiting(self, work: Callable[[], Awaitable[T]]) -> T:
        """Give what `work` gives, tried again while the store is away and for as long as the lease lasts.

        It may have had its effect when it is tried again, which must do no harm.

        Raises:
            LeaseLost: the lease is gone, or ended first.
        """
        pause = 0.05
        while self.held:
            try:
                return await self._within(self.left_s, work())
            except (StoreUnavailable, TimeoutError) as problem:
                self._note(problem)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)
        raise self.gone()

    def start(self) -> None:
        """Renew the lease in the background, three times in its length."""
        self._beat = asyncio.create_task(self._renew(), name=f"lease {self.session_id}")

    def nudge(self) -> None:
        """Renew now rather than later, for it is said that somebody has asked the holder to stop."""
        self._nudged.set()

    async def release(self) -> None:
        """Stop renewing, and let the next process in at once."""
        if self._beat is not None:
            await end(self._beat)
        if self.lost.is_set():
            return
        self.lost.set()
        try:
            await self._database.run(_SQL["release_lease"], {"id": self.session_id, "token": self.token})
        except StoreUnavailable as problem:
            named = about("lease_not_released", session_id=self.session_id)
            log.warning("the lease could not be released and ends by itself: %s", problem, extra=named)

    async def _renew(self) -> None:
        pause = self.ttl_s / 3
        while not self.lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(pause, self.left_s)):
                    await self._nudged.wait()
            self._nudged.clear()
            asked = time.monotonic()
            try:
                renewed = self._database.one(
                    _SQL["renew_lease"], {"id": self.session_id, "token": self.token, "ttl": self.ttl_s}
                )
                row = await self._within(max(self.left_s, _LAST_TRY_S), renewed)
            except (StoreUnavailable, TimeoutError) as problem:
                self._note(problem)
                if not self.held:
                    self.lost.set()
                # Soon again: a store that restarts is back long before the lease has ended.
                pause = min(0.5, self.ttl_s / 20)
                continue
            pause = self.ttl_s / 3
            if row is None:
                self.lose()
                return
            self._until = self._safe_until(asked)
            self._hear(row["stop_requested"])

    async def _within(self, seconds: float, work: Awaitable[T]) -> T:
        """Give what `work` gives, or raise TimeoutError after `seconds`, whatever becomes of it then.

        A statement whose connection is cut off takes ten seconds to be cancelled, and no lease waits for it.
        """
        ends = time.monotonic() + seconds
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task}, timeout=seconds)
            if task.done():
                return task.result()
            raise TimeoutError
        finally:
            if not task.done():
                task.cancel()
                self._left_behind.add(task)
                task.add_done_callback(self._forget)
                await asyncio.wait({task}, timeout=max(0.0, ends - time.monotonic()))

    def _forget(self, task: asyncio.Future[Any]) -> None:
        self._left_behind.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            log.debug("a statement that was given up has failed: %s", problem, extra=about("given_up"))

    def _hear(self, stop_requested: str | None) -> None:
        if stop_requested == "cancel":
            self.cancel_requested.set()
        elif stop_requested == "pause":
            self.pause_requested.set()

    def _note(self, problem: Exception) -> None:
        """Keep what is wrong with the store, and warn of each absence once."""
        before, said = self._recent_trouble(), str(problem) or _SILENT
        if not before:
            named = about("store_away", session_id=self.session_id)
            log.warning("The session waits for its store. %s", said, extra=named)
        # Silence says least: it is what is left when something else was the matter before.
        if not before or not isinstance(problem, TimeoutError):
            self._trouble = said.rstrip(".")
        self._failed_at = time.monotonic()

    def _recent_trouble(self) -> str:
        return self._trouble if time.monotonic() - self._failed_at < _CALM_S else ""

    def _safe_until(self, asked: float) -> float:
        return asked + self.ttl_s * (1 - _MARGIN)


async def acquire(
    database: Database,
    session_id: str,
    *,
    ttl_s: float,
    on_wait: Callable[[Holder, float], None] | None = None,
) -> tuple[Lease, bool]:
    """Take a session's lease; the second value tells whether a previous holder left it behind.

    A holder that is certainly dead is taken over from at once. One that cannot be judged is waited for until
    its lease ends (`on_wait` gets the holder and the seconds left); one that is seen renewing lives.

    Raises:
        NoSuchSession: there is no session of this id.
        LeaseHeld: the holder is alive; the message names it.
    """
    seen: float | None = None
    while True:
        row = await database.one(_JOURNAL["session"], {"id": session_id})
        if row is None:
            raise NoSuchSession(f"There is no session {session_id}; list them with: harness sessions")
        holder = Holder(**row["holder"]) if row["holder"] else None
        dead = holder is not None and row["leased"] and holder.known_dead
        if not row["leased"] or dead:
            taken = await _take(database, session_id, row, ttl_s)
            if taken is not None:
                return taken, holder is not None
            continue
        assert holder is not None, "a lease that has not ended names its holder"
        left = float(row["lease_left"])
        if seen is not None and left > seen:
            raise LeaseHeld(
                f"Session {session_id} is being advanced by process {holder.pid} on {holder.host}; "
                f"stop it there, or cancel the session with: harness cancel {session_id}"
            )
        seen = left
        if on_wait is not None:
            on_wait(holder, left)
        await asyncio.sleep(min(1.0, left + 0.05))


async def _take(database: Database, session_id: str, row: dict[str, Any], ttl_s: float) -> Lease | None:
    asked = time.monotonic()
    taken = await database.one(
        _SQL["take_lease"],
        {
            "id": session_id,
            "ttl": ttl_s,
            "holder": Json(Holder.here().model_dump()),
            "dead_token": row["token"] if row["leased"] else None,
        },
    )
    if taken is None:
        return None
    return Lease(database, session_id, taken["token"], ttl_s, asked, taken["seen_at"])
