"""The rate limits of an API key as all workers see them: token buckets for each model, in Postgres.

A call asks for room before it is sent, tells what its answer's headers said, and settles what it wrote. Times
are those of the database's clock. Nothing here waits.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from harness.store.database import Database
from harness.store.queries import queries

_SQL = queries("rates")

WAITS_S = 5.0
"""Seconds for which a waiting call holds its place without asking again: its worker may have died."""

UNDER_WAY_S = 120.0
"""Seconds for which a call counts as under way without having ended: its worker may have died."""

Kind = Literal["requests", "input", "output"]
"""What is limited: requests, tokens of prompts, tokens of answers."""

KINDS: tuple[Kind, ...] = ("requests", "input", "output")


@dataclass(frozen=True)
class Need:
    """What a call is taken to need of each limit before its answer tells."""

    input: float
    output: float
    requests: float = 1.0


@dataclass(frozen=True)
class Bucket:
    """One limit as the service told it: what fits in, what is left, and how much comes in a second."""

    limit: float
    left: float
    per_s: float


@dataclass(frozen=True)
class Heard:
    """What an answer says of the limits. `blocked_s` are the seconds in which nothing may be sent."""

    status: int
    buckets: Mapping[Kind, Bucket] = field(default_factory=dict)
    blocked_s: float | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether a call may be sent now; if not, for how many seconds it is blocked or short of room at least.

    `noted` says that the call counts as under way; of limits that are not known, nothing is noted.
    """

    granted: bool
    noted: bool = False
    blocked_s: float = 0.0
    short_s: float = 0.0
    blocked_until: datetime | None = None
    blocked_status: int | None = None


class Rates:
    """The limits of one API key at one endpoint, as the calls of one tenant meet them."""

    def __init__(self, database: Database, base_url: str, api_key: str, tenant: str) -> None:
        self._database = database
        self._key = key_hash(base_url, api_key)
        self._tenant = tenant

    async def ask(
        self, model: str, call: uuid.UUID, need: Need, *, waited_s: float = 0.0, waits: bool = True
    ) -> Verdict:
        """Ask whether a call may be sent; if so, it has been taken off the room.

        `waits`: if not, the call keeps its place for a short while and asks again. It has waited `waited_s`
        seconds so far.
        """
        row = await self._database.one(
            _SQL["ask"],
            self._names(model, call)
            | {
                "tenant": self._tenant,
                "requests": need.requests,
                "input": need.input,
                "output": need.output,
                "waited_s": waited_s,
                "waits": waits,
                "waits_s": WAITS_S,
                "under_way_s": UNDER_WAY_S,
            },
        )
        assert row is not None, "a verdict is a row"
        return Verdict(**row)

    async def heard(self, model: str, call: uuid.UUID, heard: Heard) -> None:
        """Note what a call's answer said, before the answer itself has been read."""
        told = {
            f"{kind}_{what}": getattr(heard.buckets.get(kind), what, None)
            for kind in KINDS
            for what in ("limit", "left", "per_s")
        }
        given = {"status": heard.status, "blocked_s": heard.blocked_s}
        await self._database.run(_SQL["heard"], self._names(model, call) | told | given)

    async def settle(self, model: str, call: uuid.UUID, output: int) -> None:
        """Note that a call's answer has ended, and how many tokens were written."""
        await self._database.run(_SQL["settle"], self._names(model, call) | {"output": float(output)})

    async def leave(self, model: str, call: uuid.UUID) -> None:
        """Give up a waiting call's place."""
        await self._database.run(_SQL["leave"], self._names(model, call))

    def _names(self, model: str, call: uuid.UUID) -> dict[str, object]:
        return {"key": self._key, "model": model, "call": call}


def key_hash(base_url: str, api_key: str) -> str:
    """Name an endpoint and its key; what it is made of cannot be told from it."""
    return hashlib.blake2b(
        f"{base_url}\x00{api_key}".encode(), digest_size=16, person=b"harness rates"
    ).hexdigest()
