"""What a replay begins with, and what it found: a recorded session held against the project as it is now."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from harness.bundles.bundle import Bundle
from harness.errors import BadFlow, NotReplayable, NotResumable
from harness.events import Difference, ReplayStopped, SessionCreated
from harness.flow import Flow, bundles_of
from harness.flow.read import find_flow, is_file
from harness.gateway.names import Names
from harness.records import Record, SessionStatus
from harness.state import SessionState
from harness.store.database import Database
from harness.store.journal import load_state
from harness.store.recordings import count_recorded
from harness.wiring import wire


class BundleChange(Record):
    """A bundle whose version is not the one it had when the session was recorded."""

    bundle: str
    recorded: str
    now: str


class ReplayReport(Record):
    """What a replay found. `same` is true when nothing differed as far as the recording goes.

    `compared` counts the calls that were the same and were answered, `recorded` those of the recording.
    `differences` are those of the call at which it stopped, or of the report.
    """

    event: Literal["replay.finished"] = "replay.finished"
    session_id: str
    replays: str
    same: bool
    status: SessionStatus
    compared: int
    recorded: int
    problem: str | None = Field(description="where it stopped and why, or what else is not the same")
    stopped: ReplayStopped | None
    differences: tuple[Difference, ...]
    bundles: tuple[BundleChange, ...]
    report: str | None


def played_again(
    recorded: SessionState, calls: int, bundles: Mapping[str, Bundle], project: Path
) -> SessionCreated:
    """The first event of a session that runs a recorded one again: same question, limits, model, documents.

    The flow is the project's of that name, if it has one, else the recorded one. `calls` counts the recorded
    model calls.

    Raises:
        NotReplayable: nothing was recorded, or the session is a replay itself.
        NotResumable: a bundle is missing.
    """
    created = recorded.created
    if created is not None and created.replays is not None:
        raise NotReplayable(
            f"Session {recorded.id} is itself a replay; replay the recorded one: "
            f"harness replay {created.replays}"
        )
    if created is None or not calls:
        raise NotReplayable(
            f"Session {recorded.id} was not recorded; record the next one with: harness run --record"
        )
    flow, state = created.flow, created.state
    now = _flow_now(created.flow_name, project)
    if now is not None:
        wired = wire(now, bundles)
        flow, state = wired.flow, wired.state
    missing = sorted(set(bundles_of(flow)) - bundles.keys())
    if missing:
        raise NotResumable(
            f"Session {recorded.id} uses the bundle {missing[0]}, which is not here; "
            "replay it from the project folder that has it, or name that one with --against."
        )
    return created.model_copy(
        update={
            "flow": flow,
            "state": state,
            "upstream": "replay",
            "bundles": {name: bundles[name].version for name in bundles_of(flow)},
            "project": str(project),
            "record": False,
            "replays": recorded.id,
        }
    )


def _flow_now(name: str, project: Path) -> Flow | None:
    """The flow of that name; None for one that was made in Python, or lies elsewhere."""
    if is_file(name):
        return None
    try:
        return find_flow(name, project)
    except BadFlow:
        return None


async def replay_report(database: Database, state: SessionState) -> ReplayReport:
    """Sum up a replay.

    Raises:
        NotReplayable: the session is no replay.
    """
    created = state.created
    if created is None or created.replays is None:
        raise NotReplayable(f"Session {state.id} is no replay; begin one with: harness replay {state.id}")
    recorded = await load_state(database, created.replays, state.tenant)
    stopped = state.replay_stopped
    differences = _ends_differ(recorded, state) if stopped is None else stopped.differences
    ran_out = stopped is not None and stopped.why == "recording ends"
    problem = stopped.problem if stopped else state.problem if not state.finished else None
    if stopped is None and differences:
        problem = f"Every call was the same, but the {differences[0].part} is another."
    before = recorded.created.bundles if recorded.created else {}
    return ReplayReport(
        session_id=state.id,
        replays=recorded.id,
        same=ran_out or (stopped is None and state.finished and not differences),
        status=state.status,
        compared=state.usage.model_calls,
        recorded=await count_recorded(database, recorded.id),
        problem=problem,
        stopped=stopped,
        differences=differences,
        bundles=tuple(
            BundleChange(bundle=name, recorded=before.get(name, "none"), now=version)
            for name, version in sorted(created.bundles.items())
            if before.get(name, "none") != version
        ),
        report=state.report,
    )


def _ends_differ(recorded: SessionState, state: SessionState) -> tuple[Difference, ...]:
    """How the outcome differs from the recorded one, if both have one to the same number of questions."""
    if not (state.finished and recorded.finished) or len(state.questions) < len(recorded.questions):
        return ()
    reports = (
        Names.of(recorded).masked(recorded.report or ""),
        Names.of(state).masked(state.report or ""),
    )
    pairs: dict[str, tuple[str, str]] = {"outcome": (recorded.status, state.status), "report": reports}
    return tuple(
        Difference(part=part, diff="\n".join(_lines(before, now)))
        for part, (before, now) in pairs.items()
        if before != now
    )


def _lines(before: str, now: str) -> list[str]:
    return list(difflib.unified_diff(before.splitlines(), now.splitlines(), "recorded", "now", "", "", 1, ""))
