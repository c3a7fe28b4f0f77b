"""Who used what: the session's tokens and dollars by agent and by model, which sum up to the session's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from harness import events as ev
from harness.page.records import Share
from harness.records import Usage
from harness.state import SessionState


@dataclass
class _Sum:
    count: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0

    def add(self, usage: Usage, cost_usd: float | None, count: int = 1) -> None:
        self.count += count
        self.usage += usage
        self.cost_usd = None if self.cost_usd is None or cost_usd is None else self.cost_usd + cost_usd


def by_agent(state: SessionState) -> tuple[Share, ...]:
    """Sum up agent runs by the agents that did them, the dearest first."""
    sums: dict[str, _Sum] = {}
    for run in state.runs.values():
        sums.setdefault(run.agent, _Sum()).add(run.usage, None if run.unpriced else run.cost_usd)
    return _shares(sums)


def by_model(journal: Iterable[ev.Event], state: SessionState) -> tuple[Share, ...]:
    """Sum up model calls by the models that answered them; a call without an end counts for the one asked."""
    asked: dict[str, str] = {}
    sums: dict[str, _Sum] = {}
    for event in journal:
        if event.agent_run_id not in state.runs:
            continue
        match event.payload:
            case ev.ModelRequested() as call:
                asked[call.call_id] = call.model
            case ev.ModelRetried(model=str(instead)) as call:
                asked[call.call_id] = instead
            case ev.ModelFinished() as call:
                sums.setdefault(call.model, _Sum()).add(call.usage, call.cost_usd)
            case ev.ModelFailed() as call:
                model = asked.get(call.call_id, "not known")
                sums.setdefault(model, _Sum()).add(call.usage, 0.0)
            case _:
                pass
    for run in state.runs.values():
        for lost in run.lost_calls:
            unknown = Usage(attempts=lost.attempts, unattributed_calls=1 + lost.lost)
            sums.setdefault(lost.model, _Sum()).add(unknown, 0.0)
    return _shares(sums)


def _shares(sums: dict[str, _Sum]) -> tuple[Share, ...]:
    order = sorted(sums.items(), key=lambda item: (-(item[1].cost_usd or 0), -item[1].usage.total_tokens))
    return tuple(
        Share(name=name, count=each.count, usage=each.usage, cost_usd=each.cost_usd) for name, each in order
    )
