"""From how an agent's process ended to what is committed of it, and whether another one may go on."""

from __future__ import annotations

import asyncio
from typing import Literal

from harness import answering
from harness import events as ev
from harness.claude import Ending
from harness.context import MustSuspend, RunView
from harness.gateway.trouble import Trouble
from harness.limits import Reason, spent
from harness.records import Outcome
from harness.resume import own_entries
from harness.stops import CUT, PAUSED, why_final
from harness.transcript import answer_in, has_call_and_marker

_LOOKS, _LOOK_S = 40, 0.05
"""How often, and after how many seconds, it is looked again for what a CLI has left to be stored."""


async def conclude(
    view: RunView, ending: Ending, trouble: Trouble | None, missed: int, work_s: float, broken: str | None
) -> Ending | None:
    """Commit an ending after `work_s` seconds of work. It is returned when the run may simply be tried again.

    `trouble` says why its newest model call has no answer, `missed` how many attempts since its last answer
    brought none, and `broken` why its transcript was not stored.

    Raises:
        LeaseLost: another process advances the session now.
        MustSuspend: what ended it concerns the whole session.
    """
    if not view.session.lease.held:
        raise view.session.lease.gone()
    match ending.kind:
        case "answered" if view.run.last_stop == PAUSED:
            await interrupted(view, "the model paused in its answer", work_s)
            return ending
        case "answered":
            await answering.answered(view, await _whole_answer(view, ending), ending.structured, work_s)
        case "deferred" if ending.deferred_id is not None:
            await _suspend(view, ending.deferred_id, work_s)
        case "max_turns":
            await _out_of(view, "steps", work_s)
        case "budget":
            await _out_of(view, "time" if ending.problem == "time" else "cost", work_s)
        case "bad_output" | "too_large" | "silent":
            await answering.finish(view, Outcome(status="failed", problem=ending.problem), work_s)
        case "server_away":
            await interrupted(view, "an MCP server is away", work_s)
            raise MustSuspend(ending.problem or "An MCP server is away.")
        case "mirror_error":
            await interrupted(view, "the transcript could not be stored", work_s)
            raise MustSuspend(broken or ending.problem or "The transcript could not be stored.")
        case "api_error":
            return await _unanswered(view, ending, trouble, missed, work_s)
        case _:
            await interrupted(view, ending.problem or ending.kind, work_s)
            return ending
    return None


async def interrupted(view: RunView, reason: str, work_s: float) -> None:
    """Commit that a process has ended before its work was done."""
    await view.record(ev.AgentRunInterrupted(reason=reason, work_s=work_s))


async def give_up(view: RunView, ending: Ending) -> None:
    """Commit that no further process is tried.

    Raises:
        MustSuspend: without this agent run the session comes to nothing.
    """
    problem = ending.problem or "The agent's process ended without a result."
    if view.run.essential:
        raise MustSuspend(problem)
    await answering.finish(view, Outcome(status="failed", problem=problem), 0)


async def _unanswered(
    view: RunView, ending: Ending, trouble: Trouble | None, missed: int, work_s: float
) -> Ending | None:
    """Commit what follows from a model call without a usable answer, by whom that concerns."""
    gateway = view.session.gateway
    if gateway is not None and gateway.limited:
        await interrupted(view, "the rate limit left no room", work_s)
        raise MustSuspend(str(gateway.limited), gateway.limited.again_s)
    if trouble is not None and trouble.concern != "request":
        await interrupted(view, trouble.problem, work_s)
        raise MustSuspend(trouble.problem)
    # What broke off after an answer that was cut off may pass; only the answer itself would come again.
    problem = trouble.problem if trouble else None if missed else why_final(view.run.last_stop)
    if limit := spent(view.state, view.run):
        await _out_of(view, limit, work_s)
    elif problem is not None:
        cut = view.run.last_stop in CUT
        text = await _answer(view) if cut else None
        await answering.finish(view, Outcome(status="failed", output=text, problem=problem), work_s)
    else:
        await interrupted(view, ending.problem or ending.kind, work_s)
        return ending
    return None


async def _whole_answer(view: RunView, ending: Ending) -> str | None:
    """The text of an answer; the CLI gives the last part alone of one that was cut off and went on."""
    if view.bundle.output is not None or not ending.text:
        return ending.text
    stored = view.session.redactor.text(ending.text)
    for _ in range(_LOOKS):
        text = await _answer(view)
        if text is not None and text.endswith(stored):
            return text.removesuffix(stored) + ending.text
        await asyncio.sleep(_LOOK_S)
    return ending.text


async def _suspend(view: RunView, tool_use_id: str, work_s: float) -> None:
    """Commit the suspension once the stored transcript proves the call and its deferral."""
    for _ in range(_LOOKS):
        if has_call_and_marker(await view.transcript(), tool_use_id):
            if tool_use_id in view.run.help_asked:
                await answering.asked_for_help(view, tool_use_id, work_s)
                return
            await view.record(ev.AgentRunSuspended(tool_use_id=tool_use_id, work_s=work_s))
            return
        await asyncio.sleep(_LOOK_S)
    await interrupted(view, "the deferred call did not reach the transcript", work_s)


async def _out_of(view: RunView, limit: Reason | Literal["time"], work_s: float) -> None:
    await answering.needs_help(view, limit, None, work_s)


async def _answer(view: RunView) -> str | None:
    """The answer as it stands in the stored transcript."""
    return answer_in(own_entries(view.run, await view.transcript()), view.run.tellings)
