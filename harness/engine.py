"""The loop that advances a session: ask the planner, start what is ready, wait, until it has an outcome.

A fresh run, a resume and a worker enter here alike: the journal says where the session stands.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from harness import events as ev
from harness.agent_run import AgentRun
from harness.attempt import sweep_session
from harness.beside import WITH_PROCESSES_S, end
from harness.bundles.bundle import limits_of
from harness.citations import check
from harness.context import MustSuspend, SessionContext
from harness.corpus.corpus import Corpus
from harness.errors import HarnessError, LeaseLost
from harness.limits import granted, more
from harness.log_fields import about
from harness.messages import Message
from harness.plan import RunSpec, plan
from harness.records import Outcome, SessionStatus
from harness.state import SessionState
from harness.stopping import Stop
from harness.store.queue import uncount

log = logging.getLogger(__name__)


class Engine:
    """Advances one session in this process."""

    def __init__(self, session: SessionContext) -> None:
        self._session = session
        self._active: dict[str, asyncio.Task[None]] = {}
        self._replay_stopped = asyncio.Event()
        session.journal.listen(self._hear)

    async def advance(self) -> None:
        """Advance the session until it has ended or cannot go on now; commit which it was.

        Cancelling this stops every agent run at its last checkpoint and commits the session as suspended.

        Raises:
            LeaseLost: another process advances the session now; nothing further was written.
        """
        lease, stopping = self._session.lease, self._session.stopping
        news = _first(
            lease.lost, lease.cancel_requested, lease.pause_requested, stopping.asked, self._replay_stopped
        )
        watch = asyncio.create_task(news, name="lease watch")
        try:
            await self._advance(watch)
        except asyncio.CancelledError:
            await asyncio.shield(self._suspend(stopping.order or Stop("It was stopped.")))
            raise
        except LeaseLost:
            raise
        except HarnessError as problem:
            await self._suspend(self._session.on_trouble(str(problem), None))
        finally:
            # Whatever went wrong: no CLI goes on when this process no longer advances the session.
            await asyncio.shield(self._stop_all())
            watch.cancel()
            await asyncio.to_thread(sweep_session, self._session.settings.home, self._session.state.id)

    async def _advance(self, watch: asyncio.Task[None]) -> None:
        session = self._session
        while True:
            if session.lease.cancel_requested.is_set():
                await self._cancel()
                return
            if session.lease.pause_requested.is_set():
                session.stopping.ask(Stop("It was paused."))
            if session.stopping.order is not None:
                await self._stop(session.stopping.order)
                return
            if session.state.replay_stopped is not None:
                raise MustSuspend(session.state.replay_stopped.problem)
            decision = plan(session.flow, session.state)
            for merged in decision.merged:
                await session.journal.append(merged)
            for run_id in decision.cancel:
                await self._cancel_run(run_id, "Its work is no longer wanted.")
            if decision.outcome is not None and not decision.cancel:
                await self._finish(decision.outcome, can_go_on=bool(decision.stuck))
                return
            for run_id, grant in decision.reopen:
                await self._reopen(run_id, grant)
            for spec in decision.create:
                await self._create(spec)
            if decision.create or decision.cancel or decision.reopen:
                continue
            for run_id in decision.ready:
                if run_id not in self._active and len(self._active) < session.max_concurrent:
                    self._active[run_id] = asyncio.create_task(self._work(run_id), name=run_id)
            if not self._active:
                raise MustSuspend("Nothing of this session can run; look at it with: harness show.")
            await asyncio.wait({watch, *self._active.values()}, return_when=asyncio.FIRST_COMPLETED)
            if self._replay_stopped.is_set():
                continue
            self._reap()
            if session.lease.lost.is_set():
                raise session.lease.gone()

    def _reap(self) -> None:
        """Let go of the agent runs that are done here; what one has raised is raised.

        One that cannot go on asks the session to stop: what the others have on the wire is being paid for.
        """
        for run_id, task in list(self._active.items()):
            if task.done():
                del self._active[run_id]
                try:
                    task.result()
                except MustSuspend as problem:
                    self._session.stopping.ask(self._session.on_trouble(str(problem), problem.again_s))

    async def _stop(self, order: Stop) -> None:
        """Wait until every agent run has come to its next checkpoint, or for the grace period; then leave."""
        lease, stopping, gateway = self._session.lease, self._session.stopping, self._session.gateway
        ends = time.monotonic() + (self._session.settings.limits.stop_grace_s if gateway else 0)
        watch = asyncio.create_task(_first(lease.lost, lease.cancel_requested))
        try:
            while not watch.done() and (left := ends - time.monotonic()) > 0:
                busy = [task for run, task in self._active.items() if not self._at_rest(run)]
                if not busy:
                    break
                moved = asyncio.create_task(stopping.moved())
                await asyncio.wait(
                    {watch, moved, *busy}, timeout=min(left, 1.0), return_when=asyncio.FIRST_COMPLETED
                )
                moved.cancel()
                self._reap()
        finally:
            watch.cancel()
        if lease.cancel_requested.is_set():
            await self._cancel()
        elif lease.lost.is_set():
            raise lease.gone()
        else:
            await self._suspend(order)

    def _at_rest(self, run_id: str) -> bool:
        gateway = self._session.gateway
        on_the_wire = gateway is not None and gateway.on_the_wire(run_id)
        return self._session.stopping.holds(run_id) and not on_the_wire

    def _hear(self, event: ev.Event, _: SessionState) -> None:
        if isinstance(event.payload, ev.ReplayStopped):
            self._replay_stopped.set()

    async def _work(self, run_id: str) -> None:
        if self._session.state.runs[run_id].role == "router":
            from harness.router import RouterRun  # here, because the anthropic package takes long to import

            await RouterRun(self._session, run_id).advance()
        else:
            await AgentRun(self._session, run_id).advance()

    async def _cancel_run(self, run_id: str, problem: str) -> None:
        task = self._active.pop(run_id, None)
        if task is not None:
            (ended,) = await end(task, again_s=WITH_PROCESSES_S)
            if isinstance(ended, HarnessError):
                raise ended
        if not self._session.state.runs[run_id].final:
            outcome = Outcome(status="cancelled", problem=problem)
            await self._session.journal.append(ev.AgentRunFinished(outcome=outcome, work_s=0), run_id=run_id)

    async def _reopen(self, run_id: str, grant: Message) -> None:
        """Give an agent run that asked for help as much again as it had, and an answer."""
        session = self._session
        run = session.state.runs[run_id]
        await session.journal.append(
            ev.AgentRunReopened(
                limits=more(run, granted(limits_of(run.agent, session.bundles), session.settings)),
                answer=str(grant.payload["answer"]),
                by=grant.id,
            ),
            run_id=run_id,
        )

    async def _create(self, spec: RunSpec) -> None:
        session = self._session
        bundle = None if spec.role == "router" else session.bundles[spec.agent]
        limits = granted(limits_of(spec.agent, session.bundles), session.settings)
        await session.journal.append(
            ev.AgentRunCreated(
                agent=spec.agent,
                bundle_version=bundle.version if bundle else "",
                parent_id=spec.parent_id,
                path=spec.path,
                task=spec.task,
                members=spec.members,
                limits=spec.limits.over(limits) if spec.limits else limits,
                continues=spec.continues,
                address=spec.address,
                role=spec.role,
                essential=spec.essential,
                gate=spec.gate,
                write=dict(spec.write),
            ),
            run_id=spec.id,
        )

    async def _finish(self, outcome: Outcome, *, can_go_on: bool) -> None:
        report = outcome.output if isinstance(outcome.output, str) else None
        if outcome.output is not None and report is None:
            report = "```json\n" + ev.pretty(outcome.output) + "\n```\n"
        problem = outcome.problem
        if outcome.status == "needs_help" and problem and can_go_on:
            asks = outcome.help is not None and outcome.help.reason == "question"
            how = ' --answer "..."' if asks else ""
            problem = f"{problem} Go on with: harness resume {self._session.state.id}{how}"
        await self._session.journal.append(
            ev.SessionFinished(
                status=outcome.status,
                report=report,
                problem=problem,
                citations=await self._check(report),
            ),
            status=outcome.status,
        )

    async def _check(self, report: str | None) -> dict[str, Any] | None:
        if report is None:
            return None
        corpus, session = Corpus(self._session.database), self._session.state
        texts = {label: await corpus.text(session.id, label) for label in sorted(session.read)}
        return check(report, texts, session.read).model_dump(mode="json")

    async def _suspend(self, order: Stop) -> None:
        """Stop every agent run at its last checkpoint and commit why the session does not go on."""
        await self._stop_all()
        if not self._session.lease.held:
            return
        suspended = ev.SessionSuspended(reason=order.reason, waits_for=order.waits_for)
        if not order.counts:
            await uncount(self._session.database, self._session.lease)
        status: SessionStatus = "queued" if order.waits_for == "worker" else "suspended"
        await self._session.journal.append(suspended, status=status, due_s=order.due_s)

    async def _cancel(self) -> None:
        await self._stop_all()
        journal = self._session.journal
        for run_id in list(self._session.state.runs):
            await self._cancel_run(run_id, "The session was cancelled.")
        await journal.append(
            ev.SessionFinished(status="cancelled", report=None, problem="It was cancelled."),
            status="cancelled",
        )

    async def _stop_all(self) -> None:
        for result in await end(*self._active.values(), again_s=WITH_PROCESSES_S):
            if isinstance(result, Exception) and not isinstance(result, HarnessError):
                log.error(
                    "an agent run ended in an unexpected error while stopping",
                    exc_info=result,
                    extra=about("agent_run_broke"),
                )
        self._active.clear()


async def _first(*events: asyncio.Event) -> None:
    """Return when one of them has happened."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
