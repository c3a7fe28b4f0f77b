"""A session that a test drives by hand: it creates what is planned, and says how each agent run ends.

session = Stepped(Pipeline(stages=("intake", "writer")))
assert session.create() == ["q0/1"]
session.done("q0/1", {"topic": "tides"})
assert session.create() == ["q0/2"]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness import events as ev
from harness.flow import AnyNode, StateField
from harness.messages import Message
from harness.plan import Plan, RunSpec, plan
from harness.records import Limits, NeedsHelp, Outcome
from harness.state import RunState
from tests.kit.journals import Book, created, requested, run_created, started, task

HELP = NeedsHelp(reason="question", missing="Which sea?")


class Stepped:
    """One session, its agent runs named by their paths."""

    def __init__(self, flow: AnyNode, state: Mapping[str, StateField] | None = None) -> None:
        self.flow = flow
        self.book = Book()
        self.book.add(created(flow, state=dict(state or {})))

    @property
    def plan(self) -> Plan:
        """What the planner says now."""
        return plan(self.flow, self.book.state)

    @property
    def outcome(self) -> Outcome:
        """How the session ended."""
        outcome = self.plan.outcome
        assert outcome is not None, "it has not ended"
        return outcome

    def paths(self, ids: tuple[str, ...]) -> list[str]:
        """The paths of these agent runs."""
        return [self.book.state.runs[run_id].path for run_id in ids]

    @property
    def ready(self) -> list[str]:
        """Who can go on."""
        return self.paths(self.plan.ready)

    @property
    def cancel(self) -> list[str]:
        """Whose work is not wanted any more."""
        return self.paths(self.plan.cancel)

    def create(self, *paths: str) -> list[str]:
        """Create what is planned, or of it only what is named, and give its paths."""
        specs = [spec for spec in self.plan.create if not paths or spec.path in paths]
        for spec in specs:
            self.add(spec)
        return [spec.path for spec in specs]

    def add(self, spec: RunSpec) -> None:
        """Create this agent run, wanted or not."""
        self.book.add(run_created(spec), spec.id)

    def run(self, path: str) -> RunState:
        """The agent run at this path."""
        (found,) = [run for run in self.book.state.runs.values() if run.path == path]
        return found

    def given(self, path: str) -> Any:
        """What an agent run was given."""
        return self.run(path).task.payload

    def ends(self, path: str, outcome: Outcome, **writes: Any) -> None:
        """Commit how an agent run ended."""
        self.book.add(ev.AgentRunFinished(outcome=outcome, work_s=1, writes=writes), self.run(path).id)

    def done(self, path: str, output: Any = None, **writes: Any) -> None:
        """It succeeds."""
        self.ends(path, Outcome(status="done", output=output), **writes)

    def fails(self, path: str, problem: str = "It broke.") -> None:
        """It fails."""
        self.ends(path, Outcome(status="failed", problem=problem))

    def needs_help(self, path: str) -> None:
        """It asks for help."""
        self.ends(path, Outcome(status="needs_help", problem="It is lost.", help=HELP))

    def is_cancelled(self, *paths: str) -> None:
        """The engine ends them."""
        for path in paths:
            self.ends(path, Outcome(status="cancelled", problem="Its work is no longer wanted."))

    def reopen(self, path: str) -> None:
        """It is given what it lacked."""
        self.book.add(ev.AgentRunReopened(limits=Limits(), answer="The North Sea."), self.run(path).id)

    def routes(self, path: str, to: str, payload: Any) -> None:
        """The router at this path chooses a member."""
        run = self.run(path)
        number = len(run.decisions) + 1
        message = task(to, payload, run.id, number)
        self.book.add(ev.RoutingDecided(number=number, to=to, task=message, reason="why not"), run.id)

    def delegates(self, path: str, *tasks: tuple[str, Any]) -> None:
        """The lead at this path sleeps on these tasks."""
        run = self.run(path)
        call = f"toolu_{len(run.delegations)}"
        asked: list[Message] = [task(to, given, call, n) for n, (to, given) in enumerate(tasks, start=1)]
        self.book.add(started(run), run.id)
        self.book.add(requested(f"{run.id}-{run.calls}"), run.id)
        self.book.add(
            ev.DelegationRequested(tool_use_id=call, call_id=run.last_call, tasks=tuple(asked)), run.id
        )
        self.book.add(ev.AgentRunSuspended(tool_use_id=call, work_s=1), run.id)

    def wakes(self, path: str) -> None:
        """The lead at this path gets its results."""
        run = self.run(path)
        call = next(reversed(run.delegations))
        self.book.add(started(run, entry="refire"), run.id)
        self.book.add(ev.ToolFinished(tool_use_id=call, tool="delegate"), run.id)

    def answers(self, path: str, output: Any) -> None:
        """A gated agent answers, and waits for the verdict."""
        run = self.run(path)
        self.book.add(started(run), run.id)
        self.book.add(ev.AgentRunAnswered(output=output, work_s=1), run.id)

    def is_judged(self, path: str, verdict: Any, problem: str | None = None) -> None:
        """The verdict on what it answered is committed."""
        self.book.add(ev.GateDecided(by="judge", verdict=verdict, problem=problem), self.run(path).id)


LOG = StateField(kind="list", reducer="append")
TEXT = StateField(kind="text")
