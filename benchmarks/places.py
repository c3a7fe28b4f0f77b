"""What benchmarks work with: a store of their own, a session in it, and processes that end."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psutil

from harness import events as ev
from harness.flow import Agent
from harness.messages import Message
from harness.records import Limits, derived_id
from harness.settings import Settings
from harness.state import SessionState
from harness.store.database import Database, Json
from harness.store.embedded import EmbeddedServer
from harness.store.journal import Journal
from harness.store.lease import Holder, Lease
from harness.store.open import open_store
from harness.store.queries import queries
from tests.kit.homes import new_home
from tests.kit.processes import kill_tree

ROOT = Path(__file__).resolve().parents[1]

_SQL = queries("journal")


@contextmanager
def running_store() -> Iterator[Path]:
    """A home folder whose embedded server runs until the end, whoever else uses it."""
    with new_home() as home, EmbeddedServer.acquire(home):
        yield home


@asynccontextmanager
async def session(home: Path, runs: int) -> AsyncIterator[tuple[Journal, list[str]]]:
    """A session of this process in the home's store, opened as the library does, with agent runs in it."""
    async with open_store(Settings(home=home)) as database, session_in(database, runs) as made:
        yield made


@asynccontextmanager
async def session_in(database: Database, runs: int) -> AsyncIterator[tuple[Journal, list[str]]]:
    """A session of this process in a store that is open, with agent runs in it."""
    session_id = str(uuid.uuid4())
    await database.run(
        _SQL["create_session"],
        {
            "id": session_id,
            "tenant": "default",
            "flow": "single",
            "question": "How long does it take?",
            "holder": Json(Holder.here().model_dump()),
            "ttl": 30,
        },
    )
    lease = Lease(database, session_id, 1, 30)
    lease.start()
    try:
        journal = Journal(database, lease, SessionState(session_id))
        await journal.append(
            ev.SessionCreated(
                tenant="default",
                question="How long does it take?",
                flow_name="single",
                flow=Agent(agent="analyst"),
                upstream="live",
                limits=Limits(),
            )
        )
        ids = [derived_id(session_id, number) for number in range(runs)]
        for run_id in ids:
            await journal.append(_run_created(run_id, journal.state.trace_id), run_id=run_id)
        yield journal, ids
    finally:
        await lease.release()


def _run_created(run_id: str, trace_id: str) -> ev.AgentRunCreated:
    task = Message(
        id=run_id, kind="task", source="person", payload={}, schema_name="question", trace_id=trace_id
    )
    return ev.AgentRunCreated(
        agent="analyst", bundle_version="v1", parent_id=None, path="analyst", task=task, limits=Limits()
    )


def told(settings: Settings) -> dict[str, str]:
    """The environment by which a command finds this home and this store."""
    found = {"HARNESS_HOME": str(settings.home)}
    return found if settings.dsn is None else found | {"HARNESS_DSN": settings.dsn.get_secret_value()}


@contextmanager
def python(*arguments: str, env: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run this interpreter in the checkout; at the end it and its descendants are gone."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=dict(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        kill_tree(process.pid)
        process.communicate()


def output_of(*arguments: str, env: Mapping[str, str], timeout_s: float) -> str:
    """Run this interpreter to its end and give what it printed; an error when it fails or takes too long."""
    with python(*arguments, env=env) as process:
        printed, _ = process.communicate(timeout=timeout_s)
        if process.returncode != 0:
            raise RuntimeError(
                f"{' '.join(arguments)} ended with {process.returncode}; its error is on stderr."
            )
        return printed


def pss_mb(process: psutil.Process) -> float:
    """A process's memory in megabytes, with what it shares counted in proportion; 0 when it is gone."""
    try:
        return float(process.memory_full_info().pss) / 1e6
    except psutil.NoSuchProcess:
        return 0.0
