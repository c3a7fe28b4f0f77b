"""A worker that dispatches and nothing more: `python -m benchmarks.dispatching GIVEN`.

GIVEN is the JSON of `Given`. It says when it is ready, begins when a line comes, and prints whose session or
job it starts and when, by the machine's monotonic clock. Ours is the product's own worker, whose sessions are
over as soon as they have been claimed; the peer's is procrastinate's, whose jobs have nothing to do.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from pydantic import BaseModel

from benchmarks.places import ROOT
from harness.redaction import Redactor
from harness.sections import Workers
from harness.session import Tools
from harness.settings import Settings
from harness.store.database import Database
from harness.worker import Worker

END = """
update session set status = 'done', due_at = null, head = head + 1 where id = %(id)s and token = %(token)s
"""
"""What a session's last event does to its row."""

JOB = "advance"
POLL_S = 1.0


class Given(BaseModel):
    """Which worker, on which database, and how long each session or job takes."""

    kind: str
    dsn: str
    concurrency: int = 4
    notices: bool = True
    until_empty: bool = True
    work_s: float = 0.0


class Dispatching(Worker):
    """The product's worker without the work."""

    work_s = 0.0

    async def _work(self, hand: Any) -> None:
        lease = hand.claimed.lease
        _started(hand.claimed.tenant)
        if self.work_s:
            await asyncio.sleep(self.work_s)
        await self._database.run(END, {"id": lease.session_id, "token": lease.token})
        await lease.release()


def procrastinate_app(dsn: str, work_s: float = 0.0) -> Any:
    """Make procrastinate's application with the one task there is; None where it is not installed."""
    try:
        import procrastinate
    except ImportError:
        return None
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn, max_size=8))

    async def advance(tenant: str) -> None:
        _started(tenant)
        if work_s:
            await asyncio.sleep(work_s)

    app.task(name=JOB)(advance)
    return app


def _started(tenant: str) -> None:
    print(tenant, time.monotonic(), flush=True)


async def _told_to_begin() -> None:
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)


async def _ours(given: Given) -> None:
    settings = Settings(worker=Workers(poll_s=POLL_S))
    async with await Database.open(given.dsn) as database:
        tools = Tools(settings, {}, (), ROOT, Redactor(()))
        worker = Dispatching(tools, database, given.concurrency, ["default"])
        worker.work_s = given.work_s
        await _told_to_begin()
        await worker.run(until_empty=given.until_empty)


async def _peer(given: Given) -> None:
    app = procrastinate_app(given.dsn, given.work_s)
    async with app.open_async():
        await _told_to_begin()
        await app.run_worker_async(
            concurrency=given.concurrency,
            wait=not given.until_empty,
            listen_notify=given.notices,
            fetch_job_polling_interval=POLL_S,
        )


if __name__ == "__main__":
    told = Given.model_validate_json(sys.argv[1])
    asyncio.run((_ours if told.kind == "harness" else _peer)(told))
