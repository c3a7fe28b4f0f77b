"""The harness as a library: `Harness` opens what sessions need, `Session` is one of them at work.

async with Harness(project=Path(".")) as harness:
    session = await harness.start("How does ...?", sources=["docs"], upstream="offline")
    async for progress in session:
        print(progress)
    print((await session.result()).report)
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness import events as ev
from harness.bundles.bundle import Bundle
from harness.bundles.lint import lint
from harness.bundles.load import load_bundles
from harness.content import find_project
from harness.context import SessionContext, UpstreamKind
from harness.corpus.collect import collect
from harness.corpus.corpus import Corpus
from harness.engine import Engine
from harness.errors import BadBundle, BadInput, NoSuchSession, NotResumable
from harness.flow import Agent, Lead, bundles_of, check_flow, flow_named
from harness.gateway.app import Gateway
from harness.gateway.offline import OfflineUpstream
from harness.gateway.upstream import LiveUpstream
from harness.hook_chain import load_hooks
from harness.limits import more
from harness.pricing import cost_usd
from harness.progress import Progress, Result, SessionStarted, change, result
from harness.records import Limits, Usage
from harness.settings import Settings, from_environment
from harness.state import SessionState
from harness.store.database import Database, Json
from harness.store.journal import Journal, load_state
from harness.store.lease import Holder, Lease, acquire
from harness.store.open import open_store
from harness.store.queries import queries

_SQL = queries("journal")

Source = str | PathLike[str]


@dataclass(frozen=True)
class Request:
    """A question that has been checked: nothing is created before everything in it is known to be usable."""

    question: str
    flow_name: str
    flow: Agent | Lead
    upstream: UpstreamKind
    sources: tuple[Source, ...]
    model: str | None
    max_concurrent: int
    limits: Limits


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

    def check(
        self,
        question: str,
        *,
        sources: Sequence[Source] = (),
        flow: str | Agent | Lead = "research",
        upstream: UpstreamKind = "live",
        model: str | None = None,
        max_concurrent: int | None = None,
        budget_usd: float | None = None,
    ) -> Request:
        """Check what a person asks for, without creating anything.

        Raises:
            BadInput: naming what cannot be used and what to do about it.
        """
        if not question.strip():
            raise BadInput("The question is empty; say what you want to know.")
        if budget_usd is not None and budget_usd <= 0:
            raise BadInput(
                "The budget must be more than zero US dollars; leave it out for the settings' one."
            )
        chosen = flow_named(flow) if isinstance(flow, str) else flow
        check_flow(chosen, self.bundles)
        used = {name: self.bundles[name] for name in bundles_of(chosen)}
        for finding in lint(used):
            if finding.level == "error":
                raise BadBundle(finding.message)
        if upstream == "live" and self.settings.upstream.api_key is None:
            raise BadInput(
                "There is no key for the model service; set ANTHROPIC_API_KEY, or use --offline (no model) "
                "or --direct (your Claude login)."
            )
        if budget_usd is not None and upstream != "offline":
            for bundle in used.values():
                name = model or self.settings.models.named(bundle.model)
                if cost_usd(name, Usage(output_tokens=1)) is None:
                    raise BadInput(f"The price of the model '{name}' is not known, so no budget can be kept.")
        collect(list(sources)) if sources else None
        default = self.settings.limits
        return Request(
            question=question.strip(),
            flow_name=flow if isinstance(flow, str) else chosen.pattern,
            flow=chosen,
            upstream=upstream,
            sources=tuple(sources),
            model=model,
            max_concurrent=max_concurrent or default.max_concurrent,
            limits=Limits(max_cost_usd=budget_usd or default.max_cost_usd),
        )

    async def start(self, question: str, **options: Any) -> Session:
        """Commit a new session for a question; iterate over the result to advance it. Options as for `check`."""
        request = self.check(question, **options)
        files = collect(list(request.sources)) if request.sources else []
        database = await self.database()
        session_id = str(uuid.uuid4())
        ttl = self.settings.lease_ttl_s
        await database.run(
            _SQL["create_session"],
            {
                "id": session_id,
                "tenant": self.settings.tenant,
                "flow": request.flow_name,
                "question": request.question,
                "holder": Json(Holder.here().model_dump()),
                "ttl": ttl,
            },
        )
        lease = Lease(database, session_id, 1, ttl)
        lease.start()
        try:
            count = await Corpus(database).ingest(session_id, self.settings.tenant, files) if files else 0
            journal = Journal(database, lease, SessionState(session_id, ev.trace_id(session_id)))
            await journal.append(
                ev.SessionCreated(
                    tenant=self.settings.tenant,
                    question=request.question,
                    flow_name=request.flow_name,
                    flow=request.flow,
                    upstream=request.upstream,
                    limits=request.limits,
                    model=request.model,
                    bundles={name: self.bundles[name].version for name in bundles_of(request.flow)},
                    sources=count,
                    project=str(self.project),
                ),
                span=ev.Span(trace_id=ev.trace_id(session_id), span_id=ev.span_id(session_id, "session", "")),
            )
        except BaseException:
            await database.run(_SQL["drop_unborn_session"], {"id": session_id})
            await lease.release()
            raise
        return Session(self, journal, lease, request.max_concurrent, "session.started")

    async def resume(
        self,
        session_id: str,
        *,
        budget_usd: float | None = None,
        max_concurrent: int | None = None,
        on_wait: Callable[[Holder, float], None] | None = None,
    ) -> Session:
        """Take a session up where its journal ends. `on_wait` hears of a lease that must end first.

        Raises:
            NoSuchSession: there is none of this id.
            LeaseHeld: a living process is at work on it.
        """
        database = await self.database()
        state = await self.state(session_id)
        if state.finished and state.status in ("done", "cancelled"):
            return Session(
                self, Journal(database, _ended(database, session_id), state), None, 1, "session.resumed"
            )
        return await self._take_up(session_id, budget_usd, None, max_concurrent, on_wait)

    async def ask(self, session_id: str, question: str, **options: Any) -> Session:
        """Go on in a finished session with a further question, with all that it has read."""
        if not question.strip():
            raise BadInput("The question is empty; say what you want to know.")
        state = await self.state(session_id)
        if not state.finished or state.status != "done":
            raise NotResumable(
                f"Session {session_id} is {state.status}, not done; finish it first with: harness resume {session_id}"
            )
        return await self._take_up(
            session_id, options.get("budget_usd"), question.strip(), options.get("max_concurrent"), None
        )

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
        journal = Journal(database, lease, await load_state(database, session_id))
        session = Session(self, journal, lease, 1, "session.resumed")
        await session.result()

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

    async def _take_up(
        self,
        session_id: str,
        budget_usd: float | None,
        question: str | None,
        max_concurrent: int | None,
        on_wait: Callable[[Holder, float], None] | None,
    ) -> Session:
        database = await self.database()
        lease, _ = await acquire(database, session_id, ttl_s=self.settings.lease_ttl_s, on_wait=on_wait)
        lease.start()
        try:
            state = await load_state(database, session_id)
            self._check_resumable(state, budget_usd)
            journal = Journal(database, lease, state)
            here = Holder.here()
            limits = state.limits.model_copy(update={"max_cost_usd": budget_usd}) if budget_usd else None
            await database.run(_SQL["clear_cancel"], {"id": session_id, "token": lease.token})
            again = [
                run
                for run in state.runs.values()
                if run.parent_id is None and run.status in ("needs_help", "failed")
            ]
            await journal.append(
                ev.SessionResumed(token=lease.token, host=here.host, pid=here.pid, limits=limits),
                status="running",
            )
            if question is not None:
                await journal.append(ev.SessionAsked(question=question))
            for run in again[-1:]:
                granted = more(run, self._granted(run.agent))
                await journal.append(ev.AgentRunReopened(limits=granted), run_id=run.id)
        except BaseException:
            await lease.release()
            raise
        concurrent = max_concurrent or self.settings.limits.max_concurrent
        return Session(self, journal, lease, concurrent, "session.resumed")

    def _check_resumable(self, state: SessionState, budget_usd: float | None) -> None:
        created = state.created
        if created is None:
            raise NotResumable(
                f"Session {state.id} was never begun; ask the question again with: harness run"
            )
        if created.upstream == "live" and self.settings.upstream.api_key is None:
            raise BadInput(
                "There is no key for the model service; set ANTHROPIC_API_KEY to resume this session."
            )
        missing = sorted(created.bundles.keys() - self.bundles.keys())
        if missing:
            raise NotResumable(
                f"Session {state.id} uses the bundle {missing[0]}, which is not here; "
                "resume it from the project folder that has it."
            )
        spent = sum(run.cost_usd for run in state.runs.values())
        limit = budget_usd or state.limits.max_cost_usd
        if limit is not None and spent >= limit:
            raise NotResumable(
                f"The budget of ${limit:.2f} is spent (${spent:.2f}); "
                f"raise it with: harness resume {state.id} --budget-usd AMOUNT"
            )

    def _granted(self, agent: str) -> Limits:
        bundle, default = self.bundles[agent], self.settings.limits
        return Limits(
            max_steps=bundle.limits.max_steps or default.max_steps,
            max_cost_usd=bundle.limits.max_cost_usd,
            timeout_s=bundle.limits.timeout_s or default.agent_timeout_s,
        )


class Session:
    """One session at work in this process. Iterating advances it and gives its progress, the `Result` last.

    Leaving the iteration early stops the session at its last checkpoint; it can be resumed.
    """

    def __init__(
        self, harness: Harness, journal: Journal, lease: Lease | None, max_concurrent: int, event: Any
    ) -> None:
        self.id = journal.session_id
        self._harness = harness
        self._journal = journal
        self._lease = lease
        self._max_concurrent = max_concurrent
        self._event = event
        self._result: Result | None = None

    @property
    def state(self) -> SessionState:
        """The session as its journal stands now."""
        return self._journal.state

    async def result(self) -> Result:
        """Advance the session to its end, if that has not been done, and sum it up."""
        if self._result is None:
            async for _ in self:
                pass
        assert self._result is not None, "iteration ends with a result"
        return self._result

    async def __aiter__(self) -> AsyncIterator[Progress]:
        """Advance the session.

        Raises:
            LeaseLost: another process has taken it over.
        """
        yield SessionStarted(event=self._event, session_id=self.id)
        if self._lease is not None:
            lines: asyncio.Queue[Progress | None] = asyncio.Queue()

            def listen(event: ev.Event, state: SessionState) -> None:
                if (line := change(event, state)) is not None:
                    lines.put_nowait(line)

            self._journal.listen(listen)
            work = asyncio.create_task(self._advance(self._lease), name=f"session {self.id}")
            work.add_done_callback(lambda _: lines.put_nowait(None))
            try:
                while (line := await lines.get()) is not None:
                    yield line
            finally:
                work.cancel()
                await asyncio.wait({work})
                await asyncio.shield(self._lease.release())
            if not work.cancelled():
                work.result()
        self._result = result(self.state)
        yield self._result

    async def _advance(self, lease: Lease) -> None:
        harness, state = self._harness, self.state
        created = state.created
        assert created is not None, "a session begins with its creation"
        database = await harness.database()
        sources = await Corpus(database).sources(self.id)
        context = SessionContext(
            journal=self._journal,
            database=database,
            lease=lease,
            settings=harness.settings,
            bundles=harness.bundles,
            hooks=harness.hooks,
            flow=created.flow,
            project=harness.project,
            gateway=None,
            model=created.model,
            max_concurrent=self._max_concurrent,
            sources_listed=lambda: listed(sources),
        )
        if created.upstream == "direct":
            await Engine(context).advance()
            return
        async with Gateway(self._upstream(created.upstream)) as gateway:
            context.gateway = gateway
            await Engine(context).advance()

    def _upstream(self, kind: UpstreamKind) -> LiveUpstream | OfflineUpstream:
        if kind == "offline":
            return OfflineUpstream()
        key = self._harness.settings.upstream.api_key
        assert key is not None, "checked before the session began"
        return LiveUpstream(self._harness.settings.upstream.base_url, key.get_secret_value())


LISTED = 60
"""How many of a session's documents its first message names."""


def listed(sources: Sequence[Any]) -> str:
    """The session's documents as a question's message lists them."""
    if not sources:
        return "No documents were given."
    lines = [f"{source.label}: {source.title} ({source.locator})" for source in sources[:LISTED]]
    if len(sources) > LISTED:
        lines.append(f"... and {len(sources) - LISTED} more; find them with search.")
    return "\n".join(lines)


def _ended(database: Database, session_id: str) -> Lease:
    """A lease that allows nothing: for looking at a session that has ended."""
    lease = Lease(database, session_id, 0, 0)
    lease.lose()
    return lease


def to_json(value: Progress) -> str:
    """One line of JSON."""
    return json.dumps(value.model_dump(mode="json"), ensure_ascii=False)
