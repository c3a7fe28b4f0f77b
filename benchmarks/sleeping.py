"""What sessions cost that sleep: processes, and the memory of the worker, the CLIs and the server together.

One real session asks a person for help; in another one the lead waits for a subagent whose model does not
answer. Each is forked, and the forks are left to a worker with two places. Those of the first kind it takes
up one after another, until all wait for the person. Of the second kind two are at work, each with a process
for its subagent and none for its lead; the others wait in the queue.

Memory is PSS, in which what processes share, such as the server's buffers, counts once. It needs Linux.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import psycopg

from benchmarks.places import pss_mb
from benchmarks.rows import Row
from harness import Harness
from harness.settings import Settings
from harness.store.embedded import EmbeddedServer, status
from tests.e2e.crew import make_project
from tests.e2e.running import Command, Desk
from tests.kit.homes import new_home
from tests.kit.processes import API_KEY, tree, until
from tests.kit.scripted_api import ScriptedProcess, scripted_process

PLACES = 2
FEW = 10
PATIENCE_S = 1800
SETTLING_S = 3.0
"""A CLI that has asked its model grows for a while."""

_STANDING = "select count(*) from session where status = %s"
_LAST = "select coalesce(max(seq), 0) from event where session_id = %s and kind = %s"


def measure(short: bool) -> list[Row]:
    many = 50 if short else 1_000
    with new_home() as home, EmbeddedServer.acquire(home / "harness") as server:
        (home / "notes.md").write_text("# Notes\n\nTides and winds.\n")
        (home / "one.yaml").write_text("flow: {pattern: agent, agent: a}\n")
        make_project(home, "a")
        holds = home / "holds"
        holds.mkdir()
        (holds / "search-tides.hold").touch()
        log = home / "calls.jsonl"
        with scripted_process("tests.e2e.sleepers:asleep", log, given={"holds": str(holds)}) as api:
            desk = Desk(home, api.base_url, None)
            try:
                service = Service(desk, server.dsn, api)
                return [*asyncio.run(_people(service, many)), *asyncio.run(_subagents(service, many))]
            finally:
                desk.end()


async def _people(service: Service, many: int) -> list[Row]:
    first = await service.submit("Go !help:a", "--flow", "one.yaml")
    with service.worker() as worker:
        await service.until("needs_help", 1)
        asked = service.last(first, "session.finished") - 1
        costs = []
        for sessions in (FEW, many):
            await service.fork(first, asked, sessions - len(service.forks))
            await service.until("needs_help", sessions + 1)
            costs.append(service.cost(worker))
    return _rows("that wait for a person", costs, many)


async def _subagents(service: Service, many: int) -> list[Row]:
    service.forks.clear()
    first = await service.submit("How?")
    with service.worker() as worker:
        asleep = await until(
            lambda: service.last(first, "agent_run.suspended"), "the lead to sleep", timeout_s=PATIENCE_S
        )
        await service.fork(first, asleep, FEW)
        await until(lambda: service.held() == PLACES, "the subagents to ask", timeout_s=PATIENCE_S)
        await asyncio.sleep(SETTLING_S)
        costs = [service.cost(worker)]
        await service.fork(first, asleep, many - FEW)
        await service.until("queued", many + 1 - PLACES)
        costs.append(service.cost(worker))
    return _rows(f"whose leads wait for subagents, {PLACES} of them at work", costs, many)


@dataclass(frozen=True)
class Cost:
    """Processes below the worker, and megabytes by who has them."""

    processes: int
    worker: float
    clis: float
    server: float

    @property
    def all(self) -> float:
        return self.worker + self.clis + self.server


class Service:
    """A worker's surroundings: where sessions are submitted, forked and counted."""

    def __init__(self, desk: Desk, dsn: str, api: ScriptedProcess) -> None:
        self._desk = desk
        self._dsn = dsn
        self._api = api
        self.forks: list[str] = []

    async def submit(self, *words: str) -> str:
        """Submit a session and give its id."""
        command = self._desk.start("submit", *words, "--sources", "notes.md")
        assert await asyncio.to_thread(command.wait) == 0, command.errors
        assert command.session_id is not None, "a submitted session has an id"
        return command.session_id

    async def fork(self, session_id: str, at: int, count: int) -> None:
        """Fork a session so often, and leave the forks to the workers."""
        given = {"dsn": self._dsn, "home": self._desk.home / "harness", "upstream": {"api_key": API_KEY}}
        async with Harness(project=self._desk.home, settings=Settings.model_validate(given)) as harness:
            for _ in range(count):
                self.forks.append(await harness.fork(session_id, at=at))
                await harness.hand_over(self.forks[-1])

    @contextmanager
    def worker(self) -> Iterator[Command]:
        """A worker that is killed at the end, and its CLIs with it."""
        command = self._desk.start("worker", "--concurrency", str(PLACES))
        try:
            yield command
        finally:
            command.kill(clis_too=True)

    async def until(self, status: str, sessions: int) -> None:
        """Wait until so many sessions stand so."""
        asked = (_STANDING, status)
        await until(lambda: self._one(*asked) >= sessions, f"sessions {status}", timeout_s=PATIENCE_S)

    def last(self, session_id: str, kind: str) -> int:
        """The number of a session's newest event of a kind; 0 when there is none."""
        return self._one(_LAST, session_id, kind)

    def held(self) -> int:
        """How many model calls wait for their answer."""
        return sum(call.outcome == "open" for call in self._api.calls().messages())

    def _one(self, asked: str, *given: str) -> int:
        # A connection for each question, so that none of ours is among what is measured.
        with psycopg.connect(self._dsn) as connection:
            row = connection.execute(asked.encode(), given).fetchone()
        assert row is not None, "an aggregate has a row"
        return int(row[0])

    def cost(self, worker: Command) -> Cost:
        """What the worker, its CLIs and the server have just now."""
        below = tree(worker.process.pid)
        server = status(self._desk.home / "harness").pid
        assert server is not None, "it runs"
        return Cost(
            len(below),
            pss_mb(psutil.Process(worker.process.pid)),
            sum(map(pss_mb, below)),
            sum(map(pss_mb, (psutil.Process(server), *tree(server)))),
        )


def _rows(which: str, costs: list[Cost], many: int) -> list[Row]:
    return [
        Row(
            "sleeping",
            f"{sessions:,} sessions {which}",
            "MB",
            *(cost.all,) * 3,
            ratio=cost.all / costs[0].all,
            note=(
                f"{cost.processes} processes below the worker; worker {cost.worker:.0f} MB, "
                f"CLIs {cost.clis:.0f} MB, server {cost.server:.0f} MB"
            ),
        )
        for sessions, cost in zip((FEW, many), costs, strict=True)
    ]
