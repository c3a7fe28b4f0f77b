"""One session at work in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness import events as ev
from harness.bundles.bundle import Bundle
from harness.context import SessionContext
from harness.corpus.corpus import Corpus, Source
from harness.engine import Engine
from harness.errors import LeaseLost
from harness.export.exporting import exporting
from harness.export.scores import settle_scores
from harness.gateway.app import Gateway
from harness.gateway.offline import OfflineUpstream
from harness.gateway.rates import PacedUpstream
from harness.gateway.replay import ReplayUpstream, read_recorded
from harness.gateway.upstream import LiveUpstream, Upstream
from harness.hooks import Hook
from harness.log_fields import SESSION_ID
from harness.progress import Progress, Result, SessionStarted, change, result
from harness.prompts import render
from harness.redaction import Redactor
from harness.settings import Settings
from harness.state import SessionState
from harness.stopping import OnTrouble, Stop, Stopping, for_a_person
from harness.store.journal import Journal, Listener
from harness.store.lease import Lease
from harness.store.rates import Rates
from harness.store.rollouts import settle_rollouts

LISTED = 60
"""How many of a session's documents its first message names."""


@dataclass(frozen=True)
class Tools:
    """What a person has set up, and every session of theirs works with."""

    settings: Settings
    bundles: Mapping[str, Bundle]
    hooks: tuple[Hook, ...]
    project: Path
    redactor: Redactor
    listeners: tuple[Listener, ...] = ()
    """Hear every event of every session that is taken up."""


class Session:
    """One session at work in this process. Iterating advances it and gives its progress, the `Result` last.

    Leaving the iteration early stops the session at its last checkpoint; it can be resumed.
    """

    def __init__(
        self,
        tools: Tools,
        journal: Journal,
        lease: Lease | None,
        max_concurrent: int,
        event: Literal["session.started", "session.resumed"],
        on_trouble: OnTrouble = for_a_person,
    ) -> None:
        self.id = journal.session_id
        self._tools = tools
        self._journal = journal
        self._lease = lease
        self._max_concurrent = max_concurrent
        self._event: Literal["session.started", "session.resumed"] = event
        self._result: Result | None = None
        self.lost: str | None = None
        """Why the lease was lost, should it have been."""
        self._stopping = Stopping()
        self._on_trouble = on_trouble

    @property
    def state(self) -> SessionState:
        """The session as its journal stands now."""
        return self._journal.state

    def stop(self, order: Stop) -> None:
        """Let the session come to its next checkpoint and leave it there; the iteration then ends."""
        self._stopping.ask(order)

    async def result(self) -> Result:
        """Advance the session to its end, if that has not been done, and sum it up."""
        if self._result is None:
            async for _ in self:
                pass
        assert self._result is not None, "iteration ends with a result"
        return self._result

    async def __aiter__(self) -> AsyncGenerator[Progress, None]:
        """Advance the session. Should the lease be lost, the result says so; nothing further was written."""
        yield SessionStarted(event=self._event, session_id=self.id)
        if self._lease is None:
            self._result = result(self.state)
            yield self._result
            return
        settings, database = self._tools.settings, self._journal.database.impatient
        # Around all of it, the release of the lease included: nobody waits for spans but this iteration.
        async with exporting(settings, database, self.id):
            async with aclosing(self._changes(self._lease)) as changes:
                async for line in changes:
                    yield line
            self._result = result(self.state)
            if self.lost is not None:
                lost = {"status": "suspended", "problem": self.lost}
                self._result = self._result.model_copy(update=lost)
            yield self._result
            await settle_rollouts(database, self.state)
            await settle_scores(database, settings, self.id)

    async def _changes(self, lease: Lease) -> AsyncGenerator[Progress, None]:
        lines: asyncio.Queue[Progress | None] = asyncio.Queue()

        def listen(event: ev.Event, state: SessionState) -> None:
            if (line := change(event, state)) is not None:
                lines.put_nowait(line)

        self._journal.listen(listen)
        work = asyncio.create_task(self._advance(lease), name=f"session {self.id}")
        work.add_done_callback(lambda _: lines.put_nowait(None))
        try:
            while (line := await lines.get()) is not None:
                yield line
        finally:
            work.cancel()
            await asyncio.wait({work})
            await asyncio.shield(lease.release())
        if not work.cancelled():
            try:
                work.result()
            except LeaseLost as problem:
                self.lost = str(problem)

    async def _advance(self, lease: Lease) -> None:
        SESSION_ID.set(self.id)
        tools, created = self._tools, self.state.created
        assert created is not None, "a session begins with its creation"
        sources = await Corpus(self._journal.database).sources(self.id)
        context = SessionContext(
            journal=self._journal,
            database=self._journal.database,
            lease=lease,
            settings=tools.settings,
            bundles=tools.bundles,
            hooks=tools.hooks,
            flow=created.flow,
            project=tools.project,
            gateway=None,
            model=created.model,
            max_concurrent=self._max_concurrent,
            stopping=self._stopping,
            on_trouble=self._on_trouble,
            sources_listed=lambda: _listed(sources),
        )
        # Who cancels may have no key, and a replay's recording may be gone: no model is called any more.
        if created.upstream == "direct" or lease.cancel_requested.is_set():
            await Engine(context).advance()
            return
        fallback = tools.settings.models.fallback if created.upstream == "live" else None
        async with Gateway(await self._upstream(created), context.stopping, fallback=fallback) as gateway:
            context.gateway = gateway
            await Engine(context).advance()

    async def _upstream(self, created: ev.SessionCreated) -> Upstream:
        if created.upstream == "offline":
            return OfflineUpstream()
        if created.replays is not None:
            database = self._journal.database
            left_out = (render("resume", self._tools.project),)
            recorded = await read_recorded(database, created.replays, self.state.tenant)
            return ReplayUpstream(database, recorded, self.state, left_out, self._journal.redactor)
        key = self._tools.settings.upstream.api_key
        assert key is not None, "checked before the session began"
        base_url, secret = self._tools.settings.upstream.base_url, key.get_secret_value()
        rates = Rates(self._journal.database, base_url, secret, created.tenant)
        silent_s = self._tools.settings.limits.silent_s
        return PacedUpstream(LiveUpstream(base_url, secret, silent_s), rates)


def _listed(sources: Sequence[Source]) -> str:
    """The session's documents as a question's message lists them."""
    if not sources:
        return "No documents were given."
    lines = [f"{source.label}: {source.title} ({source.locator})" for source in sources[:LISTED]]
    if len(sources) > LISTED:
        lines.append(f"... and {len(sources) - LISTED} more; find them with search.")
    return "\n".join(lines)
