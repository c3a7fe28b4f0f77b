"""Pipeline and Handoff: who runs when, with what, and how it ends."""

from __future__ import annotations

import pytest

from harness.flow import (
    Agent,
    FanOut,
    Handoff,
    Pipeline,
    Quorum,
)
from harness.records import Outcome
from tests.kit.stepping import HELP, LOG, Stepped


def test_stages_follow_one_another() -> None:
    """Each stage begins when the one before has ended, with its output; the last output is the session's."""
    session = Stepped(Pipeline(stages=("intake", "reader", "writer")))
    assert session.create() == ["q0/1"]
    assert session.given("q0/1") == {"question": "Why?"}
    session.done("q0/1", {"topic": "tides"})
    assert session.create() == ["q0/2"]
    assert session.given("q0/2") == {"topic": "tides"}
    session.done("q0/2", "The moon.")
    assert session.create() == ["q0/3"]
    assert session.given("q0/3") == {"text": "The moon."}
    session.done("q0/3", "# Report")
    assert session.outcome == Outcome(status="done", output="# Report")


def test_a_stage_takes_its_input_from_where_it_says() -> None:
    """From the question, the pattern's input, the stage before, a stage by name, and the state."""
    taking = Agent(
        agent="writer",
        take={
            "asked": "question",
            "same": "input.question",
            "latest": "previous.quote",
            "topic": "intake.topic",
            "deep": "intake.where.sea",
            "notes": "state.notes",
            "nothing": "previous.absent",
        },
    )
    session = Stepped(Pipeline(stages=("intake", "reader", taking)), {"notes": LOG})
    session.create()
    session.done("q0/1", {"topic": "tides", "where": {"sea": "North"}}, notes=["a"])
    session.create()
    session.done("q0/2", {"quote": "The moon."}, notes=["b"])
    session.create()
    assert session.given("q0/3") == {
        "asked": "Why?",
        "same": "Why?",
        "latest": "The moon.",
        "topic": "tides",
        "deep": "North",
        "notes": ["a", "b"],
    }


@pytest.mark.parametrize("name", ["self", "state", "node", "place", "around", "previous", "stages", "input"])
def test_a_stage_may_have_any_name(name: str) -> None:
    """No name of a stage is mistaken for anything else, and what a reference means stays."""
    first = Agent(agent="intake", name=name)
    last = Agent(agent="writer", take={"asked": "question", "given": "input.question"})
    session = Stepped(Pipeline(stages=(first, last)))
    session.create()
    session.done("q0/1", {"question": "Another."})
    session.create()
    assert session.given("q0/2") == {"asked": "Why?", "given": "Why?"}


def test_a_task_says_whom_it_is_for() -> None:
    """A task has an id of its own, its receiver, and the message that it was made from."""
    session = Stepped(Pipeline(stages=("intake", "writer")))
    session.create()
    session.done("q0/1", {"topic": "tides"})
    session.create()
    first, second = session.run("q0/1").task, session.run("q0/2").task
    assert (first.destination, second.destination) == ("intake", "writer")
    assert second.schema_name == "writer.input"
    assert first.id != second.id
    assert (first.trace_id, first.source) == (session.book.state.trace_id, "person")
    assert second.source == session.run("q0/1").id


def test_a_stage_that_fails_ends_the_pipeline() -> None:
    """Its outcome is the whole's, and no later stage is paid for."""
    session = Stepped(Pipeline(stages=("intake", "writer")))
    session.create()
    session.fails("q0/1", "No topic.")
    assert session.outcome == Outcome(status="failed", problem="No topic.")
    assert session.plan.create == ()


def test_a_stage_that_needs_help_is_what_the_session_is_stuck_for() -> None:
    """Opened again it is ready; when it is done the next stage begins."""
    session = Stepped(Pipeline(stages=(Pipeline(stages=("intake",)), "writer")))
    session.create()
    session.needs_help("q0/1/1")
    assert session.outcome == Outcome(status="needs_help", problem="It is lost.", help=HELP)
    assert session.paths(session.plan.stuck) == ["q0/1/1"]
    session.reopen("q0/1/1")
    assert (session.ready, session.plan.outcome, session.plan.stuck) == (["q0/1/1"], None, ())
    session.done("q0/1/1", {"topic": "tides"})
    assert session.create() == ["q0/2"]


def test_the_work_is_handed_on_by_name() -> None:
    """The named agent gets the output; the first without a name ends it."""
    session = Stepped(Handoff(members=("triage", "billing", "sales"), start="triage"))
    assert session.create() == ["q0/1"]
    session.done("q0/1", {"handoff_to": "sales", "note": "wants more"})
    assert session.create() == ["q0/2"]
    assert session.run("q0/2").agent == "sales"
    assert session.given("q0/2") == {"handoff_to": "sales", "note": "wants more"}
    session.done("q0/2", {"handoff_to": "", "answer": "sold"})
    assert session.outcome == Outcome(status="done", output={"handoff_to": "", "answer": "sold"})


def test_a_handoff_begins_with_the_first_unless_said_otherwise() -> None:
    """Without a start it is the first member; a text hands on to nobody."""
    session = Stepped(Handoff(members=("triage", "billing")))
    session.create()
    assert session.run("q0/1").agent == "triage"
    session.done("q0/1", "billing")
    assert session.outcome == Outcome(status="done", output="billing")


def test_handing_on_in_circles_is_bounded() -> None:
    """After the last hop nobody else begins, and the session needs help with what there is."""
    session = Stepped(Handoff(members=("a", "b"), max_hops=3))
    for hop, other in enumerate(("b", "a", "b"), start=1):
        assert session.create() == [f"q0/{hop}"]
        session.done(f"q0/{hop}", {"handoff_to": other, "hop": hop})
    assert session.outcome.status == "needs_help"
    assert session.outcome.problem == "The work was handed on 3 times and nobody ended it."
    assert session.outcome.output == {"handoff_to": "b", "hop": 3}
    assert session.plan.create == ()


@pytest.mark.parametrize("to", ["nobody", ["b"], 7])
def test_handing_on_to_nobody_there_is_fails(to: object) -> None:
    """A name that no member has, or what is no name, is said with the names there are."""
    session = Stepped(Handoff(members=("a", "b")))
    session.create()
    session.done("q0/1", {"handoff_to": to})
    assert session.outcome.status == "failed"
    assert session.outcome.problem == f"a handed on to '{to}', and there is only a, b."


def test_a_member_that_fails_ends_the_handoff() -> None:
    """Failing hands on to nobody, and needing help is the session's."""
    session = Stepped(Handoff(members=("a", "b")))
    session.create()
    session.done("q0/1", {"handoff_to": "b"})
    session.create()
    session.needs_help("q0/2")
    assert session.outcome.status == "needs_help"
    assert session.paths(session.plan.stuck) == ["q0/2"]


def test_whom_a_quorum_did_not_wait_for_is_cancelled_while_the_next_works() -> None:
    """Of a stage that has its outcome nobody goes on, though the pipeline does."""
    session = Stepped(Pipeline(stages=(FanOut(branches=("a", "b"), policy=Quorum(n=1)), "writer")))
    session.create()
    session.done("q0/1/2", "B")
    assert session.cancel == ["q0/1/1"]
    assert session.create() == ["q0/2"]
    assert (session.ready, session.cancel) == (["q0/2"], ["q0/1/1"])
    session.is_cancelled("q0/1/1")
    assert (session.ready, session.cancel) == (["q0/2"], [])
