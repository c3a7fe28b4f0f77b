"""`harness db`: the database that keeps the sessions."""

from __future__ import annotations

import asyncio
from datetime import timedelta
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
from harness.store.database import Database, place
from harness.store.migrate import check, migrate
from harness.store.prunable import Choice, ago, prunable
from harness.store.storage import Storage, read_storage

_USUAL_DAYS = 30
"""The age of which is told what pruning would free, where the settings name none."""

_LARGEST = 4
"""Tables that a person is shown."""


class DatabaseView(Record):
    """What there is. What only a server can tell is None while an embedded one does not run.

    `prunable_days` is the age from which `storage` counts ended sessions as prunable.
    """

    kind: Literal["embedded", "own"]
    place: str
    running: bool
    pid: int | None = None
    version: str | None = None
    size_bytes: int | None = None
    users: tuple[int, ...] = ()
    applied: tuple[str, ...] | None = None
    pending: tuple[str, ...] | None = None
    storage: Storage | None = None
    prunable_days: int | None = None


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
        view = DatabaseView(kind="own", place=place(dsn), running=True)
        return await _looked_into(view, dsn, settings)
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
    return await _looked_into(view, found.dsn, settings)


async def _looked_into(view: DatabaseView, dsn: str, settings: Settings) -> DatabaseView:
    """The view with what the server tells. With a schema that is not current nothing is measured."""
    schema = await check(dsn)
    view = view.model_copy(update={"applied": schema.applied, "pending": schema.pending})
    if schema.pending:
        return view
    days = settings.housekeeping.keep_days or _USUAL_DAYS
    choice = Choice(tenant=settings.tenant, before=ago(timedelta(days=days)))
    async with await Database.open(dsn, max_size=1) as database:
        storage = await read_storage(database, settings.tenant, await prunable(database, choice))
    return view.model_copy(update={"storage": storage, "prunable_days": days})


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
    if view.storage is not None:
        _tell_storage(view.storage, view.prunable_days or 0)


def _tell_storage(storage: Storage, days: int) -> None:
    largest = ", ".join(f"{each.table} {words.size(each.bytes)}" for each in storage.tables[:_LARGEST])
    answer(f"Storage: {words.size(sum(each.bytes for each in storage.tables))} in tables; {largest}.")
    if storage.oldest is None:
        answer("Sessions: none.")
        return
    counts = ", ".join(f"{each.sessions} {each.status.replace('_', ' ')}" for each in storage.sessions)
    answer(f"Sessions: {counts}; the oldest is of {words.moment(storage.oldest)}.")
    old = words.number(storage.prunable, "session")
    answer(
        f"Prunable: {old} that ended more than {days} days ago, about {words.size(storage.freed_bytes)}; "
        f"delete them with: harness prune --older-than {days}d"
    )
