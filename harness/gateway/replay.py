"""The recorded answers of another session behind the gateway: no key, no network, and no model.

A call is found by its agent run's path in the flow and its number there, whatever other agents do meanwhile.
It is answered only if it is the call that was recorded.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from harness import events as ev
from harness.gateway.compare import differences
from harness.gateway.names import Names
from harness.gateway.upstream import Answer, Caller, Outgoing, UpstreamStopped, in_parts
from harness.redaction import Redactor
from harness.state import SessionState
from harness.store.database import Database
from harness.store.journal import load_state, read_events
from harness.store.recordings import Recording, recorded_auxiliaries, recorded_step
from harness.wire import StreamReader, stream_of

Why = Literal["differs", "not recorded", "recording ends"]

CANCELLED_WAITS_S = 20.0
"""How long a call waits for its agent to be cancelled, as it was in the recorded session."""


@dataclass(frozen=True)
class Recorded:
    """The recorded session; `cut_off` are the steps before which each agent run, by path, was interrupted."""

    state: SessionState
    cut_off: dict[str, tuple[int, ...]]

    def interrupted(self, caller: Caller) -> bool:
        """Whether the run was interrupted at or before this call, and went on by being told so."""
        return any(number <= (caller.number or 0) for number in self.cut_off.get(caller.path, ()))


async def read_recorded(database: Database, session_id: str, tenant: str) -> Recorded:
    """Read what the journal of a recorded session of this tenant says.

    Raises:
        NoSuchSession: the tenant has none of this id.
    """
    state = await load_state(database, session_id, tenant)
    events = await read_events(database, session_id)
    steps: dict[str, int] = {}
    cut_off: dict[str, tuple[int, ...]] = {}
    for event in events:
        run = state.runs.get(event.agent_run_id or "")
        match event.payload:
            case ev.ModelFinished(auxiliary=False) if run:
                steps[run.path] = steps.get(run.path, 0) + 1
            case ev.AgentRunStarted(recovered=True, entry="refire" | "prompt") if run:
                cut_off[run.path] = (*cut_off.get(run.path, ()), steps.get(run.path, 0) + 1)
            case _:
                pass
    return Recorded(state, cut_off)


@dataclass
class ReplayUpstream:
    """Answers as the recorded session was answered, and stops where the requests begin to differ.

    `state` is the replay's own, `left_out` are texts that a resume puts into a conversation.
    """

    database: Database
    recorded: Recorded
    state: SessionState
    left_out: Collection[str] = ()
    redactor: Redactor = field(default_factory=Redactor)
    _used: set[tuple[str, int | None]] = field(default_factory=set)
    _answered_at: float = 0.0

    @asynccontextmanager
    async def send(self, call: Outgoing) -> AsyncIterator[Answer]:
        """Answer the call that was recorded; raise UpstreamStopped for any other."""
        found = await self._found(call)
        self._answered_at = asyncio.get_running_loop().time()
        body = in_parts(_body(found, Names.of(self.recorded.state), Names.of(self.state)))
        headers = {**found.response_headers, "content-type": found.content_type}
        yield Answer(found.status, headers, body, final=True)

    async def close(self) -> None:
        """There is nothing to close."""

    async def _found(self, call: Outgoing) -> Recording:
        # Redacted as the recording is, so that like is held against like.
        request = self.redactor.value(dict(call.request))
        masks = Names.of(self.recorded.state).masked, Names.of(self.state).masked
        nearest: list[ev.Difference] = []
        for candidate in await self._candidates(call.caller):
            found = differences(candidate.asked, request, masks=masks, left_out=self.left_out)
            if not found:
                if call.caller.number is None:
                    self._used.add((call.caller.path, candidate.number))
                return candidate
            nearest = nearest or found
        stopped = self._differs(call.caller, nearest) if nearest else await self._missing(call.caller)
        raise UpstreamStopped(stopped)

    async def _candidates(self, caller: Caller) -> list[Recording]:
        """The answers to the step of this number; or auxiliary calls: the CLI may make several at once."""
        session_id = self.recorded.state.id
        if caller.number is not None:
            return await recorded_step(self.database, session_id, caller.path, caller.number)
        recorded = await recorded_auxiliaries(self.database, session_id, caller.path)
        return [each for each in recorded if (caller.path, each.number) not in self._used]

    def _differs(self, caller: Caller, found: list[ev.Difference]) -> ev.ReplayStopped:
        problem = (
            f"{_place(caller)} differs from the recording in its {_listed([each.part for each in found])}."
        )
        interrupted = self.recorded.interrupted(caller)
        if interrupted:
            problem += " The recorded session was interrupted before it, so the change need not be yours."
        return _stopped(caller, "differs", problem, interrupted=interrupted, differences=tuple(found))

    async def _missing(self, caller: Caller) -> ev.ReplayStopped:
        """Say why there is no recording of a call."""
        recorded, place = self.recorded.state, _place(caller)
        run = next((run for run in recorded.runs.values() if run.path == caller.path), None)
        if run is None:
            problem = f"{place} has no recording: that agent did not work in the recorded session."
        elif caller.number is not None and caller.number <= run.steps:
            problem = f"{place} has no recording: it was made before recording began."
        elif not run.final and not recorded.finished:
            problem = f"The recording ends before {place[0].lower()}{place[1:]}."
            return _stopped(caller, "recording ends", problem)
        else:
            if run.status == "cancelled":
                await self._until_quiet()
            problem = f"{place} has no recording: the recorded session made no such call."
        return _stopped(caller, "not recorded", problem)

    async def _until_quiet(self) -> None:
        """Wait to be cancelled, as in the recorded session, while other agents are still being answered."""
        now = asyncio.get_running_loop().time
        # Each answer to another agent moves the end.
        while (left_s := self._answered_at + CANCELLED_WAITS_S - now()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left_s)


def _stopped(caller: Caller, why: Why, problem: str, **more: Any) -> ev.ReplayStopped:
    return ev.ReplayStopped(
        why=why, problem=problem, agent=caller.agent, path=caller.path, call=caller.number, **more
    )


def _place(caller: Caller) -> str:
    which = "An auxiliary call" if caller.number is None else f"Call {caller.number}"
    return f"{which} of {caller.label}"


def _listed(parts: list[str]) -> str:
    if len(parts) > 3:
        return f"{', '.join(parts[:3])} and {len(parts) - 3} more"
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def _body(recording: Recording, recorded: Names, now: Names) -> list[bytes]:
    """The recorded bytes; made anew only where they name what has another name in this session."""
    if "text/event-stream" not in recording.content_type:
        text = recording.response.decode("utf-8", "surrogateescape")
        return [recorded.translated(text, now).encode("utf-8", "surrogateescape")]
    reader = StreamReader()
    reader.feed(recording.response)
    text = json.dumps(reader.message)
    told = recorded.translated(text, now)
    return [recording.response] if told == text else stream_of(json.loads(told))
