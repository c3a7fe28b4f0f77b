"""What bounds the storage: old sessions, sent spans, tool answers past their time, and folders, removed."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

from harness.attempt import remove_session
from harness.beside import beside
from harness.errors import StoreError
from harness.log_fields import about
from harness.records import Record
from harness.settings import Settings
from harness.store.database import Database
from harness.store.prunable import Choice, Prunable, ago, choice_of, prunable
from harness.store.pruning import (
    drop_expired_answers,
    drop_sent_spans,
    drop_unused_documents,
    drop_unused_versions,
    prune,
)

log = logging.getLogger(__name__)

EVERY_S = 3600.0
"""How often a worker keeps house, about: workers that began together do not do it together."""


class Tidied(Record):
    """What has gone: sessions, folders on this machine, documents, versions of bundles, spans, answers."""

    sessions: int = 0
    folders: int = 0
    documents: int = 0
    versions: int = 0
    spans: int = 0
    tool_answers: int = 0


async def keep_house(database: Database, settings: Settings, *, every_tenant: bool = False) -> Tidied:
    """Do what `[housekeeping]` says, for the tenant of the settings or for every one.

    Safe to call from many processes at once, and at any moment again. It is for workers to call now and then.

    Raises:
        PruneRefused: a session that is kept would have been harmed; its batch was undone.
    """
    choice = choice_of(settings, every_tenant=every_tenant)
    chosen = await prunable(database, choice) if choice else []
    return await tidy(database, settings, chosen, choice, every_tenant=every_tenant)


async def tidy(
    database: Database,
    settings: Settings,
    chosen: list[Prunable],
    choice: Choice | None,
    *,
    every_tenant: bool = False,
) -> Tidied:
    """Delete the sessions that were `chosen` by a `choice`, and all that nobody uses any more.

    Raises:
        PruneRefused: as `keep_house`.
    """
    sessions = folders = spans = 0
    if choice is not None:
        async for gone in prune(database, chosen, choice.before):
            sessions += len(gone)
            # Only after the commit: what is rolled back keeps its folder.
            folders += sum(remove_session(settings.home, session_id) for session_id in gone)
    if (days := settings.housekeeping.span_days) is not None:
        tenant = None if every_tenant else settings.tenant
        spans = await drop_sent_spans(database, tenant, ago(timedelta(days=days)))
    return Tidied(
        sessions=sessions,
        folders=folders,
        documents=await drop_unused_documents(database),
        versions=await drop_unused_versions(database),
        spans=spans,
        tool_answers=await drop_expired_answers(database),
    )


def housekeeping(database: Database, settings: Settings) -> AbstractAsyncContextManager[None]:
    """Keep house for every tenant now and then, in this block; what goes wrong is said in the log."""
    return beside(_now_and_then(database, settings), name="housekeeping")


async def _now_and_then(database: Database, settings: Settings) -> None:
    while True:
        await asyncio.sleep(random.uniform(0.5, 1.5) * EVERY_S)
        try:
            tidied = await keep_house(database, settings, every_tenant=True)
        except StoreError as problem:
            log.warning("the house could not be kept: %s", problem, extra=about("house_not_kept"))
        else:
            log.info("house kept: %s", tidied, extra=about("house_kept"))
