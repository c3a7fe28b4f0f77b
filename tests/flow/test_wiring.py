"""Wiring: every input gets its source, and everything that does not fit is named before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import BaseModel, Field

from harness.bundles.bundle import Bundle, Task
from harness.bundles.json_schema import model_from_schema
from harness.bundles.load import load_bundles
from harness.errors import BadFlow
from harness.flow import (
    FLOWS,
    Agent,
    AnyNode,
    Blackboard,
    FanOut,
    FirstValid,
    Flow,
    Gate,
    Handoff,
    Lead,
    Pipeline,
    Quorum,
    Seat,
    StateField,
    Supervisor,
    Team,
    node_at,
)
from harness.plan import Planner
from harness.wiring import input_of, one_pager, warnings, wire
from tests.kit.journals import Book, created


class Question(BaseModel):
    """What a person asks."""

    question: str


class Objective(BaseModel):
    """A task with parts that may be left out."""

    objective: str
    background: str = ""
    questions: list[str] = Field(default_factory=list)


class Found(BaseModel):
    """What a researcher gives."""

    summary: str
    findings: list[dict[str, str]]
    questions: list[str] = Field(default_factory=list)


class Claims(BaseModel):
    """What a checker takes."""

    claims: list[dict[str, str]]


class Judged(BaseModel):
    """What a verifier takes."""

    task: dict[str, Any]
    output: dict[str, Any]


class Verdict(BaseModel):
    """What a verifier gives."""

    verdict: str
    reason: str | None = None


class Passing(BaseModel):
    """An output that may name the next agent."""

    answer: str
    handoff_to: str | None = None


class Results(BaseModel):
    """What an editor merges."""

    results: list[dict[str, Any]]
    question: str


class Optional(BaseModel):
    """Nothing of it has to be given."""

    hint: str = ""


def bundle(name: str, takes: type[BaseModel], gives: type[BaseModel] | None = None) -> Bundle:
    return Bundle.define(name=name, description=f"Is {name}.", prompt="Work.", input=takes, output=gives)


class Listed(BaseModel):
    """Takes as a list what others give as a text."""

    summary: list[str]


LOOSE = model_from_schema("Loose", {"type": "object"})

BUNDLES = {
    each.name: each
    for each in (
        bundle("researcher", Objective, Found),
        bundle("checker", Claims, Found),
        bundle("writer", Question),
        bundle("editor", Results),
        bundle("judge", Judged, Verdict),
        bundle("clerk", Question, Passing),
        bundle("expert", Question, Passing),
        bundle("idler", Optional),
        bundle("listing", Listed),
        bundle("loose", LOOSE, LOOSE),
        bundle("any_task", Task),
    )
}

NOTES = {"notes": StateField(kind="list", reducer="append")}


def flow(node: AnyNode, **state: StateField) -> Flow:
    return Flow(name="tried", flow=node, state=state)


def takes(node: AnyNode, address: str, **state: StateField) -> dict[str, str]:
    """Wire a flow, and give what the node at an address takes."""
    return dict(node_at(wire(flow(node, **state), BUNDLES).flow, address).take)


def nested(depth: int) -> AnyNode:
    """So many supervisors within one another."""
    node: AnyNode = Team(name=f"level{depth}", description="A group.", members=("writer",))
    for level in range(depth - 1, 0, -1):
        node = Team(name=f"level{level}", description="A group.", members=(node,))
    return node


CHECKER = Agent(agent="checker", take={"claims": "previous.findings"})


def test_the_built_in_flows_stay_as_they_are() -> None:
    """Whoever takes exactly what comes says nothing about it, so nothing is filled in."""
    bundles = load_bundles(None)
    for built_in in FLOWS.values():
        assert wire(built_in, bundles) == built_in
        assert warnings(built_in, bundles) == []


@pytest.mark.parametrize(
    ("node", "address", "expected"),
    [
        (Agent(agent="writer"), "", {}),
        (Agent(agent="researcher"), "", {"objective": "question"}),
        (Pipeline(stages=("writer", "clerk")), "stages.0", {}),
        (Pipeline(stages=("writer", "clerk")), "stages.1", {"question": "input.question"}),
        (
            Pipeline(stages=("researcher", Agent(agent="researcher", name="again"))),
            "stages.1",
            {"objective": "question", "questions": "previous.questions"},
        ),
        (
            Pipeline(stages=("researcher", FanOut(branches=(CHECKER, "writer")))),
            "stages.1/branches.1",
            {"question": "question"},
        ),
        (
            FanOut(branches=("researcher", "writer"), merge="editor"),
            "merge",
            {"results": "previous.results", "question": "input.question"},
        ),
        (Lead(agent="writer", members=("researcher",)), "members.0", {}),
        (
            Supervisor(members=(Pipeline(name="both", stages=("researcher", "writer")),)),
            "members.0/stages.0",
            {},
        ),
        (
            Supervisor(members=(Pipeline(name="both", stages=("researcher", "writer")),)),
            "members.0/stages.1",
            {"question": "question"},
        ),
        (Handoff(members=("clerk", "expert")), "members.0", {"question": "input.question"}),
        (Handoff(members=("clerk", "expert")), "members.1", {"question": "input.question"}),
        (Agent(agent="loose"), "", {}),
    ],
)
def test_what_an_agent_takes_is_found_by_name(node: AnyNode, address: str, expected: dict[str, str]) -> None:
    """In what comes before, in what was given, and at last in the question."""
    assert takes(node, address) == expected


def test_what_is_optional_is_taken_from_any_alternative() -> None:
    """After a fan-out that the first one ends, either output may come; a required field must be in both."""
    either = FanOut(branches=("researcher", "writer"), policy=FirstValid())
    follower = Agent(agent="researcher", name="follower")
    assert takes(Pipeline(stages=(either, follower)), "stages.1") == {
        "objective": "question",
        "questions": "previous.questions",
    }
    with pytest.raises(BadFlow, match=r"stages\.1\.take\.claims: only some of what may come has"):
        wire(flow(Pipeline(stages=(either, CHECKER))), BUNDLES)


def test_a_stage_reaches_back_by_name() -> None:
    """Not only the output right before it can be taken, but that of every earlier stage."""
    stages = ("researcher", "writer", Agent(agent="checker", take={"claims": "researcher.findings"}))
    assert takes(Pipeline(stages=stages), "stages.2") == {"claims": "researcher.findings"}


def test_a_seat_finds_what_it_reads() -> None:
    """A field of the state that a seat reads needs no word in take; another one does."""
    state = {"background": StateField(kind="text")}
    seats = (
        Seat(member="researcher", reads=("background",)),
        Seat(member=Agent(agent="researcher", name="x")),
    )
    wired = wire(flow(Blackboard(seats=seats), **state), BUNDLES).flow
    assert node_at(wired, "seats.0").take == {"objective": "question", "background": "state.background"}
    assert node_at(wired, "seats.1").take == {"objective": "question"}


def test_a_pattern_says_what_it_is_given() -> None:
    """What a pipeline takes, its stages are given."""
    inner = Pipeline(name="inner", stages=("checker",), take={"claims": "previous.findings"})
    assert takes(Pipeline(stages=("researcher", inner)), "stages.1/stages.0") == {}


def test_the_planner_gives_what_was_wired() -> None:
    """The first task of a wired flow fits its agent, without the planner knowing any bundle."""
    wired = wire(flow(Pipeline(stages=("researcher", CHECKER))), BUNDLES).flow
    book = Book()
    book.add(created(wired))
    (spec,) = Planner(wired, book.state).session().create
    assert spec.agent == "researcher"
    assert Objective.model_validate(spec.task.payload).objective == book.state.questions[-1]


BAD: dict[str, tuple[Flow, Sequence[str]]] = {
    "unknown bundle": (
        flow(Pipeline(stages=("reseacher", "writer"))),
        ["stages.0.agent: there is no bundle 'reseacher' (did you mean 'researcher'?)"],
    ),
    "unknown verifier": (
        flow(Agent(agent="writer", gate=Gate(verifier="jugde"))),
        ["flow.gate.verifier: there is no bundle 'jugde' (did you mean 'judge'?)"],
    ),
    "a bundle of the router's name": (
        flow(Agent(agent="router")),
        ["flow.agent: 'router' is who decides for supervisors"],
    ),
    "a required field that nothing gives": (
        flow(Pipeline(stages=("researcher", "checker"))),
        ["stages.1.take.claims: 'checker' requires a list here", "previous.findings"],
    ),
    "a required field of another kind": (
        flow(Pipeline(stages=(Agent(agent="researcher", name="a"), Agent(agent="listing", name="b")))),
        ["stages.1.take.summary: 'listing' requires a list here, and what comes is a text"],
    ),
    "a field the agent does not take": (
        flow(Agent(agent="researcher", take={"objectiv": "question"})),
        ["flow.take.objectiv: 'researcher' takes no such field (did you mean 'objective'?)"],
    ),
    "a source that does not exist": (
        flow(Pipeline(stages=("researcher", Agent(agent="checker", take={"claims": "reseacher.findings"})))),
        ["stages.1.take.claims: 'reseacher.findings' names no source (did you mean 'researcher'?)"],
    ),
    "a later stage as a source": (
        flow(Pipeline(stages=(Agent(agent="researcher", take={"background": "writer.text"}), "writer"))),
        ["stages.0.take.background: 'writer.text' names no source"],
    ),
    "a source without its field": (
        flow(Agent(agent="researcher", take={"objective": "previous"})),
        ["flow.take.objective: 'previous' should name a field, like 'previous.FIELD'"],
    ),
    "a field of the question": (
        flow(Agent(agent="researcher", take={"objective": "question.text"})),
        ["the question is a text without fields; write 'question'"],
    ),
    "a field the source does not have": (
        flow(Pipeline(stages=("researcher", Agent(agent="checker", take={"claims": "previous.findngs"})))),
        ["stages.1.take.claims: 'previous' has no field 'findngs' (did you mean 'findings'?)"],
    ),
    "a state field that is not declared": (
        flow(Agent(agent="researcher", take={"questions": "state.note"}), **NOTES),
        ["flow.take.questions: the state has no field 'note' (did you mean 'notes'?); it has notes"],
    ),
    "a source of another kind": (
        flow(Pipeline(stages=("researcher", Agent(agent="checker", take={"claims": "previous.summary"})))),
        ["stages.1.take.claims: 'previous.summary' is a text, and 'checker' takes a list"],
    ),
    "nothing that comes is taken": (
        flow(Agent(agent="idler")),
        ["flow.take: 'idler' takes nothing of what comes"],
    ),
    "a member that takes": (
        flow(Lead(agent="writer", members=(Agent(agent="researcher", take={"objective": "question"}),))),
        ["members.0.take.objective: a member of a lead is given tasks that are whole; remove it"],
    ),
    "siblings of one name": (
        flow(FanOut(branches=("writer", "writer"))),
        ["branches.1.name: 'writer' is its sibling's as well"],
    ),
    "a composite member without a name": (
        flow(Supervisor(members=("writer", Pipeline(stages=("writer",))))),
        ["members.1.name: is required: a pipeline that is a member of a supervisor is chosen by its name"],
    ),
    "a stage named like a source": (
        flow(Pipeline(stages=(Agent(agent="writer", name="previous"),))),
        ["stages.0.name: 'previous' has a meaning of its own in take"],
    ),
    "four supervisors deep": (
        flow(nested(4)),
        ["members.0/members.0/members.0: this is the 4th supervisor within another"],
    ),
    "a quorum of more than there are": (
        flow(FanOut(branches=("writer", "clerk"), policy=Quorum(n=3))),
        ["flow.policy.n: 3 branches are wanted, and there are 2"],
    ),
    "a handoff that starts nowhere": (
        flow(Handoff(members=("clerk", "expert"), start="clark")),
        ["flow.start: there is no member 'clark' (did you mean 'clerk'?)"],
    ),
    "a handoff that nobody passes on": (
        flow(Handoff(members=("writer", "researcher"))),
        ["flow.members: no member's output has a text field 'handoff_to'"],
    ),
    "a verifier that gives no verdict": (
        flow(Agent(agent="researcher", gate=Gate(verifier="checker"))),
        [
            "flow.gate.verifier: the input of 'checker' lacks task and output",
            "flow.gate.verifier: the input of 'checker' requires claims",
            "flow.gate.verifier: the output of 'checker' lacks a text field 'verdict'",
        ],
    ),
    "a verifier that cannot take prose": (
        flow(Agent(agent="writer", gate=Gate(verifier="judge"))),
        ["flow.gate.verifier: 'judge' takes an object as output, and is given a text"],
    ),
    "a write to an undeclared field": (
        flow(Agent(agent="researcher", write={"note": "findings"}), **NOTES),
        ["flow.write.note: the state has no such field (did you mean 'notes'?); it declares notes"],
    ),
    "a write of what the output lacks": (
        flow(Agent(agent="researcher", write={"notes": "finding"}), **NOTES),
        ["flow.write.notes: the output of 'researcher' has no field 'finding' (did you mean 'findings'?)"],
    ),
    "a write of prose": (
        flow(Agent(agent="writer", write={"notes": "findings"}), **NOTES),
        ["flow.write.notes: 'writer' answers in Markdown, so only its 'text' can be written"],
    ),
    "a write of another kind": (
        flow(Agent(agent="writer", write={"notes": "text"}), **NOTES),
        ["flow.write.notes: 'text' is a text, and the state's field is a list"],
    ),
    "a write by somebody else": (
        flow(
            FanOut(branches=("writer", Agent(agent="researcher", write={"notes": "findings"}))),
            notes=StateField(kind="list", writers=("writer",)),
        ),
        ["branches.1.write.notes: 'researcher' is not among its writers (writer)"],
    ),
    "a reducer that does not fit": (
        flow(Agent(agent="writer"), total=StateField(kind="text", reducer="sum")),
        ["state.total.reducer: a field of kind 'text' cannot be reduced by 'sum'"],
    ),
    "a writer that is nobody": (
        flow(Agent(agent="writer"), total=StateField(kind="text", writers=("writre",))),
        ["state.total.writers: there is no node 'writre' (did you mean 'writer'?)"],
    ),
    "a blackboard without state": (
        flow(Blackboard(seats=(Seat(member="writer"),))),
        ["flow: a blackboard is the flow's state, and the flow declares none"],
    ),
    "a seat that reads what is not declared": (
        flow(Blackboard(seats=(Seat(member="writer", reads=("nots",)),)), **NOTES),
        ["seats.0.reads: the state has no field 'nots' (did you mean 'notes'?)"],
    ),
    "a goal that is not declared": (
        flow(Blackboard(seats=(Seat(member="writer"),), goal=("answer",)), **NOTES),
        ["flow.goal: the state has no field 'answer'; it declares notes"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_flow_is_refused_with_its_own_sentence(case: str) -> None:
    """The sentences name the flow and the field, and there is none besides those expected."""
    bad, expected = BAD[case]
    with pytest.raises(BadFlow) as refused:
        wire(bad, BUNDLES)
    problems = refused.value.problems
    assert all(any(says in problem for problem in problems) for says in expected), problems
    assert all(problem.startswith("The flow 'tried': ") and "\n" not in problem for problem in problems)
    assert all(any(says in problem for says in expected) for problem in problems), problems


def test_all_problems_are_told_at_once() -> None:
    """One look is enough to mend everything, wherever in the tree it stands."""
    bad = flow(
        Pipeline(
            stages=(
                "nobody",
                FanOut(
                    branches=("checker", Agent(agent="writer", take={"topic": "question"})),
                    policy=Quorum(n=7),
                ),
            )
        ),
        odd=StateField(kind="boolean", reducer="merge"),
    )
    with pytest.raises(BadFlow) as refused:
        wire(bad, BUNDLES)
    named = [problem.split(": ")[1] for problem in refused.value.problems]
    assert sorted(named) == sorted(
        ["state.odd.reducer", "stages.0.agent", "stages.1.policy.n", "stages.1/branches.1.take.topic"]
    )
    assert all(problem in str(refused.value) for problem in refused.value.problems)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (nested(2), []),
        (nested(3), ["members.0/members.0: supervisors are nested 3 deep"]),
        (
            FanOut(branches=("clerk", "writer"), merge="expert"),
            ["merge.take: it takes nothing of the results"],
        ),
        (
            FanOut(branches=("clerk", "writer"), merge="editor", policy=FirstValid()),
            ["flow.merge: it never runs"],
        ),
        (Pipeline(stages=("clerk", "writer")), ["stages.1.take: it takes nothing of the stages before it"]),
        (Pipeline(stages=("researcher", CHECKER)), []),
        (
            Supervisor(members=tuple(Agent(agent="writer", name=f"w{n}") for n in range(9))),
            ["flow.members: 9 members under one supervisor; group them into teams"],
        ),
    ],
)
def test_what_is_doubtful_is_said_and_refuses_nothing(node: AnyNode, expected: list[str]) -> None:
    """A warning names its place as a problem does, and the flow can be run."""
    assert wire(flow(node), BUNDLES)
    said = warnings(flow(node), BUNDLES)
    assert len(said) == len(expected)
    assert all(words in each for words, each in zip(expected, said, strict=True)), said


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (Agent(agent="checker"), Claims),
        (Lead(agent="writer", members=("checker",)), Question),
        (Pipeline(stages=("researcher", "writer")), Objective),
        (FanOut(branches=("checker", "writer"), merge="editor"), Claims),
        (Handoff(members=("clerk", "checker"), start="checker"), Claims),
        (Handoff(members=("clerk", "checker")), Question),
        (Supervisor(members=("checker",)), Task),
        (Pipeline(stages=(Team(name="t", description="A group.", members=("checker",)),)), Task),
        (Blackboard(seats=(Seat(member="checker"),)), Task),
    ],
)
def test_a_member_of_any_pattern_takes_one_type(node: AnyNode, expected: type[BaseModel]) -> None:
    """A lead or a router fills it in without knowing what is inside."""
    assert input_of(node, BUNDLES) is expected


def test_a_member_is_offered_by_its_own_name() -> None:
    """An agent under another name, and a whole pattern, are described as what they are here."""
    opponent = Agent(agent="researcher", name="opponent", description="Looks for what speaks against it.")
    said = one_pager(opponent, BUNDLES)
    assert said.startswith("opponent: Looks for what speaks against it. Takes {objective: string")
    assert one_pager(Agent(agent="writer"), BUNDLES) == BUNDLES["writer"].one_pager
    both = Pipeline(name="both", description="Finds and writes", stages=("researcher", "writer"))
    assert one_pager(both, BUNDLES) == (
        "both: Finds and writes. Takes {objective: string, background?: string, questions?: [string]}. "
        "Gives Markdown text."
    )
    either = FanOut(name="either", branches=("writer", "clerk"), policy=FirstValid())
    assert one_pager(either, BUNDLES).startswith("either. Takes {question: string}. Gives Markdown text or {")
    every = FanOut(name="every", branches=("writer", "clerk"))
    assert "Gives {results: [{source: string" in one_pager(every, BUNDLES)
    board = Blackboard(name="board", seats=(Seat(member="writer"),), goal=("notes",))
    assert one_pager(board, BUNDLES).endswith("Gives the shared state, with notes filled.")
