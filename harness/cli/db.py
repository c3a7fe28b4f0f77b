"""`harness db`: the database that keeps the sessions."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

import click

from harness.cli import words
from harness.cli.options import Common, common
from harness.cli.output import answer, answer_json
from harness.cli.signals import run_whole
from harness.errors import BadInput
from harness.records import Record
from harness.settings import Settings
from harness.store import embedded
from harness.store.database import place
from harness.store.migrate import check, migrate


class DatabaseView(Record):
    """What there is. `applied` and `pending` migrations are None while an embedded server does not run."""

    kind: Literal["embedded", "own"]
    place: str
    running: bool
    pid: int | None = None
    version: str | None = None
    size_bytes: int | None = None
    users: tuple[int, ...] = ()
    applied: tuple[str, ...] | None = None
    pending: tuple[str, ...] | None = None


@click.group("db")
def db() -> None:
    """Look after the database: an embedded Postgres, or your own with --dsn or HARNESS_DSN."""


@db.command("status")
@common
def db_status(common: Common) -> int:
    """Say where the database is, whether it runs, and whether its schema is up to date."""
    settings = common.settings

    async def work() -> int:
        view = await _look(settings)
        answer_json(view) if common.as_json else _tell(view)
        return 0

    return run_whole(work())


@db.command("migrate")
@common
def db_migrate(common: Common) -> int:
    """Bring the schema up to date. Every command that uses sessions does so too."""
    settings = common.settings

    async def work() -> int:
        applied = await _migrate(settings)
        if common.as_json:
            answer_json({"applied": applied})
        else:
            answer(f"Applied {', '.join(applied)}." if applied else "The schema is up to date.")
        return 0

    return run_whole(work())


@db.command("stop")
@common
def db_stop(common: Common) -> int:
    """Stop an embedded server that is still up. It stops by itself with its last user."""
    settings = common.settings
    if settings.dsn is not None:
        raise BadInput(
            "A DSN is given, and your own server is yours to stop; leave the DSN out for the embedded one."
        )
    stopped = embedded.stop(settings.home)
    if common.as_json:
        answer_json({"stopped": stopped})
    else:
        answer("The embedded Postgres has stopped." if stopped else "The embedded Postgres does not run.")
    return 0


async def _look(settings: Settings) -> DatabaseView:
    if settings.dsn is not None:
        dsn = settings.dsn.get_secret_value()
        schema = await check(dsn)
        return DatabaseView(
            kind="own", place=place(dsn), running=True, applied=schema.applied, pending=schema.pending
        )
    found = await asyncio.to_thread(_embedded, settings.home)
    if found is None:
        return DatabaseView(kind="embedded", place=str(settings.home), running=False)
    view = DatabaseView(
        kind="embedded",
        place=str(found.data_dir),
        running=found.running,
        pid=found.pid,
        version=found.version,
        size_bytes=found.size_bytes,
        users=found.users,
    )
    if found.dsn is None:
        return view
    schema = await check(found.dsn)
    return view.model_copy(update={"applied": schema.applied, "pending": schema.pending})


def _embedded(home: Path) -> embedded.ServerStatus | None:
    return embedded.status(home) if (home / embedded.DATA).exists() else None


async def _migrate(settings: Settings) -> list[str]:
    if settings.dsn is not None:
        return await migrate(settings.dsn.get_secret_value())
    server = await asyncio.to_thread(embedded.EmbeddedServer.acquire, settings.home)
    try:
        return await migrate(server.dsn)
    finally:
        await asyncio.to_thread(server.release)


def _tell(view: DatabaseView) -> None:
    if view.kind == "own":
        answer(f"Your own Postgres at {view.place}: it answers.")
    elif view.size_bytes is None:
        answer(f"Embedded Postgres in {view.place}: not made yet; the first session makes it.")
    else:
        facts = [f"Postgres {view.version}", words.size(view.size_bytes)]
        if view.running:
            users = f", used by pid {', '.join(map(str, view.users))}" if view.users else ", without a user"
            facts.append(f"running as pid {view.pid}{users}")
        else:
            facts.append("not running; it starts when it is needed")
        answer(f"Embedded Postgres in {view.place}: {', '.join(facts)}.")
    if view.pending:
        answer(
            f"Schema: {words.number(len(view.pending), 'migration')} to apply; do it with: harness db migrate"
        )
    elif view.pending is not None:
        answer(f"Schema: up to date ({words.number(len(view.applied or ()), 'migration')}).")
