"""The fold: what a session's journal says, however often and by whomever it is read."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness import events as ev
from harness.delegation import DELEGATE
from harness.plan import plan
from harness.records import Limits, NeedsHelp, Outcome, Usage
from harness.state import RunState, SessionState, fold
from tests.kit.journals import (
    CALL_USAGE,
    CASES,
    SEEDS,
    SESSION,
    Book,
    Case,
    Simulator,
    created,
    few,
    finished,
    requested,
    run_created,
    started,
    task,
    tool_requested,
)


def working(**limits: Any) -> tuple[Book, RunState]:
    """A session whose root is at work."""
    book = Book()
    book.add(created())
    (spec,) = plan(book.state.created.flow, book.state).create if book.state.created else ()
    book.add(run_created(spec, Limits(**limits)), spec.id)
    run = book.state.runs[spec.id]
    book.add(started(run), run.id)
    return book, run


def failed(call_id: str, **given: Any) -> ev.ModelFailed:
    fields: dict[str, Any] = {"auxiliary": False, "status": 529, "problem": "Overloaded."}
    fields["usage"] = Usage(attempts=5)
    return ev.ModelFailed(call_id=call_id, **(fields | given))


@few
@given(CASES, SEEDS, st.randoms(use_true_random=False))
def test_events_seen_twice_change_nothing(case: Case, seed: int, random: Random) -> None:
    """Any earlier event may come again at any point: the fold stays as it is."""
    book = Simulator(case, Random(seed)).finish(kill=0.05)
    state = SessionState(SESSION)
    for count, event in enumerate(book.events, start=1):
        state.apply(event)
        if count % 5 == 0:
            before = copy.deepcopy(state)
            for again in random.choices(book.events[:count], k=5):
                state.apply(again)
            assert state == before
    assert state == book.state == fold(SESSION, book.events)


@few
@given(CASES, SEEDS, st.randoms(use_true_random=False))
def test_folding_in_two_parts_is_folding_at_once(case: Case, seed: int, random: Random) -> None:
    """A process that catches up on events after its head knows what one that reads all of them knows."""
    events = Simulator(case, Random(seed)).finish(kill=0.05).events
    cut = random.randrange(len(events) + 1)
    state = fold(SESSION, events[:cut])
    for event in events[cut:]:
        state.apply(event)
    assert state == fold(SESSION, events)


@few
@given(CASES, SEEDS)
def test_usage_is_that_of_the_calls(case: Case, seed: int) -> None:
    """Settled usage is the sum of what finished calls tell; each call that was lost is one unattributed."""
    book = Simulator(case, Random(seed)).finish(kill=0.1)
    of_kind = [event.payload for event in book.events]
    settled = sum((p.usage for p in of_kind if isinstance(p, ev.ModelFinished)), Usage())
    lost = sum(isinstance(p, ev.ModelRequested) for p in of_kind) - settled.model_calls
    assert book.state.usage == settled + Usage(attempts=lost, unattributed_calls=lost)
    assert book.state.cost_usd == 0.5 * settled.model_calls


def test_a_call_lost_with_its_process_is_unattributed() -> None:
    """A call that was sent and never ended counts as an attempt of unknown usage, once."""
    book, run = working()
    book.add(requested("a"), run.id)
    assert run.usage == Usage()
    book.add(started(run), run.id)
    book.add(started(run), run.id)
    assert run.usage == Usage(attempts=1, unattributed_calls=1)
    assert (run.steps, run.answered, run.open_calls) == (0, {}, {})


def test_an_answer_that_comes_after_its_process_died_is_settled() -> None:
    """The gateway reads on when only the CLI has died: the call is counted once, and no longer as unknown."""
    book, run = working()
    book.add(requested("a"), run.id)
    book.add(ev.AgentRunInterrupted(reason="died", work_s=1), run.id)
    assert run.usage.unattributed_calls == 1
    book.add(finished("a"), run.id)
    assert run.usage == CALL_USAGE
    assert (run.steps, run.answered) == (1, {"a": 1})


def test_a_late_failure_is_counted_once_too() -> None:
    """A lost call that is found to have failed is what its failure says."""
    book, run = working()
    book.add(requested("a"), run.id)
    book.add(ev.AgentRunInterrupted(reason="died", work_s=1), run.id)
    book.add(failed("a", usage=Usage(attempts=1, unattributed_calls=1)), run.id)
    assert run.usage == Usage(attempts=1, unattributed_calls=1)


def test_a_repeated_call_leaves_the_lost_one_lost() -> None:
    """The same request made again after a kill is settled; the one that was on the wire stays unknown."""
    book, run = working()
    book.add(requested("a"), run.id)
    book.add(started(run), run.id)
    book.add(requested("a"), run.id)
    book.add(finished("a"), run.id)
    assert run.usage == CALL_USAGE + Usage(attempts=1, unattributed_calls=1)
    book.add(finished("a"), run.id)
    assert run.usage == CALL_USAGE + CALL_USAGE
    assert run.answered == {"a": 2}


def test_a_failed_call_is_no_answer() -> None:
    """After an error the same request is the same call: its ordinal does not rise, and it is no step."""
    book, run = working()
    book.add(requested("a"), run.id)
    book.add(failed("a"), run.id)
    assert (run.answered, run.steps, run.usage) == ({}, 0, Usage(attempts=5))


def test_auxiliary_calls_cost_and_are_no_steps() -> None:
    """A title or a search's own call is charged; steps and the newest step's call are not touched."""
    book, run = working()
    book.add(requested("a"), run.id)
    book.add(finished("a"), run.id)
    book.add(requested("t", auxiliary=True), run.id)
    book.add(finished("t", auxiliary=True), run.id)
    assert (run.steps, run.last_call, run.usage.model_calls, run.cost_usd) == (1, "a", 2, 1.0)


def test_a_model_without_a_price_makes_the_cost_unknown() -> None:
    """One unpriced call: the session's cost is None, not the sum of the others."""
    book, run = working()
    for call, cost in (("a", 0.5), ("b", None)):
        book.add(requested(call), run.id)
        book.add(finished(call, cost_usd=cost), run.id)
    assert book.state.cost_usd is None
    assert run.cost_usd == 0.5


def test_only_the_newest_step_can_be_the_last_turn() -> None:
    """A last turn that was not the last, because more was granted before it was answered, is forgotten."""
    book, run = working()
    book.add(requested("a", last_turn=True), run.id)
    assert run.took_last_turn
    book.add(requested("t", auxiliary=True), run.id)
    assert run.took_last_turn
    book.add(failed("a"), run.id)
    book.add(requested("b"), run.id)
    assert not run.took_last_turn


def test_attempts_count_the_times_work_was_taken_up() -> None:
    """Starting is 1; waking from a delegation adds none; each recovery adds one."""
    book, run = working()
    assert run.attempts == 1
    book.add(ev.DelegationRequested(tool_use_id="t", call_id=None, tasks=(task("researcher", {}),)), run.id)
    book.add(ev.AgentRunSuspended(tool_use_id="t", work_s=1), run.id)
    book.add(started(run, entry="refire"), run.id)
    assert (run.attempts, run.attempt) == (1, 2)
    book.add(ev.AgentRunInterrupted(reason="died", work_s=1), run.id)
    book.add(started(run), run.id)
    assert (run.attempts, run.attempt) == (2, 3)


def test_work_adds_up_and_waiting_does_not() -> None:
    """`work_s` is the sum of what each process worked, whatever passed in between."""
    book, run = working()
    book.add(ev.AgentRunSuspended(tool_use_id="none", work_s=2.5), run.id)
    book.add(started(run), run.id)
    assert run.running_since is not None
    book.add(ev.AgentRunInterrupted(reason="died", work_s=1.5), run.id)
    assert (run.work_s, run.status) == (4.0, "ready")
    assert fold(SESSION, book.events).runs[run.id].running_since is None


def test_a_reopened_run_knows_it_until_it_has_gone_on() -> None:
    """Granted more, a run has no outcome and new limits; the next answer of its model ends that state."""
    book, run = working()
    book.add(requested("a", last_turn=True), run.id)
    book.add(finished("a"), run.id)
    help_ = Outcome(status="needs_help", help=NeedsHelp(reason="steps"))
    book.add(ev.AgentRunFinished(outcome=help_, work_s=1), run.id)
    assert (run.final, run.outcome) == (True, help_)
    book.add(ev.AgentRunReopened(limits=Limits(max_steps=9)), run.id)
    assert (run.status, run.outcome, run.ended_at, run.took_last_turn) == ("ready", None, None, False)
    assert run.limits == Limits(max_steps=9)
    book.add(started(run), run.id)
    book.add(requested("b"), run.id)
    assert run.reopened
    book.add(finished("t", auxiliary=True), run.id)
    assert run.reopened
    book.add(finished("b"), run.id)
    assert not run.reopened


def test_a_delegation_goes_its_way() -> None:
    """Requested, joined once however often it is told, slept for, delivered."""
    book, run = working()
    first, more = task("researcher", {"n": 1}), task("checker", {"n": 2})
    joined = ev.DelegationJoined(tool_use_id="u", into="t", tasks=(more,))
    book.add(ev.DelegationRequested(tool_use_id="t", call_id="a", tasks=(first,)), run.id)
    book.add(joined, run.id)
    book.add(joined, run.id)
    delegation = run.delegations["t"]
    assert (delegation.tasks, delegation.joined, run.waiting_on) == ([first, more], ["u"], None)
    book.add(ev.AgentRunSuspended(tool_use_id="t", work_s=1), run.id)
    assert run.waiting_on is delegation
    book.add(started(run, entry="refire"), run.id)
    book.add(ev.ToolFinished(tool_use_id="t", tool=DELEGATE), run.id)
    assert (delegation.suspended, delegation.delivered) == (True, True)
    assert fold(SESSION, book.events).runs[run.id].waiting_on is None


def test_a_run_sleeps_for_its_newest_delegation() -> None:
    """With an earlier round whose delivery was never told, the newest one is what is waited for."""
    book, run = working()
    for name in ("old", "new"):
        tasks = (task("researcher", {}),)
        book.add(ev.DelegationRequested(tool_use_id=name, call_id=name, tasks=tasks), run.id)
        book.add(ev.AgentRunSuspended(tool_use_id=name, work_s=1), run.id)
    assert run.waiting_on is run.delegations["new"]


def test_tools_are_known_by_their_call() -> None:
    """Request, end and refusal of a tool call are kept under its id, and what was read under the session."""
    book, run = working()
    for name in ("a", "b", "c"):
        book.add(tool_requested(name), run.id)
    book.add(ev.ToolFinished(tool_use_id="a", tool="x", sources=("S2", "S1")), run.id)
    book.add(ev.ToolFinished(tool_use_id="b", tool="x", error="no"), run.id)
    book.add(ev.ToolDenied(tool_use_id="c", tool="x", hook="h", reason="r"), run.id)
    ends = {name: (tool.finished, tool.error, tool.denied) for name, tool in run.tools.items()}
    assert ends == {"a": (True, None, False), "b": (True, "no", False), "c": (False, None, True)}
    assert book.state.read == {"S1", "S2"}
    assert run.last_tool == "mcp__corpus__search"


def test_the_process_is_known_while_it_runs() -> None:
    """The CLI's process id is there for whoever has to end a survivor, and goes with a clean stop."""
    book, run = working()
    cli = ev.CliStarted(attempt=1, host="h", boot_id="b", pid=7, process_started=1.0)
    book.add(cli, run.id)
    assert run.cli == cli
    book.add(ev.AgentRunInterrupted(reason="stopped", work_s=1), run.id)
    assert run.cli is None
    assert run.folders == [f"/nowhere/{run.id}-1"]


def test_a_session_is_suspended_resumed_asked_and_finished() -> None:
    """The session's own status, question by question; new limits replace the old, no limits keep them."""
    book, _ = working()
    state = book.state
    book.add(ev.SessionSuspended(reason="The service is away."))
    assert (state.status, state.problem, state.finished) == ("suspended", "The service is away.", False)
    book.add(ev.SessionResumed(token=2, host="h", pid=1, limits=Limits(max_cost_usd=3)))
    book.add(ev.SessionResumed(token=3, host="h", pid=1))
    assert (state.status, state.limits) == ("running", Limits(max_cost_usd=3))
    done = ev.SessionFinished(status="done", report="R", problem=None, citations={"ok": 1})
    book.add(done)
    assert (state.status, state.finished, state.report, state.citations) == ("done", True, "R", {"ok": 1})
    book.add(ev.SessionAsked(question="And?"))
    assert (state.status, state.finished, state.questions) == ("running", False, ["Why?", "And?"])


def test_events_of_unknown_runs_and_calls_do_no_harm() -> None:
    """About an unknown run, call, tool or delegation, it changes only head, trace, progress and last sign."""
    book, run = working()
    before = copy.deepcopy(book.state)
    strangers: list[ev.AnyPayload] = [
        ev.ToolFinished(tool_use_id="?", tool="x"),
        ev.ToolDenied(tool_use_id="?", tool="x", hook="h", reason="r"),
        ev.DelegationJoined(tool_use_id="?", into="!", tasks=()),
        ev.DelegationVoided(tool_use_id="?", reason="r"),
    ]
    for payload in strangers:
        book.add(payload, run.id)
        book.add(payload, "no such run")
    book.add(finished("x"), "no such run")
    run.last_at = before.runs[run.id].last_at
    before.head, before.trace, before.progress = book.state.head, book.state.trace, book.state.progress
    assert book.state == before


def test_children_are_listed_in_the_order_of_their_creation() -> None:
    """The runs below a run, and the roots below none."""
    book = Simulator(Case(rounds=(("done", "failed", "done"),)), Random(5)).finish()
    (root,) = book.state.children(None)
    below = book.state.children(root.id)
    assert [run.created_at for run in below] == sorted(run.created_at for run in below)
    assert {run.path for run in below} == {"q0/1.1", "q0/1.2", "q0/1.3"}
