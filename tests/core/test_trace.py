"""The shape of a trace: what opens a span, under which parent, and that nothing is left open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from hypothesis import given

from harness import events as ev
from harness.delegation import DELEGATE
from harness.flow import Agent, Gate
from harness.records import NeedsHelp, Outcome, Usage
from harness.state import Step, Trace
from harness.state.run import RunState
from harness.tracing.span import SpanStatus
from tests.kit.journals import (
    CASES,
    RESUMED,
    SEEDS,
    Book,
    Case,
    Simulator,
    created,
    few,
    finished,
    requested,
    run_created,
    started,
    tool_requested,
)
from tests.kit.playing import Play
from tests.kit.stepping import Stepped
from tests.kit.trees import Tree, trees

DONE = ev.SessionFinished(status="done", report="Yes.", problem=None)
SUSPENDED = ev.SessionSuspended(reason="It was stopped.")


@dataclass
class Drawn:
    """A trace as a receiver would see it: every span with how it ended, by the events of a journal."""

    steps: dict[str, Step] = field(default_factory=dict)
    ended: dict[str, SpanStatus] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[ev.Event]) -> Drawn:
        """Draw it, and hold each event against the rules."""
        book, drawn = Book(), cls()
        for event in events:
            moves = book.state.trace.moves(event.payload, event.agent_run_id, book.state.runs)
            for step in moves.opened:
                assert step.span_id not in drawn.steps, "no span id is given twice"
                assert (step.parent_id is None) == (step.kind == "turn"), "a turn is a root, and nothing else"
                assert step.parent_id is None or step.parent_id in drawn.steps, "a parent comes first"
                drawn.steps[step.span_id] = step
            for step, status in moves.closed:
                assert step.span_id in drawn.steps
                assert step.span_id not in drawn.ended, "no span ends twice"
                drawn.ended[step.span_id] = status
            assert moves.within in drawn.steps, "every event belongs to a span"
            book.add(event.payload, event.agent_run_id)
            assert set(book.state.trace.open) == drawn.open
        return drawn

    @property
    def open(self) -> set[str]:
        """The spans that have not ended."""
        return self.steps.keys() - self.ended.keys()

    def lines(self) -> list[str]:
        """Each span with its parent's kind and how it ended, in the order of their beginnings."""
        return [
            f"{self.steps[step.parent_id].kind if step.parent_id else ''}>{step.kind} "
            f"{self.ended.get(step.span_id, 'open')}"
            for step in self.steps.values()
        ]


@few
@given(tree=trees(), seed=SEEDS)
def test_any_session_draws_a_whole_tree(tree: Tree, seed: int) -> None:
    """Of any flow, killed at any moment: one turn, every parent there, nothing open at its end."""
    book = Play(tree, Random(seed)).finish(kill=0.1)
    book.add(DONE)
    assert Drawn.of(book.events).open == set()


@few
@given(case=CASES, seed=SEEDS)
def test_whoever_reads_the_journal_knows_what_is_open(case: Case, seed: int) -> None:
    """The fold of a prefix is what its writer knew."""
    random = Random(seed)
    book = Simulator(case, random).finish(kill=0.1)
    cut = random.randrange(len(book.events) + 1)
    trace = Trace(book.state.id)
    upto = book.upto(0)
    for event in book.events[:cut]:
        trace.follow(event.payload, event.agent_run_id, upto.state.runs)
        upto.add(event.payload, event.agent_run_id)
    assert book.upto(cut).state.trace == trace


@few
@given(case=CASES, seed=SEEDS)
def test_a_stop_ends_whatever_is_open(case: Case, seed: int) -> None:
    """A clean stop ends it as suspended, a death as interrupted; only the turn goes on over it."""
    random = Random(seed)
    book = Simulator(case, random).finish()
    cut = book.upto(random.randrange(1, len(book.events) + 1))
    for stop, status in ((SUSPENDED, "suspended"), (RESUMED, "interrupted")):
        stopped = cut.upto(len(cut.events))
        open_ = {step.span_id for step in stopped.state.trace.open.values() if step.kind != "turn"}
        stopped.add(stop)
        drawn = Drawn.of(stopped.events)
        assert {drawn.ended[span] for span in open_} <= {status}
        assert [step.kind for step in stopped.state.trace.open.values()] == ["turn"]


def lead_at_work() -> tuple[Book, RunState]:
    """A session whose lead has asked a model and has an answer."""
    session = Stepped(Agent(agent="lead"))
    (path,) = session.create()
    book, run = session.book, session.run(path)
    book.add(started(run), run.id)
    book.add(requested("c1"), run.id)
    book.add(finished("c1"), run.id)
    return book, run


def test_a_call_hangs_under_its_agent_run() -> None:
    """Model and tool calls are the agent's, and end as they ended."""
    book, run = lead_at_work()
    book.add(tool_requested("t1"), run.id)
    book.add(ev.ToolFinished(tool_use_id="t1", tool="x", error="It broke."), run.id)
    book.add(requested("c2"), run.id)
    assert Drawn.of(book.events).lines() == [
        ">turn open",
        "turn>agent_run open",
        "agent_run>model ok",
        "agent_run>tool error",
        "agent_run>model open",
    ]


def test_what_was_cut_off_goes_on_in_a_new_span() -> None:
    """A run that is taken up after a death has a span for each time, and the same call another one."""
    book, run = lead_at_work()
    book.add(requested("c2"), run.id)
    book.add(RESUMED)
    book.add(started(run), run.id)
    book.add(requested("c2"), run.id)
    book.add(finished("c2"), run.id)
    assert Drawn.of(book.events).lines() == [
        ">turn open",
        "turn>agent_run interrupted",
        "agent_run>model ok",
        "agent_run>model interrupted",
        "turn>wait ok",
        "turn>agent_run open",
        "agent_run>model ok",
    ]


def test_a_process_that_died_alone_leaves_its_run_open() -> None:
    """Only its tools are cut off: the run goes on in the next process, in the same span."""
    book, run = lead_at_work()
    book.add(tool_requested("t1"), run.id)
    book.add(ev.AgentRunInterrupted(reason="It died.", work_s=1), run.id)
    book.add(started(run), run.id)
    book.add(tool_requested("t1"), run.id)
    assert Drawn.of(book.events).lines()[1:] == [
        "turn>agent_run open",
        "agent_run>model ok",
        "agent_run>tool interrupted",
        "agent_run>tool open",
    ]


def test_subagents_hang_under_the_delegation() -> None:
    """Also when they begin after their lead's process is gone, and when a death lies between."""
    case = Case(rounds=(("done", "done"),))
    book = Simulator(case, Random(1)).finish()
    asked = next(e.seq for e in book.events if isinstance(e.payload, ev.AgentRunSuspended))
    cut = book.upto(asked)
    cut.add(RESUMED)
    again = Simulator(case, Random(1), book=cut).finish()
    for journal in (book, again):
        lines = Drawn.of(journal.events).lines()
        assert lines.count("delegation>agent_run ok") == 2
    delegations = [
        event for event in again.events if isinstance(event.payload, ev.ToolFinished)
        and event.payload.tool == DELEGATE
    ]  # fmt: skip
    assert delegations[0].span_id is not None


def test_a_verifier_hangs_under_its_gate() -> None:
    """A gate lasts from the answer to the verdict; a check without a verifier is a moment."""
    session = Stepped(Agent(agent="a", gate=Gate(verifier="judge", fixes=1)))
    (path,) = session.create()
    book, run = session.book, session.run(path)
    book.add(started(run), run.id)
    book.add(ev.GateDecided(by="check", verdict="fix", problem="No."), run.id)
    book.add(started(run), run.id)
    book.add(ev.AgentRunAnswered(output="x", work_s=1), run.id)
    (spec,) = session.plan.create
    book.add(run_created(spec), spec.id)
    judge = book.state.runs[spec.id]
    book.add(started(judge), judge.id)
    book.add(ev.AgentRunFinished(outcome=Outcome(status="done", output={}), work_s=1), judge.id)
    book.add(ev.GateDecided(by="judge", verdict="pass"), run.id)
    assert Drawn.of(book.events).lines()[1:] == [
        "turn>agent_run open",
        "agent_run>gate ok",
        "agent_run>gate ok",
        "gate>agent_run ok",
    ]


def test_an_outcome_without_a_process_is_a_span_too() -> None:
    """A run that a resume only has to settle, and one that is cancelled before it began."""
    book, run = lead_at_work()
    book.add(RESUMED)
    book.add(ev.AgentRunFinished(outcome=Outcome(status="cancelled"), work_s=0), run.id)
    assert Drawn.of(book.events).lines()[-1] == "turn>agent_run cancelled"


def test_waiting_for_help_is_a_span() -> None:
    """From the call for help to its answer, beside the runs before and after it."""
    book, run = lead_at_work()
    asked = ev.HelpAsked(tool_use_id="t1", help=NeedsHelp(reason="question", missing="Which?"))
    book.add(asked, run.id)
    needs = Outcome(status="needs_help", problem="Which?", help=asked.help)
    book.add(ev.AgentRunFinished(outcome=needs, work_s=1), run.id)
    book.add(ev.AgentRunReopened(limits=run.limits, answer="That."), run.id)
    book.add(started(run), run.id)
    assert Drawn.of(book.events).lines()[1:] == [
        "turn>agent_run needs_help",
        "agent_run>model ok",
        "agent_run>tool ok",
        "turn>wait ok",
        "turn>agent_run open",
    ]


def test_a_joined_delegation_is_no_failure() -> None:
    """A further call of the same turn is refused only because its tasks were added to the first."""
    book, run = lead_at_work()
    book.add(ev.DelegationRequested(tool_use_id="t1", call_id="c1", tasks=()), run.id)
    book.add(ev.DelegationJoined(tool_use_id="t2", into="t1", tasks=()), run.id)
    book.add(ev.ToolDenied(tool_use_id="t2", tool=DELEGATE, hook="delegation", reason="Joined."), run.id)
    assert Drawn.of(book.events).lines()[3:] == ["agent_run>delegation open", "agent_run>tool ok"]


def test_a_question_asked_later_is_a_turn_of_its_own() -> None:
    """It has no wait before it: nobody was at work. A kill in it is none of the first one's."""
    book = Book()
    book.add(created())
    for payload in (DONE, RESUMED, ev.SessionAsked(question="And?"), RESUMED, DONE):
        book.add(payload)
    assert Drawn.of(book.events).lines() == [">turn ok", ">turn ok", "turn>wait ok"]


def test_what_has_failed_and_is_tried_again_is_a_turn_again() -> None:
    """The first one has ended, with its failure; the second begins when somebody sets to work again."""
    book, run = lead_at_work()
    book.add(ev.AgentRunFinished(outcome=Outcome(status="failed", problem="No."), work_s=1), run.id)
    book.add(ev.SessionFinished(status="failed", report=None, problem="No."))
    book.add(RESUMED)
    assert book.state.trace.open == {}
    book.add(ev.AgentRunReopened(limits=run.limits, answer="Once more."), run.id)
    book.add(started(run), run.id)
    assert Drawn.of(book.events).lines() == [
        ">turn error",
        "turn>agent_run error",
        "agent_run>model ok",
        ">turn open",
        "turn>wait ok",
        "turn>agent_run open",
    ]


def test_what_runs_on_in_a_fork_hangs_under_the_lead_that_asked_for_it() -> None:
    """The lead waits; its span and the delegation's are there before those of its subagents."""
    book = Simulator(Case(rounds=(("done", "done"),)), Random(1)).finish()
    asked = next(e.seq for e in book.events if isinstance(e.payload, ev.AgentRunSuspended))
    forked = book.upto(asked)
    forked.add(ev.SessionForked(origin="o", root=book.state.root_id, at=asked))
    begun = forked.state.trace.open.values()
    assert [step.kind for step in begun] == ["turn", "agent_run", "delegation"]
    forked.add(RESUMED)
    again = Simulator(Case(rounds=(("done", "done"),)), Random(1), book=forked).finish()
    at_fork = next(event.seq for event in again.events if isinstance(event.payload, ev.SessionForked))
    fork = Drawn()
    state = again.upto(0).state
    for event in again.events:
        moves = state.trace.moves(event.payload, event.agent_run_id, state.runs)
        if event.seq >= at_fork:
            fork.steps |= {step.span_id: step for step in moves.opened}
            fork.ended |= {step.span_id: status for step, status in moves.closed}
        state.apply(event)
    assert all(step.parent_id in fork.steps for step in fork.steps.values() if step.parent_id)
    lines = fork.lines()
    assert lines[:3] == [">turn open", "turn>agent_run suspended", "agent_run>delegation suspended"]
    assert lines.count("delegation>agent_run ok") == 2


def test_what_comes_after_the_end_begins_no_turn() -> None:
    """A model call of the CLI's own may end when its session has ended already."""
    book, run = lead_at_work()
    book.add(requested("c2"), run.id)
    book.add(ev.AgentRunFinished(outcome=Outcome(status="done", output="x"), work_s=1), run.id)
    book.add(DONE)
    failed = ev.ModelFailed(
        call_id="c2", auxiliary=True, status=None, problem="It was cut off.", usage=Usage()
    )
    book.add(failed, run.id)
    assert Drawn.of(book.events).open == set()
    assert [step.kind for step in Drawn.of(book.events).steps.values()].count("turn") == 1
