"""The harness as a library: `Harness` opens what sessions need, `Session` is one of them at work.

async with Harness(project=Path(".")) as harness:
    session = await harness.start("How does ...?", sources=["docs"], upstream="offline")
    async for progress in session:
        print(progress)
    print((await session.result()).report)
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

from harness import events as ev
from harness.beginning import begin, open_journal
from harness.bundles.bundle import Bundle, limits_of
from harness.bundles.load import load_bundles
from harness.content import find_project
from harness.corpus.corpus import Corpus
from harness.errors import BadInput, NoSuchSession, NotResumable
from harness.flow import bundles_of
from harness.forking import prepare
from harness.hook_chain import load_hooks
from harness.limits import granted, more
from harness.redaction import Redactor
from harness.replay import ReplayReport, played_again, replay_report
from harness.request import NO_WIRE, Options, Request, check, question_text
from harness.resumable import check_answer, check_resumable, ended_for_good, wanting_help
from harness.session import Session, Tools
from harness.settings import Settings, from_environment, known_secrets
from harness.state import SessionState
from harness.store.database import Database
from harness.store.forks import Fork, store_fork
from harness.store.journal import Journal, catch_up, load_state
from harness.store.lease import Holder, Lease, acquire
from harness.store.open import open_store
from harness.store.queries import queries
from harness.store.recordings import count_recorded
from harness.tracing.content import Keeper, keeper

_SQL = queries("journal")

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
        self._tools = Tools(self.settings, self.bundles, self.hooks, self.project)
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
        database = await self.database()
        question = self.redactor.text(request.question)
        corpus = Corpus(database, self.redactor)
        # Everything is read before anything is created, so that a bad file leaves nothing behind.
        files = list(request.files)
        documents = await corpus.load(self.settings.tenant, files) if files else []
        session_id = str(uuid.uuid4())

        async def created() -> ev.SessionCreated:
            return ev.SessionCreated(
                tenant=self.settings.tenant,
                question=question,
                flow_name=request.flow.name,
                flow=request.flow.flow,
                state=request.flow.state,
                upstream=request.upstream,
                limits=request.limits,
                model=request.model,
                bundles={name: self.bundles[name].version for name in bundles_of(request.flow.flow)},
                sources=await corpus.attach(session_id, self.settings.tenant, documents),
                project=str(self.project),
                record=request.record,
            )

        journal = await begin(
            database, self.settings, self.redactor, session_id, request.flow.name, question, created
        )
        return Session(self._tools, journal, journal.lease, request.max_concurrent, "session.started")

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
        budget_usd: float | None = None,
        max_concurrent: int | None = None,
        record: bool | None = None,
        on_wait: OnWait | None = None,
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
        if at is not None:
            forked = await self._prepared(session_id, at, edits or {})
            # It has no name yet that a person could know it by.
            unborn = replace(forked.state, id=session_id)
            check_resumable(unborn, budget_usd, self.settings, self.bundles)
            check_answer(unborn, answer)
            await store_fork(await self.database(), forked, self._keeper)
            session_id = forked.state.id
        state = await self.state(session_id)
        if ended_for_good(state):
            return await self._closed(state)
        return await self._take_up(state, None, budget_usd, max_concurrent, on_wait, answer, record)

    async def fork(self, session_id: str, *, at: int | str, edits: Mapping[str, Any] | None = None) -> str:
        """Begin a new session with all that was done in one up to a point, and give its id.

        `at` is the number of an event, or the id of the span that it opened, or the beginning of that.
        `edits` change that event in the fork: dotted paths into its payload, with JSON values. The old
        session stays as it is, also when it is at work. What was finished by then is not done or paid again.

        Raises:
            NoSuchSession: there is none of this id.
            BadInput: there is no such point, or the edits cannot be made; nothing has been created.
        """
        forked = await self._prepared(session_id, at, edits or {})
        await store_fork(await self.database(), forked, self._keeper)
        return forked.state.id

    async def ask(
        self,
        session_id: str,
        question: str,
        *,
        budget_usd: float | None = None,
        max_concurrent: int | None = None,
        on_wait: OnWait | None = None,
    ) -> Session:
        """Go on in a finished session with a further question, with all that it has read."""
        asked = self.redactor.text(question_text(question))
        state = await self.state(session_id)
        if state.status != "done":
            raise NotResumable(
                f"Session {session_id} is {state.status}, not done; "
                f"finish it first with: harness resume {session_id}"
            )
        return await self._take_up(state, asked, budget_usd, max_concurrent, on_wait)

    async def cancel(self, session_id: str) -> None:
        """Ask whoever advances a session to stop it for good; when nobody does, it is stopped here."""
        database = await self.database()
        state = await self.state(session_id)
        if state.finished:
            raise NotResumable(f"Session {session_id} has ended already ({state.status}).")
        await database.run(_SQL["request_cancel"], {"id": session_id})
        row = await database.one(_SQL["session"], {"id": session_id})
        holder = Holder(**row["holder"]) if row and row["holder"] else None
        if row and row["leased"] and holder and not holder.known_dead:
            return
        lease, _ = await acquire(database, session_id, ttl_s=self.settings.lease_ttl_s)
        lease.cancel_requested.set()
        journal = self._journal(database, lease, await load_state(database, session_id))
        await Session(self._tools, journal, lease, 1, "session.resumed").result()

    async def state(self, session_id: str) -> SessionState:
        """Fold a session's journal.

        Raises:
            NoSuchSession: there is none of this id for this tenant.
        """
        try:
            uuid.UUID(session_id)
        except ValueError as problem:
            raise NoSuchSession(
                f"'{session_id}' is no session id; list the sessions with: harness sessions"
            ) from problem
        state = await load_state(await self.database(), session_id)
        if state.tenant != self.settings.tenant:
            raise NoSuchSession(f"There is no session {session_id}; list them with: harness sessions")
        return state

    async def _prepared(self, session_id: str, at: int | str, edits: Mapping[str, Any]) -> Fork:
        origin = await self.state(session_id)
        return await prepare(
            await self.database(), origin, at, self.redactor.value(dict(edits)), self.bundles
        )

    async def _take_up(
        self,
        state: SessionState,
        question: str | None,
        budget_usd: float | None,
        max_concurrent: int | None,
        on_wait: OnWait | None,
        answer: str | None = None,
        record: bool | None = None,
    ) -> Session:
        database = await self.database()
        lease, _ = await acquire(database, state.id, ttl_s=self.settings.lease_ttl_s, on_wait=on_wait)
        lease.start()
        try:
            await catch_up(database, state)
            if question is None and ended_for_good(state):
                await lease.release()
                return await self._closed(state)
            check_resumable(state, budget_usd, self.settings, self.bundles)
            journal = self._journal(database, lease, state)
            await database.run(_SQL["clear_cancel"], {"id": state.id, "token": lease.token})
            await self._note_resumption(journal, question, budget_usd, answer, record)
        except BaseException:
            await lease.release()
            raise
        concurrent = max_concurrent or self.settings.limits.max_concurrent
        return Session(self._tools, journal, lease, concurrent, "session.resumed")

    async def _note_resumption(
        self,
        journal: Journal,
        question: str | None,
        budget_usd: float | None,
        answer: str | None,
        record: bool | None,
    ) -> None:
        """Commit who goes on, with which budget, and grant more to a root that stopped for want of it."""
        state, here = journal.state, Holder.here()
        check_answer(state, answer)
        stopped = wanting_help(state)
        limits = state.limits.model_copy(update={"max_cost_usd": budget_usd}) if budget_usd else None
        if record and state.created is not None and state.created.upstream == "direct":
            raise BadInput(NO_WIRE)
        resumed = ev.SessionResumed(
            token=journal.lease.token, host=here.host, pid=here.pid, limits=limits, record=bool(record)
        )
        await journal.append(resumed, status="running")
        if question is not None:
            await journal.append(ev.SessionAsked(question=question))
        for run in stopped:
            limits = more(run, granted(limits_of(run.agent, self.bundles), self.settings))
            told = self.redactor.text(answer or "Your limits have been raised.")
            await journal.append(ev.AgentRunReopened(limits=limits, answer=told), run_id=run.id)

    def _journal(self, database: Database, lease: Lease, state: SessionState) -> Journal:
        return open_journal(database, lease, state, self.settings, self.redactor)

    @property
    def _keeper(self) -> Keeper | None:
        return keeper(self.settings.tracing)

    async def _closed(self, state: SessionState) -> Session:
        """A session that has ended: its lease allows nothing."""
        database = await self.database()
        lease = Lease(database, state.id, 0, 0)
        lease.lose()
        return Session(self._tools, self._journal(database, lease, state), None, 1, "session.resumed")
