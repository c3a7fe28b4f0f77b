"""The page that Prometheus scrapes, and the answer to whether a worker is well."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
from aiohttp import web

from harness.errors import BadInput
from harness.export.address import RELEASE, address
from harness.metrics import catalogue as its
from harness.metrics.counting import Counting
from harness.metrics.exposition import CONTENT_TYPE, Sample, written
from harness.metrics.readings import Readings
from harness.settings import Settings
from harness.store.database import Database
from harness.worker import Worker

STUCK_S = 60.0
"""A worker that has not looked for due sessions for longer than that is not well."""


def listen(host: str, port: int) -> socket.socket:
    """Take the address where metrics are served; port 0 takes any that is free.

    Raises:
        BadInput: it cannot be had, with why.
    """
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        taken = socket.socket(family, kind)
    except (OSError, UnicodeError) as problem:
        raise BadInput(
            f"The metrics' host {host} is no address; correct worker.metrics_host: {problem}."
        ) from problem
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(place)
        taken.listen()
    except OSError as problem:
        taken.close()
        raise BadInput(
            f"Metrics cannot be served at {host} port {port} ({problem.strerror}); "
            "choose another with --metrics-port or worker.metrics_host."
        ) from problem
    return taken


@asynccontextmanager
async def serving(
    at: socket.socket, worker: Worker, database: Database, settings: Settings
) -> AsyncIterator[None]:
    """Serve a worker's metrics in this block at an address that `listen` has taken, and give it back."""
    served = _Served(worker, Readings(database, spans=address(settings) is not None))
    application = web.Application()
    application.router.add_get("/metrics", served.metrics)
    application.router.add_get("/healthz", served.health)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.SockSite(runner, at).start()
        yield
    finally:
        await runner.cleanup()
        await served.readings.close()


class _Served:
    def __init__(self, worker: Worker, readings: Readings) -> None:
        self.readings = readings
        self._worker = worker
        self._counting = Counting()
        worker.listen(self._counting.hear, self._counting.follow)

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer a scrape, whatever has become of the store."""
        reading, memory = await asyncio.gather(self.readings.newest(), asyncio.to_thread(_memory))
        samples = [*_of_worker(self._worker), *memory, *self._counting.samples(), *reading.samples()]
        text = written(samples, [self._counting.waits])
        return web.Response(body=text.encode(), headers={"content-type": CONTENT_TYPE})

    async def health(self, request: web.Request) -> web.Response:
        """200 when the worker does its work, also while it drains; else 503 with the reason."""
        pulse, problem = self._worker.pulse(), (await self.readings.newest()).problem
        if problem is None and not pulse.draining and pulse.looked_s > STUCK_S:
            problem = f"The worker has not looked for due sessions for {pulse.looked_s:.0f} s; restart it."
        status = "failing" if problem else "draining" if pulse.draining else "ok"
        told = {"status": status, "sessions": pulse.sessions, "problem": problem}
        return web.json_response(told, status=503 if problem else 200)


def _of_worker(worker: Worker) -> list[Sample]:
    pulse = worker.pulse()
    return [
        Sample(its.BUILD, (RELEASE,), 1),
        Sample(its.PLACES, (), pulse.places),
        Sample(its.AT_WORK, (), pulse.sessions),
        Sample(its.DRAINING, (), pulse.draining),
        Sample(its.LOOKED, (), pulse.looked_s),
    ]


def _memory() -> list[Sample]:
    """What this process and those it has started hold; one that ends meanwhile holds nothing."""
    own, below = psutil.Process(), 0
    for process in own.children(recursive=True):
        try:
            below += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return [Sample(its.MEMORY, (), own.memory_info().rss), Sample(its.AGENTS_MEMORY, (), below)]
