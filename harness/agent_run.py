"""One agent run at work: from where the journal says it stands to its next suspension or its outcome."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any, Literal

import psutil

from harness import answering
from harness import events as ev
from harness.attempt import AttemptFolder, environment, make, session_folder, sweep, write_launcher
from harness.briefing import first_words, system_prompt
from harness.bundles.validate import validate_input
from harness.claude import Conversation, Ending, converse
from harness.conclusion import conclude, give_up, interrupted
from harness.context import MustSuspend, RunView, SessionContext
from harness.direct import TranscriptMeter
from harness.errors import AgentError
from harness.gateway.door import Door
from harness.gateway.trouble import Trouble
from harness.hook_chain import HookChain
from harness.launch_slots import LaunchSlot, launch_slot
from harness.limits import cost_left, time_left_s
from harness.liveness import Pulse, Silent
from harness.process_times import started_at
from harness.prompts import render
from harness.records import Outcome, derived_id
from harness.resume import (
    AskForHelp,
    Refire,
    ResumePoint,
    Settled,
    Sleep,
    StartFresh,
    resume_point,
)
from harness.settings import dropped_from_child
from harness.store.lease import Holder
from harness.store.transcripts import Entry, TranscriptStore, read_transcript
from harness.survivors import end_survivor
from harness.toolbelt import Toolbelt, toolbelt
from harness.transcript import has_call, view_for_cli

TRIES = 3
"""How often in a row an agent run's process is started after one has died. Model calls are tried again by the
gateway alone."""


def _entry_kind(point: ResumePoint) -> Literal["fresh", "refire", "prompt"]:
    match point:
        case StartFresh():
            return "fresh"
        case Refire():
            return "refire"
        case _:
            return "prompt"


class AgentRun:
    """Advances one agent run. It holds nothing that the journal does not know."""

    def __init__(self, session: SessionContext, run_id: str) -> None:
        self._session = session
        self._view = RunView(session, run_id)
        self._began = 0.0
        self._missed = 0
        self._trouble: Trouble | None = None

    async def advance(self) -> None:
        """Run processes until this agent run sleeps or has ended.

        Raises:
            LeaseLost: another process advances the session now.
            MustSuspend: the service or the store is away; the session can be resumed.
        """
        for attempt in range(1, TRIES + 1):
            try:
                ending = await self._step()
            except AgentError as problem:
                # A bundle that cannot work fails its own task; its siblings and its lead go on.
                outcome = Outcome(status="failed", problem=str(problem))
                await answering.finish(self._view, outcome, self._worked())
                return
            if ending is None:
                return
            if attempt == TRIES:
                await give_up(self._view, ending)
                return
            await asyncio.sleep(0.2 * 2**attempt if ending.kind == "api_error" else 0)

    async def _step(self) -> Ending | None:
        """Go on from where the run stands; an ending is returned when the step may be tried again."""
        if self._view.run.attempt == 0:
            _, problem = validate_input(self._view.bundle, self._view.run.task.payload)
            if problem is not None:
                raise AgentError(problem)
        if self._view.run.status == "checking":
            await answering.judge(self._view)
            return None
        own = session_folder(self._view.settings.home, self._view.state.id)
        await asyncio.to_thread(end_survivor, self._view.run, own)
        transcript = await self._view.transcript()
        await self._void_lost_delegations(transcript)
        point = resume_point(self._view.run, transcript, typed=self._view.bundle.output is not None)
        match point:
            case Settled(output=output):
                await answering.answered(self._view, output, output, 0)
                return None
            case AskForHelp(tool_use_id=tool_use_id):
                await answering.asked_for_help(self._view, tool_use_id, 0)
                return None
            case Sleep(tool_use_id=tool_use_id):
                await self._view.record(ev.AgentRunSuspended(tool_use_id=tool_use_id, work_s=0))
                return None
            case _:
                async with launch_slot() as slot:
                    return await self._process(point, transcript, slot)

    async def _process(self, point: ResumePoint, transcript: list[Entry], slot: LaunchSlot) -> Ending | None:
        """Run one CLI process and commit how it ended."""
        view, run = self._view, self._view.run
        number = run.attempt + 1
        claude_session_id = run.claude_session_id or ""
        if isinstance(point, StartFresh):
            claude_session_id = self._continued() or self._new_conversation(number)
        folder = make(view.settings.home, view.state.id, run.id, number)
        await view.record(
            ev.AgentRunStarted(
                attempt=number,
                entry=_entry_kind(point),
                recovered=run.attempt > 0 and run.status != "suspended" and not run.reopened,
                claude_session_id=claude_session_id,
                folder=str(folder.root),
                transcript_from=await self._already_there(point),
                tool_use_id=point.tool_use_id if isinstance(point, Refire) else None,
            )
        )
        store = TranscriptStore(
            self._session.database,
            scope=view.state.id,
            lease=self._session.lease,
            on_stored=None if self._session.gateway else TranscriptMeter(view),
            redactor=self._session.redactor,
        )
        if isinstance(point, Refire) and point.add:
            key = {"project_key": view.state.id, "session_id": claude_session_id}
            try:
                await store.append(key, list(point.add))  # type: ignore[arg-type]
            except TimeoutError as problem:
                raise MustSuspend("The store did not take the transcript in time; resume later.") from problem
            transcript = [*transcript, *point.add]
        if self._resumes(point):
            earlier = transcript or await read_transcript(
                self._session.database, view.state.id, claude_session_id
            )
            store.show_instead(claude_session_id, [dict(entry) for entry in view_for_cli(earlier)])
        self._began = time.monotonic()
        try:
            ending = await self._converse(point, claude_session_id, folder, store, transcript, slot)
        except asyncio.CancelledError:
            await asyncio.shield(interrupted(self._view, "stopped", self._worked()))
            raise
        finally:
            await asyncio.to_thread(sweep, folder.root, claude_session_id)
        trouble = ending.trouble() if self._session.gateway is None else self._trouble
        return await conclude(view, ending, trouble, self._missed, self._worked(), store.broken)

    async def _converse(
        self,
        point: ResumePoint,
        claude_session_id: str,
        folder: AttemptFolder,
        store: TranscriptStore,
        transcript: list[Entry],
        slot: LaunchSlot,
    ) -> Ending:
        view = self._view
        belt = toolbelt(view)
        bundle = view.bundle
        limits = view.settings.limits
        pulse = Pulse(limits.silent_s, limits.tool_silent_s)
        models = view.settings.models
        model = self._model
        door = Door(
            self._session.journal,
            view.run_id,
            frozenset((*belt.allowed, *belt.builtin)),
            bundle.prompt,
            render("resume", view.project),
            pulse.beat,
            pulse.calling,
            models={model, models.fallback or model},
            prices=view.settings.price_table,
            missed=self._missed,
        )
        gateway = self._session.gateway
        token = gateway.open_door(door) if gateway else None
        entry = (gateway.base_url, token) if gateway and token else None
        told = environment(folder, entry, model, limits.silent_s)
        write_launcher(folder, [n for n in dropped_from_child(gateway is None) if n not in told])
        steps = view.run.limits.max_steps
        talk = Conversation(
            claude_session_id=claude_session_id,
            resume=self._resumes(point),
            prompt=first_words(view, point, transcript, self._session.sources_listed),
            system_prompt=system_prompt(view),
            model=model,
            effort=bundle.effort,
            builtin_tools=belt.builtin,
            allowed_tools=belt.allowed,
            mcp_servers=belt.servers,
            external_servers=belt.external,
            output_schema=bundle.output_schema,
            store=store,
            hooks=self._hooks(belt, pulse),
            folder=folder,
            max_turns=None if steps is None else max(1, steps - view.run.steps) + (gateway is not None),
            max_budget_usd=None if gateway else cost_left(view.state, view.run),
            environment=told,
            alive=pulse.beat,
            on_stop=lambda: gateway.close_door(token) if gateway and token else None,
        )
        try:
            async with asyncio.timeout(time_left_s(view.run)), pulse.watched():
                ending = await converse(talk, partial(self._note_process, slot))
                if gateway and token and ending.kind == "died":
                    await gateway.settle(door)
                return ending
        except TimeoutError:
            return Ending("budget", problem="time")
        except Silent as problem:
            return Ending("silent" if problem.started else "died", problem=str(problem))
        finally:
            self._missed, self._trouble = door.missed, door.trouble
            if gateway and token:
                gateway.close_door(token)

    @property
    def _model(self) -> str:
        return self._session.model or self._view.settings.models.named(self._view.bundle.model)

    def _hooks(self, belt: Toolbelt, pulse: Pulse) -> Any:
        return HookChain(self._session.hooks, self._view, belt.replay_of, pulse, belt.shorten).matchers()

    def _worked(self) -> float:
        worked = time.monotonic() - self._began if self._began else 0.0
        self._began = 0.0
        return worked

    def _resumes(self, point: ResumePoint) -> bool:
        return not isinstance(point, StartFresh) or self._continued() is not None

    def _continued(self) -> str | None:
        """The Claude session of the agent run this one goes on in."""
        before = self._view.run.continues
        return self._view.state.runs[before].claude_session_id if before else None

    def _new_conversation(self, number: int) -> str:
        """Name a Claude session. A fork has agent runs of the same ids, perhaps at work beside this one."""
        return derived_id(self._view.state.id, self._view.run_id, "claude session", number)

    async def _already_there(self, point: ResumePoint) -> int:
        if not isinstance(point, StartFresh):
            return self._view.run.transcript_from
        continued = self._continued()
        if continued is None:
            return 0
        return len(await read_transcript(self._session.database, self._view.state.id, continued))

    async def _void_lost_delegations(self, transcript: list[Entry]) -> None:
        for delegation in list(self._view.run.delegations.values()):
            settled = delegation.suspended or delegation.voided or delegation.delivered
            if not settled and not has_call(transcript, delegation.tool_use_id):
                await self._view.record(
                    ev.DelegationVoided(
                        tool_use_id=delegation.tool_use_id, reason="the call never reached the transcript"
                    )
                )

    async def _note_process(self, slot: LaunchSlot, pid: int) -> None:
        here = Holder.here()
        try:
            process_started = started_at(pid)
        except psutil.Error as problem:
            # It is gone already: an ending like that of any CLI whose pipe has broken.
            raise ProcessLookupError(f"it was gone when it had just started ({problem})") from problem
        await self._view.record(
            ev.CliStarted(
                attempt=self._view.run.attempt,
                host=here.host,
                boot_id=here.boot_id,
                pid=pid,
                process_started=process_started,
            )
        )
        slot.free()
