"""The queue: which session a worker advances next. Its own row is its place, and its lease the claim.

Turns are taken between tenants, priorities order the sessions of one tenant. A claim is one short
transaction; two workers never get the same session, and none waits for another.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import StoreUnavailable
from harness.store.database import Database, Json
from harness.store.lease import Holder, Lease
from harness.store.notices import CHANNEL
from harness.store.queries import queries

_SQL = queries("queue")

BUSY_S = 1.0
"""How long a claim looks again at tenants that others claim from; one of those may have been frozen at it."""


@dataclass(frozen=True)
class Claimed:
    """A session that is this worker's now; `tries` counts claims since it last got on.

    `waited_s` is for how many seconds it could have been claimed.
    """

    session_id: str
    tenant: str
    lease: Lease
    tries: int
    waited_s: float


class Queue:
    """The sessions of some queues, as workers see them: those of all tenants."""

    def __init__(self, database: Database, queues: Sequence[str]) -> None:
        self._database = database
        self._queues = list(queues)
        self._not_ours: list[str] = []

    async def claim(self, ttl_s: float) -> Claimed | None:
        """Take the session whose turn it is, with a lease of `ttl_s` seconds; None when none is due."""
        passed_over: list[str] = []
        busy: list[str] = []
        began = time.monotonic()
        while True:
            asked = time.monotonic()
            async with self._database.transaction() as connection:
                turn = await connection.one(
                    _SQL["tenant_in_turn"], {**self.scope, "passed_over": passed_over + busy}
                )
                row = None
                if turn is not None and turn["free"]:
                    row = await connection.one(
                        _SQL["claim"],
                        {
                            "tenant": turn["name"],
                            **self.scope,
                            "holder": Json(Holder.here().model_dump()),
                            "ttl": ttl_s,
                        },
                    )
            if turn is None:
                if not busy or asked - began > BUSY_S:
                    return None
                # Nobody else has anything due: those that others claim from are worth another look.
                busy.clear()
                await asyncio.sleep(random.uniform(0.002, 0.02))
            elif row is not None:
                session_id = str(row["id"])
                lease = Lease(self._database, session_id, row["token"], ttl_s, asked, row["seen_at"])
                return Claimed(session_id, turn["name"], lease, row["claims"], row["waited_s"])
            elif turn["free"]:
                # Another worker took its last place, or has its sessions in hand just now.
                passed_over.append(turn["name"])
            else:
                busy.append(turn["name"])

    async def leave_to_others(self, claimed: Claimed) -> None:
        """Claim a session no more, and undo that it was: another version of the harness has to take it up.

        Those who can read it are neither kept from it nor have a try less.
        """
        self._not_ours.append(claimed.session_id)
        # With the store away one try too many is counted; the session is left all the same.
        with contextlib.suppress(StoreUnavailable):
            await self._database.run(
                _SQL["unclaim"], {"id": claimed.session_id, "token": claimed.lease.token}
            )

    async def free_those_of_the_dead(self) -> int:
        """End the leases of this host's processes that are gone, and give how many: they need not run out."""
        freed = 0
        for row in await self._database.all(_SQL["held_here"], {"host": socket.gethostname()}):
            if Holder(**row["holder"]).known_dead:
                freed += await self._database.run(_SQL["expire"], {"id": row["id"], "token": row["token"]})
        return freed

    async def at_work(self) -> Counter[str]:
        """Count the sessions that workers advance now, by tenant."""
        rows = await self._database.all(_SQL["at_work"])
        return Counter({row["tenant"]: row["sessions"] for row in rows})

    async def ask_for_room(self, after_s: float) -> str | None:
        """Name a tenant that has waited for more than `after_s` seconds with no session at work.

        It is named once in that time, to whoever asks first.
        """
        row = await self._database.one(_SQL["ask_for_room"], {**self.scope, "after_s": after_s})
        return None if row is None else str(row["name"])

    async def empty(self) -> bool:
        """Whether no session is due or with a worker."""
        row = await self._database.one(_SQL["left"], self.scope)
        return row is None or not row["any"]

    @property
    def scope(self) -> dict[str, list[str]]:
        """Which sessions the statements of this queue are about, as their parameters."""
        return {"queues": self._queues, "not_ours": self._not_ours}


async def put(database: Database, lease: Lease, queue: str, priority: int) -> None:
    """Say in which queue a session waits, and how urgent it is among those of its tenant."""
    place = {"id": lease.session_id, "token": lease.token, "queue": queue, "priority": priority}
    await database.run(_SQL["place"], place)


async def uncount(database: Database, lease: Lease) -> None:
    """Do not count the claim that a session is at work by as one of its tries."""
    await database.run(_SQL["uncount"], {"id": lease.session_id, "token": lease.token})


async def tell(database: Database, session_id: str = "") -> None:
    """Hint that a session has come to be due, or that the one of this id is to stop."""
    await database.run(_SQL["notify"], {"channel": CHANNEL, "told": session_id})
