"""What a fork makes of a copied journal: the same plans, other processes, and a count of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given, settings

from harness import events as ev
from harness.limits import Allowed, Refused, next_call
from harness.plan import Plan, plan
from harness.records import Limits, Usage
from harness.state import RunState, SessionState
from tests.kit.endings import key
from tests.kit.journals import (
    CALL_USAGE,
    CASES,
    RESEARCH,
    SEEDS,
    SESSION,
    Book,
    Case,
    Simulator,
    created,
    finished,
    printing_seeds,
    requested,
    run_created,
    started,
)
from tests.kit.playing import Play
from tests.kit.trees import Tree, trees

often = settings(printing_seeds, max_examples=60)


def forked(book: Book, at: int, **given: Any) -> Book:
    """The journal of a fork of this session at an event."""
    made = Book(book.events[:at], str(uuid.uuid4()))
    known = {run.claude_session_id for run in made.state.runs.values() if run.claude_session_id}
    fields: dict[str, Any] = {
        "origin": book.state.id,
        "root": book.state.root_id,
        "at": at,
        "conversations": {each: f"{each} of {made.state.id}" for each in known},
    }
    made.add(ev.SessionForked(**(fields | given)))
    return made


def apart_from_traces(decision: Plan) -> Plan:
    """A plan whose messages name no trace: a fork's are its own."""
    specs = (replace(spec, task=spec.task.model_copy(update={"trace_id": ""})) for spec in decision.create)
    return replace(decision, create=tuple(specs))


@often
@given(trees(), SEEDS)
def test_a_fork_is_planned_as_its_origin_would_be(tree: Tree, seed: int) -> None:
    """At every event: what a resume would do had the process died there, of the same agent runs."""
    book = Play(tree, Random(seed)).finish(kill=0.05)
    for at in range(1, len(book.events) + 1):
        here, there = plan(tree.flow, book.upto(at).state), plan(tree.flow, forked(book, at).state)
        assert apart_from_traces(there) == apart_from_traces(here)


@often
@given(trees(), SEEDS)
def test_a_fork_comes_to_an_allowed_end(tree: Tree, seed: int) -> None:
    """Forked, worked on for a while, forked again and again killed: what had ended is not run again."""
    random = Random(seed)
    book, allowed = Play(tree, random).finish(kill=0.05), tree.ends()
    for _ in range(3):
        at = random.randint(1, len(book.events))
        fork = forked(book, at)
        over = {run.id: run.ended_seq for run in fork.state.runs.values() if run.final}
        book = Play(tree, random, fork).finish(kill=0.05)
        assert {run_id: book.state.runs[run_id].ended_seq for run_id in over} == over
        outcome = plan(tree.flow, book.state).outcome
        assert outcome is not None
        assert allowed is None or key(outcome) in {key(each) for each in allowed}
        assert book.state.root_id == SESSION


@often
@given(CASES, SEEDS)
def test_usage_is_counted_where_it_was_paid(case: Case, seed: int) -> None:
    """A fork begins with nothing used; what it has inherited and used is what its agent runs used in all."""
    random = Random(seed)
    book = Simulator(case, random).finish(kill=0.1)
    fork = forked(book, random.randint(1, len(book.events)))
    assert fork.state.usage == Usage()
    assert fork.state.cost_usd == fork.state.known_usd == 0
    calls = fork.state.inherited.usage.model_calls
    ended = Simulator(case, random, fork).finish(kill=0.1)
    runs: Iterable[RunState] = ended.state.runs.values()
    assert sum((run.usage for run in runs), Usage()) == ended.state.usage + ended.state.inherited.usage
    made = sum(isinstance(event.payload, ev.ModelFinished) for event in ended.events) - calls
    assert ended.state.usage.model_calls == made


@often
@given(trees(), SEEDS)
def test_nothing_of_the_origin_at_work_is_left(tree: Tree, seed: int) -> None:
    """No process, no folder, no call on the wire, no conversation of the same name; and it has not ended."""
    book = Play(tree, Random(seed)).finish(kill=0.05)
    here = {
        event.payload.claude_session_id
        for event in book.events
        if isinstance(event.payload, ev.AgentRunStarted)
    }
    for at in range(1, len(book.events) + 1):
        state = forked(book, at).state
        assert (state.status, state.finished) == ("suspended", False)
        for run in state.runs.values():
            assert (run.cli, run.folders, run.running_since, run.open_calls) == (None, [], None, {})
            assert run.status != "running"
            assert run.claude_session_id not in here


def at_work(**limits: Any) -> tuple[Book, str]:
    """A session whose lead has had one call of half a dollar answered, and waits for another."""
    book = Book([])
    book.add(created(limits=Limits(max_cost_usd=1.0)))
    (spec,) = plan(RESEARCH, book.state).create
    book.add(run_created(spec, Limits(**limits)), spec.id)
    book.add(started(book.state.runs[spec.id]), spec.id)
    for payload in (requested("a"), finished("a"), requested("b")):
        book.add(payload, spec.id)
    return book, spec.id


def test_a_call_that_was_on_the_wire_is_the_origins() -> None:
    """It is neither lost nor unattributed in the fork; made again there, it is counted there."""
    book, run_id = at_work()
    fork = forked(book, 6)
    assert (fork.state.usage, fork.state.inherited.usage) == (Usage(), CALL_USAGE)
    assert book.upto(6).state.usage == CALL_USAGE, "it may still end"
    fork.add(started(fork.state.runs[run_id]), run_id)
    fork.add(requested("b"), run_id)
    fork.add(finished("b"), run_id)
    assert fork.state.usage == CALL_USAGE
    assert fork.state.runs[run_id].attempts == 2


def test_a_message_that_is_there_already_is_a_step() -> None:
    """A call whose answer was copied with the transcript counts as a step, and costs the fork nothing."""
    book, run_id = at_work()
    fork = forked(book, 6, answered=("b",))
    assert (fork.state.runs[run_id].steps, fork.state.usage) == (2, Usage())
    assert fork.state.runs[run_id].answered == {"a": 1, "b": 1}


def allowance(state: SessionState, run_id: str) -> Allowed | Refused:
    return next_call(state, state.runs[run_id], auxiliary=False)


def test_an_inherited_cost_is_not_held_against_the_session_again() -> None:
    """The session's budget is for what the fork pays; an agent run's own limits go on where they stood."""
    book, run_id = at_work()
    book.add(finished("b"), run_id)
    assert isinstance(allowance(book.state, run_id), Refused)
    assert allowance(forked(book, 7).state, run_id) == Allowed()
    book, run_id = at_work(max_cost_usd=0.5)
    assert isinstance(allowance(forked(book, 6).state, run_id), Refused)
    book, run_id = at_work(max_steps=1)
    assert isinstance(allowance(forked(book, 6).state, run_id), Refused)


def test_an_unknown_price_in_the_origin_leaves_the_forks_cost_known() -> None:
    """Each says what it does not know about its own calls."""
    book, run_id = at_work()
    book.add(finished("b", cost_usd=None), run_id)
    fork = forked(book, 7)
    assert (fork.state.inherited.cost_usd, fork.state.cost_usd) == (None, 0)
    fork.add(requested("c"), run_id)
    fork.add(finished("c", cost_usd=None), run_id)
    assert fork.state.cost_usd is None


def test_a_fork_of_a_session_that_had_ended_goes_on_as_that_would() -> None:
    """Until an agent goes on it remembers that its origin had ended, perhaps for want of help."""
    book = Book([])
    book.add(created())
    book.add(ev.SessionFinished(status="needs_help", report="Half.", problem="Lost.", citations=None))
    fork = forked(book, 2)
    assert (fork.state.halted, fork.state.report, fork.state.problem) == (True, None, None)
    fork.add(ev.SessionResumed(token=1, host="h", pid=1))
    assert fork.state.halted, "a death before anything was granted may not forget that it is wanted"
