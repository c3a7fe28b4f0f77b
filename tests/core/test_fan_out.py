"""Fan-out: when its branches are enough, what is merged, who is stopped, and when it gives up."""

from __future__ import annotations

from typing import Any

import pytest

from harness.flow import (
    Agent,
    All,
    BestEffort,
    Blackboard,
    FanOut,
    FirstValid,
    Lead,
    Member,
    Pipeline,
    Policy,
    Quorum,
    Seat,
)
from harness.records import Outcome
from tests.kit.stepping import HELP, TEXT, Stepped


def fanned(
    policy: Policy, *branches: Member, merge: Member | None = None, stop_after: int = 3, created: bool = True
) -> Stepped:
    """A session that is one fan-out, its first agent runs created."""
    branches = branches or ("a", "b", "c")
    node = FanOut(branches=branches, policy=policy, merge=merge, stop_after=stop_after)
    session = Stepped(node)
    if created:
        session.create()
    return session


def done(source: str, output: Any) -> dict[str, Any]:
    """A branch's result that succeeded."""
    return {"source": source, "status": "done", "output": output}


def failed(source: str, problem: str = "It broke.") -> dict[str, Any]:
    """A branch's result that failed."""
    return {"source": source, "status": "failed", "problem": problem}


def test_branches_begin_together_on_the_same_task() -> None:
    """Every branch gets the pattern's task, or what of it the branch takes."""
    session = fanned(All(), "a", Agent(agent="b", take={"ask": "input.question"}), created=False)
    assert session.create() == ["q0/1", "q0/2"]
    assert session.given("q0/1") == {"question": "Why?"}
    assert session.given("q0/2") == {"ask": "Why?"}
    assert session.ready == ["q0/1", "q0/2"]
    assert not session.run("q0/1").essential


def test_branches_see_the_state_as_it_was_when_they_were_given_their_task() -> None:
    """What a sibling writes is not seen by one that is created a little later."""
    takes = {"notes": "state.notes"}
    branches = (Agent(agent="a"), Agent(agent="b", take=takes))
    session = Stepped(FanOut(branches=branches), {"notes": TEXT})
    session.create("q0/1")
    session.done("q0/1", "A", notes="from a")
    session.create()
    assert session.given("q0/2") == {"notes": ""}


def test_all_waits_for_every_branch_and_merges_in_their_order() -> None:
    """The results are in the branches' order, whoever came first."""
    session = fanned(All())
    for path in ("q0/3", "q0/1", "q0/2"):
        assert session.plan.outcome is None
        session.done(path, {"by": path})
    merged = [done("a", {"by": "q0/1"}), done("b", {"by": "q0/2"}), done("c", {"by": "q0/3"})]
    assert session.outcome == Outcome(status="done", output={"results": merged})


def test_one_that_fails_stops_no_other_and_their_results_survive() -> None:
    """The whole fails only when all have ended, with every result."""
    session = fanned(All())
    session.fails("q0/1")
    assert (session.ready, session.cancel, session.plan.outcome) == (["q0/2", "q0/3"], [], None)
    session.done("q0/2", "B")
    session.done("q0/3", {"c": 3})
    assert session.outcome.status == "failed"
    assert session.outcome.output == {"results": [failed("a"), done("b", {"text": "B"}), done("c", {"c": 3})]}
    assert session.outcome.problem == "1 of 3 branches did not succeed. Too many failed. a: It broke."


def test_it_needs_help_where_help_is_all_that_lacks() -> None:
    """Those who lack it are what the session is stuck for; opened again they bring it to its end."""
    session = fanned(All())
    session.done("q0/2", "B")
    session.needs_help("q0/1")
    session.needs_help("q0/3")
    assert (session.outcome.status, session.outcome.help) == ("needs_help", HELP)
    assert session.paths(session.plan.stuck) == ["q0/1", "q0/3"]
    for path in ("q0/1", "q0/3"):
        session.reopen(path)
        session.done(path, path)
    assert session.outcome.status == "done"


def test_help_that_would_not_be_enough_is_not_asked_for() -> None:
    """With another that has failed for good, all can never succeed; two of three still can."""
    session = fanned(All())
    session.fails("q0/1")
    session.needs_help("q0/2")
    session.done("q0/3")
    assert (session.outcome.status, session.outcome.help, session.plan.stuck) == ("failed", None, ())

    session = fanned(Quorum(n=2))
    session.done("q0/3")
    session.needs_help("q0/2")
    session.fails("q0/1")
    assert session.outcome.status == "needs_help"
    assert session.paths(session.plan.stuck) == ["q0/2"]


def test_a_quorum_merges_the_first_and_cancels_the_rest() -> None:
    """Exactly the first n that succeed are merged, in the branches' order, whatever ends later."""
    session = fanned(Quorum(n=2), "a", "b", "c", "d", "e")
    session.done("q0/4", "D")
    session.fails("q0/1")
    session.done("q0/2", "B")
    outcome = session.outcome
    assert outcome == Outcome(
        status="done", output={"results": [done("b", {"text": "B"}), done("d", {"text": "D"})]}
    )
    assert (session.cancel, session.ready) == (["q0/3", "q0/5"], [])
    session.done("q0/3", "C")
    session.is_cancelled("q0/5")
    assert session.outcome == outcome
    assert session.cancel == []


def test_a_quorum_that_cannot_be_reached_is_given_up() -> None:
    """With too many failed the rest is cancelled, and the outcome is of those that had ended."""
    session = fanned(Quorum(n=2), stop_after=9)
    session.fails("q0/1", "A broke.")
    assert session.plan.outcome is None
    session.fails("q0/3", "C broke.")
    outcome = session.outcome
    assert outcome.problem == "2 of 3 branches did not succeed. Too many failed. a: A broke.; c: C broke."
    assert session.cancel == ["q0/2"]
    session.done("q0/2", "Too late.")
    assert session.outcome == outcome


def test_a_quorum_of_more_than_there_are_means_all() -> None:
    """Three of two is two."""
    session = fanned(Quorum(n=3), "a", "b")
    session.done("q0/1")
    assert session.plan.outcome is None
    session.done("q0/2")
    assert session.outcome.status == "done"


def test_best_effort_merges_whatever_there_is() -> None:
    """All run to their end; with one success it is done, and the failures are told too."""
    session = fanned(BestEffort())
    session.fails("q0/1")
    session.done("q0/2", {"b": 2})
    assert session.plan.outcome is None
    session.needs_help("q0/3")
    assert session.outcome.status == "done"
    assert [result["status"] for result in session.outcome.output["results"]] == [
        "failed",
        "done",
        "needs_help",
    ]
    assert session.plan.stuck == ()


def test_best_effort_without_any_success_is_none() -> None:
    """Nobody succeeded for reasons of their own: it fails."""
    session = fanned(BestEffort(), "a", "b")
    session.fails("q0/1", "No wind.")
    session.fails("q0/2", "No sail.")
    assert session.outcome.status == "failed"


def test_the_first_valid_output_is_the_output() -> None:
    """A branch that failed before it does not matter, and what comes later does not either."""
    session = fanned(FirstValid())
    session.fails("q0/1")
    session.done("q0/3", {"c": 3})
    assert session.outcome == Outcome(status="done", output={"c": 3})
    assert session.cancel == ["q0/2"]
    session.done("q0/2", {"b": 2})
    assert session.outcome == Outcome(status="done", output={"c": 3})


def test_twelve_that_fail_alike_are_stopped_after_three() -> None:
    """Numbers and quoted names make no difference; nine are cancelled, and a late success changes nothing."""
    session = fanned(BestEffort(), *(f"m{n}" for n in range(12)))
    for number, path in enumerate(("q0/7", "q0/2", "q0/9")):
        assert session.plan.outcome is None
        session.fails(path, f"Status 50{number} from 'host{number}'.")
    outcome = session.outcome
    assert outcome.status == "failed"
    assert outcome.problem is not None
    assert "3 of 12 branches did not succeed. The first 3 failed alike" in outcome.problem
    assert len(session.cancel) == 9
    session.done("q0/1", "Late.")
    session.is_cancelled("q0/3", "q0/4")
    assert session.outcome == outcome
    assert len(session.cancel) == 6


def test_the_breaker_waits_for_failures_that_are_alike() -> None:
    """Another reason, or a success among the first, and the rest goes on."""
    session = fanned(BestEffort(), *(f"m{n}" for n in range(6)))
    session.fails("q0/1", "Too slow.")
    session.fails("q0/2", "Too fast.")
    session.fails("q0/3", "Too slow.")
    assert (session.plan.outcome, session.cancel) == (None, [])

    session = fanned(BestEffort(), *(f"m{n}" for n in range(6)))
    session.done("q0/6")
    for path in ("q0/1", "q0/2", "q0/3"):
        session.fails(path)
    assert (session.plan.outcome, session.cancel) == (None, [])


def test_those_that_the_breaker_stopped_are_no_failures() -> None:
    """When what needed help goes on, the cancelled ones do not stop it again."""
    session = fanned(BestEffort(), "a", "b", stop_after=1)
    session.needs_help("q0/1")
    session.is_cancelled("q0/2")
    session.reopen("q0/1")
    assert (session.ready, session.cancel) == (["q0/1"], [])


def test_a_breaker_without_anybody_left_to_stop_says_nothing_of_it() -> None:
    """When the last of all fails like the others, too many have failed."""
    session = fanned(All())
    for path in ("q0/1", "q0/2", "q0/3"):
        session.fails(path)
    assert session.outcome.problem is not None
    assert "no other was paid for" not in session.outcome.problem


def test_a_merging_agent_gets_the_results() -> None:
    """It begins when the branches are enough; its outcome is the whole's, and the session's if it fails."""
    merge = Agent(agent="editor", take={"drafts": "previous.results", "asked": "question"})
    session = fanned(Quorum(n=1), "a", "b", merge=merge)
    session.done("q0/2", "B")
    assert session.cancel == ["q0/1"]
    assert session.create() == ["q0/merge"]
    assert session.given("q0/merge") == {"drafts": [done("b", {"text": "B"})], "asked": "Why?"}
    assert session.run("q0/merge").essential
    session.done("q0/1", "A, late.")
    assert session.ready == ["q0/merge"]
    session.needs_help("q0/merge")
    assert session.paths(session.plan.stuck) == ["q0/merge"]
    session.reopen("q0/merge")
    session.done("q0/merge", "Edited.")
    assert session.outcome == Outcome(status="done", output="Edited.")


def test_a_merging_agent_sees_what_the_branches_wrote() -> None:
    """The state it takes from is that after the branch that was the last to count."""
    merge = Agent(agent="editor", take={"notes": "state.notes"})
    session = Stepped(FanOut(branches=("a", "b"), merge=merge), {"notes": TEXT})
    session.create()
    session.done("q0/2", "B", notes="from b")
    session.done("q0/1", "A")
    session.create()
    assert session.given("q0/merge") == {"notes": "from b"}


def test_nothing_is_merged_that_was_not_enough() -> None:
    """A failed fan-out never pays for its merging agent."""
    session = fanned(All(), "a", "b", merge="editor")
    session.fails("q0/1")
    session.done("q0/2")
    assert (session.outcome.status, session.plan.create) == ("failed", ())


def test_branches_may_be_any_pattern() -> None:
    """A pipeline in a branch goes on beside its siblings."""
    session = fanned(All(), Pipeline(name="line", stages=("x", "y")), "b")
    session.done("q0/1/1", {"x": 1})
    assert session.create() == ["q0/1/2"]
    session.done("q0/2", "B")
    session.done("q0/1/2", "Y")
    assert session.outcome.output == {"results": [done("line", {"text": "Y"}), done("b", {"text": "B"})]}


def test_all_of_a_branch_that_is_not_wanted_is_cancelled() -> None:
    """A sleeping lead, its tasks, and their tasks: nobody below a branch that is stopped goes on."""
    lead = Lead(members=(FanOut(name="checks", branches=("x", "y")), "z"))
    session = fanned(FirstValid(), lead, "b")
    session.delegates("q0/1", ("checks", {}), ("z", {}))
    session.create()
    session.done("q0/2", "B")
    assert session.cancel == ["q0/1", "q0/1/1.1/1", "q0/1/1.1/2", "q0/1/1.2"]
    session.is_cancelled("q0/1/1.1/1", "q0/1")
    assert session.cancel == ["q0/1/1.1/2", "q0/1/1.2"]
    assert session.plan.create == ()


def test_what_was_planned_before_it_was_decided_is_cancelled() -> None:
    """An agent run that an overtaken plan still created does not go on."""
    session = fanned(FirstValid(), Pipeline(name="line", stages=("x", "y")), "b")
    session.done("q0/1/1")
    (overtaken,) = session.plan.create
    session.done("q0/2", "B")
    session.add(overtaken)
    assert (session.cancel, session.ready) == (["q0/1/2"], [])


@pytest.mark.parametrize("outer", [All(), Quorum(n=2), BestEffort()])
def test_an_inner_decision_stays_while_the_outer_is_open(outer: Policy) -> None:
    """Of a branch that is a decided quorum the rest is cancelled, though its siblings go on."""
    inner = FanOut(name="inner", branches=("x", "y"), policy=Quorum(n=1))
    session = fanned(outer, inner, "b")
    session.done("q0/1/2", "Y")
    assert (session.cancel, session.ready) == (["q0/1/1"], ["q0/2"])


def test_a_board_that_nobody_could_begin_at_stays_ended() -> None:
    """What a sibling writes later does not bring it back to life."""
    board = Blackboard(name="board", seats=(Seat(member="x", reads=("notes",)),), goal=("notes",))
    session = Stepped(FanOut(branches=(board, "b"), policy=BestEffort()), {"notes": TEXT})
    assert session.create() == ["q0/2"]
    session.done("q0/2", "B", notes="something")
    assert session.plan.create == ()
    assert [result["status"] for result in session.outcome.output["results"]] == ["needs_help", "done"]
