"""The planner over random flows: in any order and stopped anywhere, a session comes to an allowed end."""

from __future__ import annotations

import copy
from collections import Counter
from random import Random

from hypothesis import assume, event, given, settings

from harness.flow import Blackboard, walk
from harness.plan import Plan, plan
from harness.records import Outcome
from harness.state import SessionState
from tests.kit.endings import key
from tests.kit.journals import SEEDS, Book, printing_seeds
from tests.kit.playing import Play
from tests.kit.trees import Tree, trees

often = settings(printing_seeds, max_examples=100)


def outcome_of(tree: Tree, book: Book) -> Outcome:
    """How the session ended."""
    outcome = plan(tree.flow, book.state).outcome
    assert outcome is not None
    return outcome


@often
@given(trees(hasty=False), SEEDS, SEEDS)
def test_every_order_ends_alike(tree: Tree, first: int, second: int) -> None:
    """Where nothing hangs on who is first, any order and any kills give one outcome, problem and board."""
    # A board's output is the whole state, in which another beside it may have written or not.
    assume(sum(isinstance(node, Blackboard) for _, node in walk(tree.flow)) <= 1)
    smooth = Play(tree, Random(first)).finish()
    killed = Play(tree, Random(second)).finish(kill=0.1)
    assert outcome_of(tree, smooth) == outcome_of(tree, killed)
    assert smooth.state.board() == killed.state.board()
    event(type(tree.flow).__name__)


@often
@given(trees(boards=False), SEEDS)
def test_every_order_ends_as_the_patterns_say(tree: Tree, seed: int) -> None:
    """The outcome is one of those that the patterns' words allow, worked out without any journal."""
    allowed = tree.ends()
    assume(allowed is not None)
    book = Play(tree, Random(seed)).finish(kill=0.05)
    assert key(outcome_of(tree, book)) in {key(outcome) for outcome in allowed or ()}


def check(before: SessionState, decision: Plan) -> None:
    """What is planned can be done in this state."""
    created = [spec.id for spec in decision.create]
    assert not before.runs.keys() & set(created), "created twice"
    assert len(set(created)) == len(created)
    paths = Counter([*(run.path for run in before.runs.values()), *(spec.path for spec in decision.create)])
    assert max(paths.values(), default=1) == 1, "two agent runs at one path"
    for run_id in (*decision.ready, *decision.cancel, *decision.live):
        assert not before.runs[run_id].final
    assert set(decision.ready) <= set(decision.live)
    assert not set(decision.live) & set(decision.cancel)
    if decision.outcome is None:
        assert decision.create or decision.ready or decision.cancel, "stuck"
    else:
        assert (decision.create, decision.ready, decision.live) == ((), (), ())
    for run_id in decision.stuck:
        assert before.runs[run_id].status == "needs_help"


@often
@given(trees(), SEEDS)
def test_what_is_planned_can_be_done(tree: Tree, seed: int) -> None:
    """At each event: ids and paths are new, nothing ended goes on, something can be done."""
    whole = Play(tree, Random(seed)).finish(kill=0.05)
    state = whole.upto(1).state
    for each in whole.events:
        state.apply(each)
        before = copy.deepcopy(state) if each.seq % 10 == 0 else None
        decision = plan(tree.flow, state)
        assert before in (None, state), "planning changed the state"
        assert plan(tree.flow, state) == decision
        check(state, decision)


@often
@given(trees(), SEEDS)
def test_an_outcome_stays(tree: Tree, seed: int) -> None:
    """Whatever those still at work commit after the session's end was decided, it stays as it was."""
    whole = Play(tree, Random(seed)).finish()
    state = whole.upto(1).state
    decided: Outcome | None = None
    for each in whole.events:
        state.apply(each)
        outcome = plan(tree.flow, state).outcome
        assert decided in (None, outcome)
        decided = outcome


@often
@given(trees(), SEEDS)
def test_any_prefix_is_resumable(tree: Tree, seed: int) -> None:
    """Cut after any event, a session goes on to an allowed end; what had ended is not run again."""
    random = Random(seed)
    whole = Play(tree, random).finish(kill=0.05)
    allowed = tree.ends()
    for count in random.sample(range(1, len(whole.events) + 1), min(5, len(whole.events))):
        book = whole.upto(count)
        over = {run.id: run.ended_seq for run in book.state.runs.values() if run.final}
        ended = Play(tree, Random(seed + count), book).finish()
        assert {run_id: ended.state.runs[run_id].ended_seq for run_id in over} == over
        outcome = outcome_of(tree, ended)
        assert allowed is None or key(outcome) in {key(each) for each in allowed}


@often
@given(trees(), SEEDS)
def test_each_agent_run_is_created_and_ended_once(tree: Tree, seed: int) -> None:
    """However often the process dies; a cancelled one stays so, and all have ended in the end."""
    book = Play(tree, Random(seed)).finish(kill=0.2)
    kinds = Counter((each.agent_run_id, each.payload.kind) for each in book.events)
    for run in book.state.runs.values():
        assert kinds[run.id, "agent_run.created"] == kinds[run.id, "agent_run.finished"] == 1
        assert run.final


@often
@given(trees(), SEEDS)
def test_a_session_that_needs_help_goes_on_when_it_gets_it(tree: Tree, seed: int) -> None:
    """Those it is stuck for are opened again and go on, nobody else runs again, and it ends."""
    random = Random(seed)
    book = Play(tree, random).finish()
    decision = plan(tree.flow, book.state)
    if not decision.stuck:
        assert decision.outcome is not None
        made_by_pattern = decision.outcome.status == "needs_help"
        assert not made_by_pattern or any(
            node.pattern in ("handoff", "blackboard") for _, node in walk(tree.flow)
        )
        return
    assert decision.outcome is not None
    assert decision.outcome.status == "needs_help"
    over = {run.id: run.ended_seq for run in book.state.runs.values() if run.id not in decision.stuck}
    play = Play(tree, random, book)
    for run_id in decision.stuck:
        play.reopen(run_id)
    ended = play.finish(kill=0.05)
    assert outcome_of(tree, ended)
    assert {run_id: ended.state.runs[run_id].ended_seq for run_id in over} == over
    # One that succeeds may make the others needless.
    assert all(ended.state.runs[run_id].status in ("done", "cancelled") for run_id in decision.stuck)


@often
@given(trees(hasty=False), SEEDS)
def test_nothing_is_cancelled_where_all_are_wanted(tree: Tree, seed: int) -> None:
    """Without a policy that stops branches no agent run is ever cancelled, whatever fails."""
    book = Play(tree, Random(seed)).finish(kill=0.05)
    assert all(run.status != "cancelled" for run in book.state.runs.values())


@often
@given(trees(), SEEDS)
def test_the_end_follows_from_the_journal_alone(tree: Tree, seed: int) -> None:
    """Another process that reads the stored journal says the same."""
    book = Play(tree, Random(seed)).finish(kill=0.05)
    again = Book([type(each).model_validate_json(each.model_dump_json()) for each in book.events])
    assert plan(tree.flow, again.state) == plan(tree.flow, book.state)
