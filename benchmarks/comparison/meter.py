"""What steps cost that are committed to Postgres one by one: their seconds, and the bytes that come of them.

Whoever takes the steps tells the meter of each. It needs psycopg only, for the peers' programs import it in
environments of their own.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from psycopg import AsyncConnection

MESSAGE = 2000
"""Characters of what a step says."""

_WORDS = tuple(
    one + two for one in ("ka", "lo", "mi", "ne", "sta", "tu", "ver") for two in ("n", "ral", "s", "ta")
)

_HELD = """
select coalesce(sum(pg_total_relation_size(oid)), 0)::bigint from pg_class
 where relkind = 'r' and relnamespace = 'public'::regnamespace
"""
_LOGGED = "select pg_current_wal_lsn() - '0/0'::pg_lsn"


def message(number: int) -> str:
    """Give what a step says, the same for everybody."""
    dice = random.Random(number)
    return " ".join(dice.choices(_WORDS, k=MESSAGE))[:MESSAGE]


@dataclass(frozen=True)
class Look:
    """What there was after a step: bytes that the tables hold, and bytes that went into the server's log."""

    step: int
    held: int
    logged: int


@dataclass
class Taken:
    """The seconds of each step, those of CPU in the process that took it, and a look at every mark."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)

    def json(self) -> str:
        """Write it down."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Self:
        """Read what was written down."""
        found: dict[str, Any] = json.loads(text)
        return cls(found["seconds"], found["cpu"], [Look(**look) for look in found["looks"]])


class Meter:
    """Takes the time between two steps; at a mark it stops the clock and looks into the database."""

    def __init__(self, connection: AsyncConnection[Any], marks: Sequence[int]) -> None:
        self._connection = connection
        self._marks = frozenset(marks)
        self._held = self._logged = self._away = 0
        self._since = self._cpu = 0.0
        self.taken = Taken()

    @classmethod
    @asynccontextmanager
    async def on(cls, dsn: str, marks: Sequence[int]) -> AsyncIterator[Self]:
        """Begin, in a database in which everything is ready for the first step."""
        async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
            # Or the first look would count what a vacuum adds to the tables that were there before.
            await connection.execute("vacuum analyze")
            made = cls(connection, marks)
            made._held, made._logged = await made._number(_HELD), await made._number(_LOGGED)
            made._start()
            yield made

    async def stepped(self) -> None:
        """A step has been committed."""
        taken = self.taken
        taken.seconds.append(time.perf_counter() - self._since)
        taken.cpu.append(time.process_time() - self._cpu)
        if (step := len(taken.seconds)) in self._marks:
            before = await self._number(_LOGGED)
            await self._connection.execute("vacuum analyze")
            held = await self._number(_HELD) - self._held
            taken.looks.append(Look(step, held, before - self._logged - self._away))
            # What the vacuum itself has logged is nobody's step.
            self._away += await self._number(_LOGGED) - before
        self._start()

    def _start(self) -> None:
        self._since, self._cpu = time.perf_counter(), time.process_time()

    async def _number(self, asked: str) -> int:
        row = await (await self._connection.execute(asked.encode())).fetchone()
        assert row is not None, "an aggregate has a row"
        return int(row[0])
