"""Supervisor, Team, Lead and gates: who runs when, with what, and how it ends."""

from __future__ import annotations

from harness.flow import (
    Agent,
    AnyNode,
    FanOut,
    Gate,
    Lead,
    Pipeline,
    Supervisor,
    Team,
    node_at,
)
from harness.plan import Place, Planner, results_so_far
from harness.records import Limits, NeedsHelp, Outcome
from tests.kit.stepping import TEXT, Stepped


def routed(*members: AnyNode | str, **given: object) -> Stepped:
    """A session under a supervisor."""
    return Stepped(Supervisor.model_validate({"members": members, **given}))


def results(session: Stepped, path: str = "q0") -> list[dict[str, object]]:
    """What the router at this path is shown."""
    run = session.run(path)
    planner = Planner(session.flow, session.book.state)
    node = node_at(session.flow, run.address)
    assert isinstance(node, Supervisor | Team)
    place = Place(run.id, run.path, run.address, run.parent_id)
    return [told for _, told, _ in results_so_far(planner, node, place, run)]


def test_a_supervisor_is_a_router_with_the_task() -> None:
    """Its run has the role, the members' names, the limits and the task of the whole."""
    session = routed("a", Agent(agent="b", name="other"), limits=Limits(max_cost_usd=1))
    (spec,) = session.plan.create
    assert (spec.role, spec.agent, spec.members, spec.path) == ("router", "router", ("a", "other"), "q0")
    assert (spec.task.payload, spec.limits, spec.essential) == (
        {"question": "Why?"},
        Limits(max_cost_usd=1),
        True,
    )


def test_decisions_are_followed_one_by_one() -> None:
    """The chosen member works on the decision's task; then the router is ready, and shown its result."""
    session = routed("a", "b")
    session.create()
    assert session.ready == ["q0"]
    session.routes("q0", "b", {"part": 1})
    assert session.ready == []
    assert session.create() == ["q0/1"]
    run = session.run("q0/1")
    assert (run.agent, run.parent_id, run.essential) == ("b", session.run("q0").id, False)
    assert (session.given("q0/1"), session.ready) == ({"part": 1}, ["q0/1"])
    session.fails("q0/1", "No luck.")
    assert (session.ready, session.plan.outcome) == (["q0"], None)
    assert results(session) == [{"source": "b", "status": "failed", "problem": "No luck."}]
    session.routes("q0", "b", {"part": 2})
    assert session.create() == ["q0/2"]
    session.done("q0/2", "Found.")
    assert results(session)[1] == {"source": "b", "status": "done", "output": {"text": "Found."}}
    session.done("q0", "Found.")
    assert session.outcome == Outcome(status="done", output="Found.")


def test_a_router_that_needs_help_is_what_the_session_is_stuck_for() -> None:
    """Its member's need for help alone is not: that is for the router to see to."""
    session = routed("a")
    session.create()
    session.routes("q0", "a", {})
    session.create()
    session.needs_help("q0/1")
    assert (session.ready, session.plan.stuck) == (["q0"], ())
    session.needs_help("q0")
    assert session.paths(session.plan.stuck) == ["q0"]
    session.reopen("q0")
    assert session.ready == ["q0"]


def test_a_member_may_be_any_pattern() -> None:
    """A pipeline under a router gets the decision's task, and its last output is the result."""
    session = routed(Pipeline(name="line", stages=("reader", "writer")), "b")
    session.create()
    session.routes("q0", "line", {"part": 1})
    assert session.create() == ["q0/1/1"]
    assert session.given("q0/1/1") == {"part": 1}
    session.done("q0/1/1", {"read": "all"})
    assert results(session) == []
    assert session.create() == ["q0/1/2"]
    session.done("q0/1/2", "Text.")
    assert results(session) == [{"source": "line", "status": "done", "output": {"text": "Text."}}]


def test_a_team_is_routed_on_its_own() -> None:
    """A team under a supervisor has a router of its own, and answers to the one above."""
    team = Team(name="readers", description="They read.", members=("a", "b"))
    session = routed(team, "writer")
    session.create()
    session.routes("q0", "readers", {"part": 1})
    assert session.create() == ["q0/1"]
    router = session.run("q0/1")
    assert (router.role, router.members, router.parent_id) == ("router", ("a", "b"), session.run("q0").id)
    session.routes("q0/1", "b", {"page": 7})
    assert session.create() == ["q0/1/1"]
    assert session.run("q0/1/1").parent_id == router.id
    session.done("q0/1/1", "Seven.")
    assert session.ready == ["q0/1"]
    session.done("q0/1", {"read": 7})
    assert session.ready == ["q0"]
    assert results(session) == [{"source": "readers", "status": "done", "output": {"read": 7}}]


def test_a_later_member_sees_what_earlier_ones_wrote() -> None:
    """The state of a decision's member, and of a delegation's, is that after those before it."""
    reading = Agent(agent="b", take={"notes": "state.notes"})
    session = Stepped(Supervisor(members=("a", Pipeline(name="line", stages=(reading,)))), {"notes": TEXT})
    session.create()
    session.routes("q0", "a", {})
    session.create()
    session.done("q0/1", "A", notes="from a")
    session.routes("q0", "line", {})
    session.create()
    assert session.given("q0/2/1") == {"notes": "from a"}

    session = Stepped(Lead(members=("a", Pipeline(name="line", stages=(reading,)))), {"notes": TEXT})
    session.create()
    for number, member in enumerate(("a", "line"), start=1):
        session.delegates("q0", (member, {}))
        (path,) = session.create()
        session.done(path, "A", notes=f"from {number}")
        session.wakes("q0")
    assert session.given("q0/2.1/1") == {"notes": "from 1"}


def test_a_lead_may_delegate_to_any_pattern() -> None:
    """A member that is a fan-out gets the task, and the lead is woken when it has its outcome."""
    session = Stepped(Lead(members=(FanOut(name="checks", branches=("a", "b")), "c")))
    session.create()
    session.delegates("q0", ("checks", {"claim": 1}), ("c", {"claim": 2}))
    assert session.create() == ["q0/1.1/1", "q0/1.1/2", "q0/1.2"]
    assert session.given("q0/1.1/2") == {"claim": 1}
    assert session.run("q0/1.1/2").parent_id == session.run("q0").id
    for path in ("q0/1.2", "q0/1.1/1"):
        session.done(path, path)
        assert "q0" not in session.ready
    session.fails("q0/1.1/2")
    assert session.ready == ["q0"]


def gated() -> Stepped:
    """A session of one agent behind a gate, which has answered."""
    session = Stepped(Agent(agent="writer", gate=Gate(verifier="judge", fixes=1)))
    session.create()
    session.answers("q0", {"claim": 1})
    return session


def test_an_answer_waits_for_its_verifier() -> None:
    """The verifier gets the task and the answer; the agent is ready once it has ended."""
    session = gated()
    (spec,) = session.plan.create
    assert (spec.agent, spec.role, spec.path, spec.essential) == ("judge", "verifier", "q0/check.1", False)
    assert spec.task.payload == {"task": {"question": "Why?"}, "output": {"claim": 1}}
    session.create()
    assert session.ready == ["q0/check.1"]
    session.done("q0/check.1", {"verdict": "pass"})
    assert session.ready == ["q0"]


def test_what_has_been_judged_is_not_judged_again() -> None:
    """After the verdict is committed and before the outcome is, a death brings no second verifier."""
    session = gated()
    session.create()
    session.done("q0/check.1", {"verdict": "pass"})
    session.is_judged("q0", "pass")
    assert (session.plan.create, session.ready) == ((), ["q0"])
    session.done("q0", {"claim": 1})
    assert session.outcome == Outcome(status="done", output={"claim": 1})


def test_an_answer_that_is_sent_back_is_judged_anew() -> None:
    """The agent goes on, and what it answers then has a verifier of its own."""
    session = gated()
    session.create()
    session.done("q0/check.1", {"verdict": "fix"})
    session.is_judged("q0", "fix", "Cite it.")
    assert (session.ready, session.plan.create) == (["q0"], ())
    assert session.run("q0").told == "Cite it."
    session.answers("q0", {"claim": 2})
    assert session.create() == ["q0/check.2"]
    assert session.given("q0/check.2")["output"] == {"claim": 2}


def test_a_verifier_that_breaks_stops_nobody() -> None:
    """Failed, or in need of help: the agent is ready to go on, and the session is not stuck."""
    for status in ("failed", "needs_help"):
        session = gated()
        session.create()
        if status == "failed":
            session.fails("q0/check.1")
        else:
            session.needs_help("q0/check.1")
        assert (session.ready, session.plan.stuck, session.plan.outcome) == (["q0"], (), None)


def test_an_agent_that_never_passes_is_what_the_session_is_stuck_for() -> None:
    """When its fixes are spent it needs help, and can be opened again."""
    session = gated()
    session.create()
    session.done("q0/check.1", {"verdict": "fix"})
    help_ = NeedsHelp(reason="gate")
    session.ends("q0", Outcome(status="needs_help", output={"claim": 1}, problem="No.", help=help_))
    assert session.outcome.help == help_
    assert session.paths(session.plan.stuck) == ["q0"]
