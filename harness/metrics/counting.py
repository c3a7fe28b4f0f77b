"""What one worker has done since it was started, counted from its sessions' events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from harness import events as ev
from harness.metrics import catalogue as its
from harness.metrics.exposition import Counter, Histogram, Sample
from harness.records import SessionStatus, Usage
from harness.state import SessionState
from harness.worker import Worked

_KINDS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_creation": "cache_creation_input_tokens",
}

_WAYS_TO_LEAVE = [(status,) for status in (*get_args(SessionStatus), "lease_lost", "dropped")]

_USUAL_REFUSALS = [(status,) for status in ("401", "429", "500", "529", "none")]


@dataclass(frozen=True)
class _Sitting:
    """A session in hand, and how many of each agent run's calls have been counted as unattributed."""

    state: SessionState
    unattributed: dict[str, int]


class Counting:
    """Hears what a worker tells of its sessions, and their events, and counts."""

    def __init__(self) -> None:
        self._sittings: dict[str, _Sitting] = {}
        self._claimed = Counter(its.CLAIMED)
        self._left = Counter(its.LEFT, *_WAYS_TO_LEAVE)
        self._calls = Counter(its.CALLS)
        self._tokens = Counter(its.TOKENS)
        self._cost = Counter(its.COST)
        self._retries = Counter(its.RETRIES, *_USUAL_REFUSALS)
        self._failures = Counter(its.FAILURES, *_USUAL_REFUSALS)
        self._unattributed = Counter(its.UNATTRIBUTED)
        self.waits = Histogram(its.WAIT)

    def hear(self, worked: Worked) -> None:
        """Count a session that was claimed or left."""
        if worked.event == "session.claimed":
            self._claimed.add(1)
            self.waits.observe(worked.waited_s)
        else:
            self._left.add(1, worked.status)
            self._sittings.pop(worked.session_id, None)

    def follow(self, event: ev.Event, state: SessionState) -> None:
        """Count an event of a session in hand; a listener of its journal."""
        match event.payload:
            case ev.SessionResumed():
                known = {run.id: run.usage.unattributed_calls for run in state.runs.values()}
                self._sittings[state.id] = _Sitting(state, known)
            case ev.ModelFinished(model=model, usage=usage, cost_usd=cost):
                self._answered(model, usage, cost)
            case ev.ModelRetried(status=status):
                self._retries.add(1, str(status or "none"))
            case ev.ModelFailed(status=status):
                self._failures.add(1, str(status or "none"))
            case _:
                pass
        if event.agent_run_id in state.runs and state.id in self._sittings:
            self._count_unattributed(self._sittings[state.id], event.agent_run_id)

    def samples(self) -> list[Sample]:
        """Give what was counted, and how many agent runs are at work now."""
        counters = (
            self._claimed,
            self._left,
            self._calls,
            self._tokens,
            self._cost,
            self._retries,
            self._failures,
            self._unattributed,
        )
        runs = [run for sitting in self._sittings.values() for run in sitting.state.runs.values()]
        at_work = sum(run.status == "running" for run in runs)
        return [
            Sample(its.RUNS_AT_WORK, (), at_work),
            *(sample for counter in counters for sample in counter.samples()),
        ]

    def _answered(self, model: str, usage: Usage, cost: float | None) -> None:
        self._calls.add(1, model)
        self._cost.add(cost or 0.0, model)
        for kind, field in _KINDS.items():
            self._tokens.add(getattr(usage, field), model, kind)

    def _count_unattributed(self, sitting: _Sitting, run_id: str) -> None:
        # A call that was taken for lost may be settled later; a counter never goes back.
        now, known = sitting.state.runs[run_id].usage.unattributed_calls, sitting.unattributed.get(run_id, 0)
        if now > known:
            sitting.unattributed[run_id] = now
            self._unattributed.add(now - known)
