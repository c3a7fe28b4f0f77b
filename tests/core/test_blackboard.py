"""The blackboard: whose turn it is, what they see, and when it ends; and the state that its agents share."""

from __future__ import annotations

from itertools import permutations

from harness import events as ev
from harness.flow import Agent, Blackboard, FanOut, Lead, Pipeline, Seat, StateField
from harness.records import Outcome
from harness.state import Write, values
from tests.kit.stepping import HELP, LOG, TEXT, Stepped

STATE = {"plan": TEXT, "notes": LOG, "report": TEXT}
PLANNER = Seat(member="planner")
READER = Seat(
    member=Agent(agent="reader", take={"plan": "state.plan", "notes": "state.notes"}), reads=("plan",)
)
WRITER = Seat(member="writer", reads=("notes",))


def board(*seats: Seat, goal: tuple[str, ...] = ("report",), max_rounds: int = 10) -> Stepped:
    """A session at a blackboard."""
    return Stepped(Blackboard(seats=seats, goal=goal, max_rounds=max_rounds), STATE)


def test_each_works_when_there_is_something_for_it() -> None:
    """Who reads nothing begins; then who reads what has been written, until the goal is filled."""
    session = board(PLANNER, READER, WRITER)
    assert session.create() == ["q0/r1.1"]
    assert session.given("q0/r1.1") == {"question": "Why?"}
    session.done("q0/r1.1", {}, plan="Read on tides.")
    assert session.create() == ["q0/r2.2"]
    assert session.given("q0/r2.2") == {"plan": "Read on tides.", "notes": []}
    session.done("q0/r2.2", {}, notes=["The moon."])
    assert session.create() == ["q0/r3.3"]
    session.done("q0/r3.3", {}, report="It is the moon.")
    output = {"plan": "Read on tides.", "notes": ["The moon."], "report": "It is the moon."}
    assert session.outcome == Outcome(status="done", output=output)


def test_what_one_has_written_oneself_is_nothing_to_do() -> None:
    """Only another's writes bring a seat back; without any the board ends."""
    both = Seat(member="both", reads=("plan", "notes"))
    session = board(PLANNER, both)
    session.create()
    session.done("q0/r1.1", {}, plan="Read.")
    session.create()
    session.done("q0/r2.2", {}, notes=["own"], plan="Read more.")
    assert session.plan.create == ()
    assert session.outcome.status == "needs_help"


def test_a_write_that_changes_nothing_is_nothing_to_do() -> None:
    """The same value again is no progress."""
    again = Seat(member="again", reads=("notes",))
    session = board(PLANNER, again, READER)
    session.create()
    session.done("q0/r1.1", {}, plan="Read.", notes=["n"])
    assert session.create() == ["q0/r2.2", "q0/r2.3"]
    session.done("q0/r2.2", {}, plan="Read.")
    session.done("q0/r2.3", {})
    assert session.plan.create == ()


def test_a_round_is_over_when_all_of_it_have_ended() -> None:
    """Whoever is first waits, and both see the board as it was when the round before had ended."""
    takes = {"notes": "state.notes"}
    seats = [Seat(member=Agent(agent=name, take=takes), reads=("plan",)) for name in ("a", "b")]
    session = board(PLANNER, *seats, WRITER)
    session.create()
    session.done("q0/r1.1", {}, plan="Read.")
    session.create("q0/r2.2")
    session.done("q0/r2.2", {}, notes=["from a"])
    assert (session.plan.outcome, session.create()) == (None, ["q0/r2.3"])
    assert session.given("q0/r2.3") == {"notes": []}
    assert session.plan.create == ()
    session.done("q0/r2.3", {}, notes=["from b"])
    assert session.create() == ["q0/r3.4"]


def test_a_goal_that_is_reached_lets_the_round_end() -> None:
    """Nobody of the round is stopped, and nobody begins another."""
    session = board(PLANNER, Seat(member="other"), READER)
    session.create()
    session.done("q0/r1.1", {}, plan="Read.", report="Early.")
    assert (session.plan.outcome, session.ready, session.cancel) == (None, ["q0/r1.2"], [])
    session.done("q0/r1.2", {})
    assert (session.outcome.status, session.plan.create) == ("done", ())


def test_without_progress_it_needs_help() -> None:
    """Nobody has anything to do and the goal is open: what lacks is named."""
    session = board(PLANNER, READER)
    session.create()
    session.done("q0/r1.1", {"said": "nothing"})
    assert (
        session.outcome.problem
        == "Nobody at the blackboard goes on, and its goal is not reached: nothing in report."
    )
    assert session.outcome.help is not None
    assert (session.outcome.help.reason, session.outcome.help.missing) == ("blocked", "report")


def test_one_that_needed_help_in_the_last_round_is_what_it_is_stuck_for() -> None:
    """Opened again it goes on, and so does the board."""
    session = board(PLANNER, READER, WRITER)
    session.create()
    session.done("q0/r1.1", {}, plan="Read.")
    session.create()
    session.needs_help("q0/r2.2")
    assert (session.outcome.status, session.outcome.help) == ("needs_help", HELP)
    assert session.outcome.problem is not None
    assert session.outcome.problem.endswith("reader: It is lost.")
    assert session.paths(session.plan.stuck) == ["q0/r2.2"]
    session.reopen("q0/r2.2")
    session.done("q0/r2.2", {}, notes=["The moon."])
    assert session.create() == ["q0/r3.3"]


def test_one_that_fails_is_passed_over() -> None:
    """The others go on with what there is."""
    session = board(PLANNER, Seat(member="broken"), READER)
    session.create()
    session.fails("q0/r1.2")
    session.done("q0/r1.1", {}, plan="Read.")
    assert session.create() == ["q0/r2.3"]


def test_where_nobody_succeeds_nothing_is_done() -> None:
    """Without a goal it is done when all is quiet, unless nobody has done anything."""
    session = board(PLANNER, Seat(member="other"), goal=())
    session.create()
    session.fails("q0/r1.1")
    session.fails("q0/r1.2", "No ink.")
    assert session.outcome.status == "failed"
    assert session.outcome.problem is not None
    assert "nobody succeeded. planner: It broke.; other: No ink." in session.outcome.problem

    session = board(PLANNER, READER, goal=())
    session.create()
    session.done("q0/r1.1", {})
    assert session.outcome.status == "done"

    assert board(READER, goal=()).outcome.status == "failed"


def test_rounds_are_bounded() -> None:
    """Two that answer each other for ever are stopped after the last round."""
    ping, pong = Seat(member="ping", reads=("notes",)), Seat(member="pong", reads=("plan",))
    session = board(PLANNER, ping, pong, max_rounds=4)
    session.create()
    session.done("q0/r1.1", {}, plan="0")
    session.create()
    session.done("q0/r2.3", {}, notes=["1"])
    session.create()
    session.done("q0/r3.2", {}, plan="2")
    session.create()
    session.done("q0/r4.3", {}, notes=["3"])
    assert (session.outcome.status, session.plan.create) == ("needs_help", ())


def test_seats_may_be_taken_by_any_pattern() -> None:
    """A pipeline's writes are its seat's, and it ends with its last stage."""
    line = Seat(member=Pipeline(name="line", stages=("x", "y")), reads=("plan",))
    session = board(PLANNER, line, WRITER)
    session.create()
    session.done("q0/r1.1", {}, plan="Read.")
    assert session.create() == ["q0/r2.2/1"]
    session.done("q0/r2.2/1", {}, plan="Read again.")
    assert session.create() == ["q0/r2.2/2"]
    session.done("q0/r2.2/2", {}, notes=["n"])
    assert session.create() == ["q0/r3.3"]


def test_what_is_written_after_its_end_does_not_open_it_again() -> None:
    """A later stage that writes what a seat reads finds the board ended, with its output as it was."""
    first = Blackboard(name="board", seats=(PLANNER, READER), goal=("plan",))
    last = Agent(agent="last", take={"all": "previous"})
    session = Stepped(Pipeline(stages=(first, "middle", last)), STATE)
    session.create()
    session.done("q0/1/r1.1", {}, plan="Read.")
    assert session.create() == ["q0/2"]
    session.done("q0/2", {"middle": 1}, plan="Another.", notes=["n"])
    assert session.create() == ["q0/3"]
    session.done("q0/3", "End.")
    assert session.outcome == Outcome(status="done", output="End.")


def test_a_further_question_begins_with_what_is_on_the_board() -> None:
    """Seats that read something work at once on what an earlier question has left."""
    session = board(READER, WRITER, PLANNER, goal=())
    session.create()
    session.done("q0/r1.3", {}, plan="Read.")
    session.create()
    session.done("q0/r2.1", {})
    assert session.outcome.status == "done"
    session.book.add(ev.SessionAsked(question="And now?"))
    assert session.create() == ["q1/r1.1", "q1/r1.3"]
    assert session.given("q1/r1.1") == {"plan": "Read.", "notes": []}


def test_writes_count_in_the_order_of_the_flow() -> None:
    """Side by side it does not matter who was created or ended first; a later stage counts later."""
    paths = ["q0/1/1", "q0/1/2", "q0/2/1", "q0/2/10", "q0/merge", "q0", "q1/1"]
    state = {"log": StateField(kind="list", reducer="append"), "last": StateField(kind="text")}
    for order in permutations(paths):
        written = [Write(n, path, "log", [path]) for n, path in enumerate(order)]
        written += [Write(n, path, "last", path) for n, path in enumerate(order)]
        assert values(state, written) == {"log": paths, "last": "q1/1"}


def test_parallel_pipelines_leave_the_same_state_in_any_order() -> None:
    """The stage that was created last is not the one that counts last."""
    lines = [Pipeline(name=name, stages=("first", "second")) for name in ("x", "y")]
    boards = []
    for order in (("1/1", "1/2", "2/1", "2/2"), ("2/1", "2/2", "1/1", "1/2")):
        session = Stepped(FanOut(branches=tuple(lines)), {"report": TEXT})
        for step in order:
            session.create()
            session.done(f"q0/{step}", {}, report=step)
        boards.append(session.book.state.board())
    assert boards == [{"report": "2/2"}, {"report": "2/2"}]


def test_a_lead_writes_after_those_it_has_delegated_to() -> None:
    """Its own write is the newest, though its agent run was created first."""
    session = Stepped(Lead(members=("a",)), {"report": TEXT})
    session.create()
    session.delegates("q0", ("a", {}))
    session.create()
    session.done("q0/1.1", {}, report="from a")
    session.wakes("q0")
    session.done("q0", {}, report="from the lead")
    assert session.book.state.board() == {"report": "from the lead"}
