"""The harness as a library: `Harness` opens what sessions need, `Session` is one of them at work.

async with Harness(project=Path(".")) as harness:
    session = await harness.start("How does ...?", sources=["docs"], upstream="offline")
    async for progress in session:
        print(progress)
    print((await session.result()).report)
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

from harness import events as ev
from harness import steering
from harness.beginning import Place, begin
from harness.bundles.bundle import Bundle
from harness.bundles.load import load_bundles
from harness.content import find_project
from harness.corpus.corpus import Corpus
from harness.errors import NotResumable
from harness.flow import AnyNode, Flow
from harness.forking import prepare
from harness.hook_chain import load_hooks
from harness.permit import permitted_to_go_on
from harness.progress import Result, result
from harness.records import NO_LIMITS, Limits
from harness.redaction import Redactor
from harness.replay import ReplayReport, played_again, replay_report
from harness.request import Bounds, Budget, Options, Request, check, question_text
from harness.resumable import check_answer, check_resumable, ended_for_good
from harness.rolling_out import Recheck
from harness.session import Session, Tools
from harness.settings import Settings, from_environment, known_secrets
from harness.starting import start
from harness.state import SessionState
from harness.store.database import Database
from harness.store.forks import Fork, store_fork
from harness.store.journal import load_state, tenant_of
from harness.store.lease import Holder, acquire
from harness.store.open import open_store
from harness.store.recordings import count_recorded
from harness.store.sessions import check_whole
from harness.taking_up import Wishes, closed, take_up
from harness.tracing.content import Keeper, keeper
from harness.versions import session_bundles
from harness.watching import committed, settled
from harness.worker import Worker

OnWait = Callable[[Holder, float], None]
"""Hears of a lease that must end first: its holder, and the seconds left."""


class Harness:
    """Settings, bundles, hooks and the store; its own async context manager.

    `project` is the folder whose `harness.toml`, `subagents/`, `prompts/` and `hooks/` come first; by default
    it is looked for upwards from the working directory. `bundles` are definitions made in Python. `options`
    are settings by dotted key, for instance {"limits.max_concurrent": 2}.
    """

    def __init__(
        self,
        *,
        project: Path | None = None,
        bundles: Iterable[Bundle] = (),
        options: Mapping[str, object] | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.project = project or find_project(Path.cwd())
        self.settings = settings or from_environment(self.project, options)
        self.bundles: dict[str, Bundle] = load_bundles(self.project) | {b.name: b for b in bundles}
        self.hooks = load_hooks(self.project, self.settings)
        self.redactor = Redactor(known_secrets(self.settings))
        self._tools = Tools(self.settings, self.bundles, self.hooks, self.project, self.redactor)
        self._stack = AsyncExitStack()
        self._database: Database | None = None

    async def __aenter__(self) -> Self:
        """Nothing is opened before it is needed."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store; an embedded server stops with its last user."""
        self._database = None
        await self._stack.__aexit__(kind, error, trace)

    async def database(self) -> Database:
        """Open the store, once."""
        if self._database is None:
            self._database = await self._stack.enter_async_context(open_store(self.settings))
        return self._database

    def check(self, question: str, **options: Unpack[Options]) -> Request:
        """Check what a person asks for, without creating anything.

        Raises:
            BadInput: naming what cannot be used and what to do about it.
        """
        return check(self.settings, self.bundles, question, project=self.project, **options)

    async def start(self, question: str, **options: Unpack[Options]) -> Session:
        """Commit a new session for a question; iterating over it advances it. Options as for `check`."""
        request = self.check(question, **options)
        journal, tools = await start(
            self._tools, await self.database(), request, self._recheck(question, options)
        )
        return Session(tools, journal, journal.lease, request.max_concurrent, "session.started")

    async def submit(
        self,
        question: str,
        *,
        queue: str = "default",
        priority: int = 0,
        not_before: datetime | None = None,
        **options: Unpack[Options],
    ) -> str:
        """Commit a new session for the workers of a queue and give its id; options as for `check`.

        Of the sessions of one tenant those with a higher `priority` go first. None begins `not_before` that
        time, which has a time zone.
        """
        place = Place.at(queue, priority, not_before)
        recheck = self._recheck(question, options, key_needed=False)
        request = recheck(self.bundles, options.get("flow", "research"))
        journal, _ = await start(self._tools, await self.database(), request, recheck, place)
        return journal.session_id

    async def replay(
        self,
        session_id: str,
        *,
        run_tools: bool = False,
        max_concurrent: int | None = None,
    ) -> Session:
        """Commit a new session that runs a recorded one again on its recorded answers, with no model.

        It has the bundles, prompts and flow of this project as they are now. With `run_tools` also those
        tools run whose effect would happen again. What was found is told by `compared`.

        Raises:
            NoSuchSession: there is none of this id.
            NotReplayable: it was not recorded, or is a replay itself.
        """
        database = await self.database()
        recorded = await self.state(session_id)
        calls = await count_recorded(database, session_id)
        again = played_again(recorded, calls, self.bundles, self.project)
        again = again.model_copy(update={"run_tools": run_tools})
        new_id = str(uuid.uuid4())

        async def created() -> ev.SessionCreated:
            await Corpus(database).copy(session_id, new_id, again.sources)
            return again

        journal = await begin(
            database, self.settings, self.redactor, new_id, again.flow_name, again.question, created
        )
        concurrent = max_concurrent or self.settings.limits.max_concurrent
        return Session(self._tools, journal, journal.lease, concurrent, "session.started")

    async def compared(self, session_id: str) -> ReplayReport:
        """Sum up what a replay found; `session_id` is the replay's own."""
        return await replay_report(await self.database(), await self.state(session_id))

    async def resume(
        self,
        session_id: str,
        *,
        at: int | str | None = None,
        edits: Mapping[str, Any] | None = None,
        answer: str | None = None,
        record: bool | None = None,
        on_wait: OnWait | None = None,
        **bounds: Unpack[Bounds],
    ) -> Session:
        """Take a session up where its journal ends; one that has ended for good is only summed up again.

        `answer` is what an agent that asked for help is told; with `record` model calls are recorded from
        here on, as they are anyhow in a session that was begun so. With `at` a fork goes on instead, which is
        made as by `fork`, and only if it can go on.

        Raises:
            NoSuchSession: there is none of this id.
            LeaseHeld: a living process is at work on it.
            BadInput: it cannot go on so, or cannot be forked so.
        """
        wishes = Wishes(answer=answer, record=record, **bounds)
        if at is not None:
            forked = await self._prepared(session_id, at, edits, wishes.limits)
            # It has no name yet that a person could know it by.
            unborn = replace(forked.state, id=session_id)
            check_resumable(unborn, wishes.limits, self.settings, await self._bundles(unborn))
            check_answer(unborn, answer)
            await store_fork(await self.database(), forked, self._keeper)
            session_id = forked.state.id
        state = await self.state(session_id)
        if ended_for_good(state):
            return closed(self._tools, await self.database(), state)
        return await self._take_up(state, wishes, on_wait)

    async def fork(self, session_id: str, *, at: int | str, edits: Mapping[str, Any] | None = None) -> str:
        """Begin a new session with all that was done in one up to a point, and give its id.

        `at` is the number of an event, or the id of the span that it opened, or the beginning of that.
        `edits` change that event in the fork: dotted paths into its payload, with JSON values. The old
        session stays as it is, also when it is at work. What was finished by then is not done or paid again.

        Raises:
            NoSuchSession: there is none of this id.
            BadInput: there is no such point, or the edits cannot be made; nothing has been created.
        """
        forked = await self._prepared(session_id, at, edits)
        await store_fork(await self.database(), forked, self._keeper)
        return forked.state.id

    async def ask(
        self, session_id: str, question: str, *, on_wait: OnWait | None = None, **bounds: Unpack[Bounds]
    ) -> Session:
        """Go on in a finished session with a further question, with all that it has read."""
        asked = self.redactor.text(question_text(question))
        state = await self.state(session_id)
        if state.status != "done":
            raise NotResumable(
                f"Session {session_id} is {state.status}, not done; "
                f"finish it first with: harness resume {session_id}"
            )
        return await self._take_up(state, Wishes(asked, **bounds), on_wait)

    async def cancel(self, session_id: str) -> None:
        """Ask whoever advances a session to stop it for good; when nobody does, it is stopped here."""
        await steering.cancel(self._tools, await self.database(), await self.state(session_id))

    async def pause(self, session_id: str) -> None:
        """Ask whoever advances a session to stop it at its next checkpoint; no worker takes it up after that.

        Raises:
            NotResumable: it has ended, or neither is at work nor waits for a worker.
        """
        await steering.pause(self._tools, await self.database(), await self.state(session_id))

    async def hand_over(
        self,
        session_id: str,
        *,
        answer: str | None = None,
        record: bool | None = None,
        queue: str = "default",
        priority: int = 0,
        **budget: Unpack[Budget],
    ) -> None:
        """Leave a session that waits for a person to the workers of a queue; the rest as for `resume`."""
        wishes = Wishes(answer=answer, record=record, **budget)
        state = await self.state(session_id)
        await steering.hand_over(self._tools, await self.database(), state, wishes, Place.at(queue, priority))

    async def worker(self, *, concurrency: int | None = None, queues: Sequence[str] | None = None) -> Worker:
        """Make a worker that advances submitted sessions of all tenants in this process, once it is run."""
        told = self.settings.worker
        return Worker(
            self._tools, await self.database(), concurrency or told.concurrency, queues or told.queues
        )

    async def wait(self, session_id: str) -> Result:
        """Wait until no worker is at work on a session or will be, and sum it up.

        Raises:
            NoSuchSession: there is none of this id.
        """
        await self._check_known(session_id)
        return result(await settled(await self.database(), session_id))

    async def events(
        self, session_id: str, *, after: int = 0, follow: bool = True
    ) -> AsyncGenerator[ev.Event, None]:
        """Give a session's events as they are committed, by whatever process, from any machine.

        `after` leaves out those up to this number. With `follow` it ends when nobody is at work on the
        session or will be; else with the newest event.

        Raises:
            NoSuchSession: there is none of this id.
        """
        await self._check_known(session_id)
        async with aclosing(committed(await self.database(), session_id, after, follow=follow)) as events:
            async for event in events:
                yield event

    async def state(self, session_id: str) -> SessionState:
        """Fold a session's journal.

        Raises:
            NoSuchSession: there is none of this id for this tenant.
        """
        check_whole(session_id)
        return await load_state(await self.database(), session_id, self.settings.tenant)

    async def _check_known(self, session_id: str) -> None:
        check_whole(session_id)
        await tenant_of(await self.database(), session_id, self.settings.tenant)

    def _recheck(self, question: str, options: Options, *, key_needed: bool = True) -> Recheck:
        def recheck(bundles: Mapping[str, Bundle], flow: str | Flow | AnyNode) -> Request:
            changed: Options = {**options, "flow": flow}
            return check(
                self.settings, bundles, question, project=self.project, key_needed=key_needed, **changed
            )

        return recheck

    async def _prepared(
        self, session_id: str, at: int | str, edits: Mapping[str, Any] | None, asked: Limits = NO_LIMITS
    ) -> Fork:
        database, origin = await self.database(), await self.state(session_id)
        # Without edits nothing is held against the bundles, and a fork needs none.
        bundles = await self._bundles(origin) if edits else {}
        clean, prices = self.redactor.value(dict(edits or {})), self.settings.price_table
        forked = await prepare(database, origin, at, clean, bundles, prices)
        await permitted_to_go_on(database, forked.state, self.bundles, self.settings, asked)
        return forked

    async def _bundles(self, state: SessionState) -> dict[str, Bundle]:
        """What a session works with: the versions that it began with."""
        return await session_bundles(await self.database(), state, self.bundles, self.settings.home)

    async def _take_up(self, state: SessionState, wishes: Wishes, on_wait: OnWait | None) -> Session:
        database = await self.database()
        lease, _ = await acquire(database, state.id, ttl_s=self.settings.lease_ttl_s, on_wait=on_wait)
        lease.start()
        try:
            return await take_up(self._tools, database, state, lease, wishes)
        except BaseException:
            await lease.release()
            raise

    @property
    def _keeper(self) -> Keeper | None:
        return keeper(self.settings.tracing)
