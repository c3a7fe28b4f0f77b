"""The event at which a session is forked, changed: what may be, how values are read, and what follows."""

from __future__ import annotations

from typing import Any

import pytest

from harness import events as ev
from harness.bundles.load import load_bundles
from harness.edits import Typed, edited
from harness.errors import BadInput
from harness.flow import Agent, AnyNode, Lead, StateField, Supervisor
from harness.messages import Message
from harness.plan import plan
from harness.records import Limits, NeedsHelp, Outcome
from harness.state import fold
from tests.kit.journals import SESSION, Book, created, run_created, task

BUNDLES = load_bundles(None)
FLOW = Lead(agent="lead", members=("researcher", "fact_checker"))
FOUND = {"summary": "Tides turn.", "findings": []}


def asked(to: str, payload: Any) -> ev.DelegationRequested:
    return ev.DelegationRequested(tool_use_id="toolu", call_id=None, tasks=(task(to, payload),))


def sleeping(flow: AnyNode = FLOW, **given: Any) -> Book:
    """A lead that sleeps for one task of a researcher, whose agent run is there."""
    book = Book()
    book.add(created(flow, **given))
    (lead,) = plan(flow, book.state).create
    book.add(run_created(lead), lead.id)
    book.add(asked("researcher", {"objective": "tides"}), lead.id)
    book.add(ev.AgentRunSuspended(tool_use_id="toolu", work_s=1), lead.id)
    (spec,) = plan(flow, book.state).create
    book.add(run_created(spec), spec.id)
    return book


def ended(book: Book, outcome: Outcome) -> Book:
    """The same, with the researcher's end."""
    run = list(book.state.runs.values())[-1]
    book.add(ev.AgentRunFinished(outcome=outcome, work_s=1), run.id)
    return book


def edit(book: Book, at: int | None = None, /, **edits: Any) -> Any:
    """Edit an event, the newest by default; `__` in a path stands for a dot."""
    return told(book, at, **edits)[0]


def told(book: Book, at: int | None = None, /, **edits: Any) -> tuple[Any, dict[str, Any]]:
    """The same, with the values that were put in."""
    event = book.events[(at or len(book.events)) - 1]
    before = fold(SESSION, book.events[: event.seq - 1])
    paths = {path.replace("__", "."): value for path, value in edits.items()}
    return edited(event, paths, before, BUNDLES)


def test_a_question_a_model_and_a_budget() -> None:
    """What a person has given with the question can be given otherwise."""
    payload = edit(sleeping(), 1, question="How?", model="m", limits__max_cost_usd=2)
    assert (payload.question, payload.model, payload.limits) == ("How?", "m", Limits(max_cost_usd=2))
    book = sleeping()
    book.add(ev.SessionAsked(question="And?"))
    assert edit(book, question="So?") == ev.SessionAsked(question="So?")


def test_a_task_before_its_agent_run_has_begun() -> None:
    """Of the task only what the agent is told; who has to do it is settled."""
    payload = edit(sleeping(), task__payload__objective="winds", limits__max_steps=3)
    assert payload.task.payload == {"objective": "winds"}
    assert payload.limits.max_steps == 3
    assert payload.task.id == sleeping().events[-1].payload.task.id  # type: ignore[union-attr]


def test_an_answer_and_what_follows_from_it() -> None:
    """The message to who gave the task, and what is written into the state, say the same as the outcome."""
    flow = Lead(agent="lead", members=("researcher",), write={"report": "text"})
    book = ended(sleeping(), Outcome(status="done", output=FOUND))
    payload = edit(book, outcome__output__summary="They do not.")
    assert payload.outcome.output["summary"] == "They do not."
    assert payload.result.payload == payload.outcome.output
    assert payload.result.destination == "lead"
    book = Book()
    book.add(created(flow, state={"report": StateField(kind="text")}))
    (lead,) = plan(flow, book.state).create
    book.add(run_created(lead), lead.id)
    book.add(ev.AgentRunFinished(outcome=Outcome(status="done", output="Old."), work_s=1), lead.id)
    payload = edit(book, outcome__output="New.")
    assert (payload.result.payload, payload.writes) == ({"text": "New."}, {"report": "New."})


def test_another_end() -> None:
    """A run that succeeded can be made to fail, or to need help, and the other way round."""
    book = ended(sleeping(), Outcome(status="done", output=FOUND))
    payload = edit(book, outcome={"status": "failed", "problem": "Nothing there."})
    assert payload.outcome == Outcome(status="failed", problem="Nothing there.")
    assert payload.result.schema_name == "outcome"
    book = ended(sleeping(), Outcome(status="needs_help", help=NeedsHelp(reason="steps")))
    payload = edit(book, outcome={"status": "done", "output": FOUND})
    assert payload.result.schema_name == "researcher.output"


def test_an_answer_that_waits_for_its_verdict_and_the_verdict() -> None:
    """Both sides of a gate."""
    book = sleeping()
    run = list(book.state.runs.values())[-1]
    book.add(ev.AgentRunAnswered(output=FOUND, work_s=1), run.id)
    assert edit(book, output__summary="Less.").output["summary"] == "Less."
    book.add(ev.GateDecided(by="verifier", verdict="pass"), run.id)
    payload = edit(book, verdict=Typed("fix"), problem=Typed("It is 1 too short"))
    assert (payload.verdict, payload.problem) == ("fix", "It is 1 too short")


def test_who_gets_a_task_of_a_delegation() -> None:
    """Another member, with a task that fits it; the task says so everywhere."""
    payload = edit(sleeping(), 3, tasks__0__destination="fact_checker", tasks__0__payload={"claims": []})
    (changed,) = payload.tasks
    assert (changed.destination, changed.schema_name) == ("fact_checker", "fact_checker.input")
    assert changed.id == task("researcher", {}).id


def routing() -> Book:
    flow = Supervisor(members=("researcher", "fact_checker"))
    book = Book()
    book.add(created(flow))
    (spec,) = plan(flow, book.state).create
    book.add(run_created(spec), spec.id)
    given = task("researcher", {"objective": "tides"})
    book.add(ev.RoutingDecided(number=1, to="researcher", task=given, reason="It knows."), spec.id)
    return book


def test_whom_a_router_chose() -> None:
    """The task goes with the decision."""
    payload = edit(routing(), to="fact_checker", task__payload={"claims": []})
    assert (payload.to, payload.task.destination) == ("fact_checker", "fact_checker")
    assert payload.task.schema_name == "fact_checker.input"


def test_what_an_agent_is_told_that_was_granted_more() -> None:
    """Only the answer: who goes on is settled."""
    book = ended(sleeping(), Outcome(status="needs_help", help=NeedsHelp(reason="question")))
    helpless, lead = list(book.state.runs)[-1], next(iter(book.state.runs))
    grant = Message(
        id="grant", kind="grant", source=lead, destination=helpless, payload={"answer": "Go."},
        schema_name="grant", trace_id="t",
    )  # fmt: skip
    book.add(ev.DelegationRequested(tool_use_id="more", call_id=None, tasks=(grant,)), lead)
    assert edit(book, tasks__0__payload__answer="Stop.").tasks[0].payload == {"answer": "Stop."}
    for wrong in ({"tasks__0__destination": "researcher"}, {"tasks__0__payload__answer": " "}):
        with pytest.raises(BadInput, match="keeps its agent"):
            edit(book, **wrong)
    book.add(ev.AgentRunReopened(limits=Limits(), answer="Go."), helpless)
    assert edit(book, answer="Stop.", limits__max_steps=2).limits.max_steps == 2


@pytest.mark.parametrize(
    ("typed", "value"),
    [("42", "42"), ("true", "true"), ('"quoted"', "quoted"), ("plain text", "plain text"), ("[1]", "[1]")],
)
def test_where_there_is_a_text_what_is_typed_is_text(typed: str, value: str) -> None:
    """A person need not write a text as JSON, even if it looks like something else."""
    payload, values = told(sleeping(), task__payload__objective=Typed(typed))
    assert payload.task.payload["objective"] == value
    assert values == {"task.payload.objective": value}
    assert all(type(each) is str for each in values.values())


def test_elsewhere_what_is_typed_is_json_if_it_can_be() -> None:
    """Numbers, lists and null are themselves."""
    payload = edit(
        sleeping(),
        task__payload__questions=Typed('["Why?"]'),
        limits__max_steps=Typed("7"),
        limits__timeout_s=Typed("null"),
    )
    assert payload.task.payload["questions"] == ["Why?"]
    assert payload.limits == Limits(max_steps=7)


WRONG = {
    "kind": (
        4,
        {"tool_use_id": "x"},
        r"agent_run\.suspended, which cannot be edited; these kinds can: session",
    ),
    "field": (
        1,
        {"tenant": "other"},
        r"'tenant' of session\.created cannot be edited; .*question, model, limits",
    ),
    "name": (5, {"task__id": "x"}, r"'task\.id' of agent_run\.created cannot be edited"),
    "whole": (3, {"tasks": []}, r"'tasks' of delegation\.requested cannot be edited"),
    "index": (3, {"tasks__1__payload": {}}, r"no '1' on the way to 'tasks\.1\.payload'"),
    "way": (5, {"task__payload__a__b": 1}, r"no 'a' on the way"),
    "type": (5, {"limits__max_steps": "many"}, r"limits\.max_steps: should be a valid integer"),
    "unknown": (5, {"limits__max_step": 3}, r"limits\.max_step: is not known \(did you mean 'max_steps'\?\)"),
    "input": (5, {"task__payload": {}}, r"The input does not fit researcher: objective: is required"),
    "input key": (5, {"task__payload__aim": "x"}, r"does not fit researcher: aim: is not known"),
    "member": (3, {"tasks__0__destination": "writer"}, r"no member 'writer' .* researcher, fact_checker"),
    "member's input": (3, {"tasks__0__destination": "fact_checker"}, r"does not fit fact_checker"),
    "output": (6, {"outcome__output": {"summary": "x"}}, r"output of researcher does not fit: findings"),
    "status": (6, {"outcome__status": "well"}, r"outcome\.status: should be 'done'"),
    "question": (1, {"question": " "}, r"question is empty"),
}


@pytest.mark.parametrize(("at", "edits", "says"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_refused(at: int, edits: dict[str, Any], says: str) -> None:
    """In one sentence that names the place."""
    book = ended(sleeping(), Outcome(status="done", output=FOUND))
    with pytest.raises(BadInput, match=says) as refused:
        edit(book, at, **edits)
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith(".")


def test_a_budget_needs_a_price() -> None:
    """As when the question was asked."""
    book = sleeping(upstream="live", limits=Limits(max_cost_usd=1))
    with pytest.raises(BadInput, match="price of the model 'gpt-9' is not known"):
        edit(book, 1, model="gpt-9")


def test_a_bundle_that_is_not_here_judges_nothing() -> None:
    """Without its schema an edit cannot be checked."""
    book = sleeping()
    event, before = book.events[-1], fold(SESSION, book.events[:-1])
    with pytest.raises(BadInput, match="bundle researcher is not here"):
        edited(event, {"task.payload.objective": "x"}, before, {})


def test_a_write_that_does_not_fit_is_refused() -> None:
    """The state's fields are typed, also for what a person puts in."""
    flow = Agent(agent="researcher", write={"known": "findings"})
    book = Book()
    book.add(created(flow, state={"known": StateField(kind="text")}))
    (spec,) = plan(flow, book.state).create
    book.add(run_created(spec), spec.id)
    book.add(ev.AgentRunFinished(outcome=Outcome(status="failed", problem="No."), work_s=1), spec.id)
    with pytest.raises(BadInput, match="field 'known' is a text, and got a list"):
        edit(book, outcome={"status": "done", "output": FOUND})
