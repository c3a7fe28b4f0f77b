"""Delegation: what the lead may ask for, how it is told no, and what it gets back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from pydantic import BaseModel, Field

from harness import events as ev
from harness.bundles.bundle import Bundle
from harness.bundles.json_schema import model_from_schema
from harness.bundles.load import load_bundles
from harness.delegation import (
    DELEGATE,
    input_schema,
    results,
    results_ready,
    tasks,
    unusable,
)
from harness.flow import FLOWS, Lead
from harness.offers import offers
from harness.plan import plan, task_run_id
from harness.records import Limits, NeedsHelp, Outcome
from harness.sections import SessionLimits
from harness.settings import Settings
from tests.kit.hooked import BUNDLES, FakeRun, at_work, before, bundle
from tests.kit.journals import RESEARCH, requested, run_created

NAMES = ("researcher", "checker")
RESEARCH_TASK = {"to": "researcher", "input": {"objective": "Find out."}}
CHECK_TASK = {"to": "checker", "input": {"claims": [{"statement": "So it is."}]}}
MAX_TASKS = SessionLimits().max_delegations


def fits(schema: Mapping[str, Any], *asked: Any) -> bool:
    Draft202012Validator.check_schema(schema)
    try:
        Draft202012Validator(schema).validate({"tasks": list(asked)})
    except ValidationError:
        return False
    return True


# -- what the model is offered


def test_the_schema_takes_what_the_bundles_take() -> None:
    """Each member with its own input, in any mixture, and at most as many tasks as a session may have."""
    schema = input_schema({name: BUNDLES[name] for name in NAMES}, MAX_TASKS)
    assert fits(schema, RESEARCH_TASK)
    assert fits(schema, RESEARCH_TASK, CHECK_TASK)
    assert fits(schema, *[RESEARCH_TASK] * MAX_TASKS)
    assert not fits(schema, *[RESEARCH_TASK] * (MAX_TASKS + 1))
    assert not fits(schema)


@pytest.mark.parametrize(
    "asked",
    [
        {"to": "checker", "input": RESEARCH_TASK["input"]},
        {"to": "researcher", "input": {}},
        {"to": "writer", "input": {}},
        {"to": "researcher"},
        RESEARCH_TASK | {"priority": 1},
    ],
)
def test_the_schema_takes_nothing_else(asked: dict[str, Any]) -> None:
    """Another's input, missing fields, strangers and extras are for the model to see as wrong."""
    for members in (NAMES, ("researcher",)):
        assert not fits(input_schema({name: BUNDLES[name] for name in members}, MAX_TASKS), asked)


def test_the_built_in_bundles_make_a_valid_schema() -> None:
    """As the research flow offers it; each member's one-pager is told."""
    bundles, flow = load_bundles(None), FLOWS["research"].flow
    assert isinstance(flow, Lead)
    members = offers(flow, bundles)
    schema = input_schema(members, MAX_TASKS)
    assert fits(schema, RESEARCH_TASK, {"to": "fact_checker", "input": CHECK_TASK["input"]})
    for member in members.values():
        assert member.one_pager in str(schema)


class Part(BaseModel):
    """One bundle's idea of a part."""

    number: int


class Numbers(BaseModel):
    """Takes numbered parts."""

    parts: list[Part]
    below: Numbers | None = None


def _another() -> type[BaseModel]:
    class Part(BaseModel):
        """Another bundle's idea of a part."""

        name: str

    class Names(BaseModel):
        """Takes named parts."""

        parts: list[Part] = Field(min_length=1)

    return Names


def test_two_bundles_may_define_the_same_name() -> None:
    """Each one's parts stay its own, also in a model that refers to itself."""
    members = {"numbers": bundle("numbers", Numbers), "names": bundle("names", _another())}
    schema = input_schema(members, MAX_TASKS)
    numbered = {"to": "numbers", "input": {"parts": [{"number": 1}], "below": {"parts": [{"number": 2}]}}}
    named = {"to": "names", "input": {"parts": [{"name": "x"}]}}
    assert fits(schema, numbered, named)
    assert not fits(schema, {"to": "names", "input": numbered["input"]})
    assert not fits(schema, {"to": "numbers", "input": named["input"]})
    deep = {"parts": [], "below": {"parts": [{"name": "x"}]}}
    assert not fits(schema, {"to": "numbers", "input": deep})


def test_a_bundle_may_state_its_input_as_json_schema() -> None:
    """References within a schema that a person wrote go on to mean what they meant."""
    written = {
        "type": "object",
        "properties": {"part": {"$ref": "#/$defs/Part"}, "other": {"$ref": "#/definitions/other"}},
        "required": ["part"],
        "$defs": {"Part": {"type": "object", "properties": {"in": {"$ref": "#/$defs/Size"}}},
                  "Size": {"type": "integer"}},
        "definitions": {"other": {"type": "string"}},
    }  # fmt: skip
    members = {"written": bundle("written", model_from_schema("Input", written)), **BUNDLES}
    schema = input_schema(members, MAX_TASKS)
    good = {"to": "written", "input": {"part": {"in": 1}, "other": "x"}}
    assert fits(schema, good, RESEARCH_TASK, CHECK_TASK)
    assert not fits(schema, {"to": "written", "input": {"part": {"in": "large"}}})
    assert not fits(schema, {"to": "written", "input": {"part": {}, "other": 1}})


# -- what is refused


def refusal(value: Mapping[str, Any], **given: Any) -> str:
    problem = unusable(value, at_work(**given))
    assert problem is not None
    return problem


def test_good_tasks_are_not_refused() -> None:
    """One, several, and exactly as many as a session may have."""
    assert unusable({"tasks": [RESEARCH_TASK]}, at_work()) is None
    assert unusable({"tasks": [RESEARCH_TASK, CHECK_TASK]}, at_work()) is None
    assert unusable({"tasks": [RESEARCH_TASK] * MAX_TASKS}, at_work()) is None


@pytest.mark.parametrize(
    "value", [{}, {"tasks": []}, {"tasks": "all"}, {"tasks": RESEARCH_TASK}, {"tasks": [RESEARCH_TASK] * 21}]
)
def test_a_call_without_a_list_of_tasks_is_refused(value: dict[str, Any]) -> None:
    """The sentence says what to give."""
    assert refusal(value).startswith("tasks: give a list of 1 to 20 tasks")


def test_as_many_tasks_fit_into_a_call_as_a_session_may_have() -> None:
    """Whoever allows more need not wait for them in turn."""
    settings = Settings(limits=SessionLimits(max_delegations=32))
    assert unusable({"tasks": [RESEARCH_TASK] * 32}, at_work(settings=settings)) is None
    problem = unusable({"tasks": [RESEARCH_TASK] * 33}, at_work(settings=settings))
    assert problem is not None
    assert problem.startswith("tasks: give a list of 1 to 32 tasks")


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ("do it", "tasks[1]: give exactly 'to' and 'input', or "),
        ({"to": "researcher"}, "tasks[1]: give exactly 'to' and 'input', or "),
        (RESEARCH_TASK | {"priority": 1}, "tasks[1]: give exactly 'to' and 'input', or "),
        ({"to": "writer", "input": {}}, "tasks[1].to: there is no subagent 'writer' on offer; choose from"),
        ({"to": "lead", "input": {}}, "choose from researcher, checker."),
        ({"to": ["researcher"], "input": {}}, "tasks[1].to: "),
        ({"to": "researcher", "input": {}}, "tasks[1].input: The input does not fit researcher: objective"),
        ({"to": "researcher", "input": "x"}, "tasks[1].input: "),
        ({"to": "researcher", "input": None}, "tasks[1].input: "),
        ({"to": "checker", "input": {"claims": [{"statment": 1}]}}, "tasks[1].input: The input does not fit"),
    ],
)
def test_every_refusal_names_the_place(asked: Any, place: str) -> None:
    """Which task, which field, and what is wrong; and that none of the others was started either."""
    problem = refusal({"tasks": [RESEARCH_TASK, asked]})
    assert problem.startswith("No task was started. ")
    assert place in problem
    assert "tasks[0]" not in problem


def test_every_wrong_task_is_named() -> None:
    """So that one further call can mend all of them."""
    problem = refusal({"tasks": [{"to": "x", "input": {}}, RESEARCH_TASK, {"to": "checker", "input": {}}]})
    assert "tasks[0].to" in problem
    assert "tasks[2].input" in problem
    assert "claims: is required" in problem


def test_a_session_may_delegate_only_so_much() -> None:
    """All rounds count, voided ones do not; the sentence says how many there were and may be."""
    settings = Settings(limits=SessionLimits(max_delegations=3))
    run = at_work(settings=settings)
    asked = tasks(before(DELEGATE, {"tasks": [RESEARCH_TASK, CHECK_TASK]}), run)
    run.book.add(ev.DelegationRequested(tool_use_id="a", call_id="c", tasks=asked), run.run_id)
    assert unusable({"tasks": [RESEARCH_TASK]}, run) is None
    problem = unusable({"tasks": [RESEARCH_TASK] * 2}, run)
    assert problem is not None
    assert "a session may delegate 3 tasks in all, and 2 have been" in problem
    run.book.add(ev.DelegationVoided(tool_use_id="a", reason="lost"), run.run_id)
    assert unusable({"tasks": [RESEARCH_TASK] * 3}, run) is None


# -- what becomes of it


def test_tasks_become_messages() -> None:
    """From the lead to the bundle, with the same ids whenever the same call is read."""
    run = at_work()
    call = before(DELEGATE, {"tasks": [RESEARCH_TASK, CHECK_TASK]}, id="toolu_7")
    first, second = tasks(call, run)
    assert (first.kind, first.source, first.destination) == ("task", run.run_id, "researcher")
    assert (first.payload, first.schema_name) == (RESEARCH_TASK["input"], "researcher.input")
    assert (second.destination, second.trace_id) == ("checker", run.state.trace_id)
    assert first.id != second.id
    assert tasks(call, run) == (first, second)


def delegated(*asked: Mapping[str, Any], bundles: Mapping[str, Bundle] | None = None) -> FakeRun:
    """A lead that sleeps on these tasks, all of them created."""
    run = at_work(bundles=bundles or BUNDLES)
    messages = tasks(before(DELEGATE, {"tasks": list(asked)}), run)
    run.book.add(ev.DelegationRequested(tool_use_id="toolu_1", call_id="call-1", tasks=messages), run.run_id)
    run.book.add(ev.AgentRunSuspended(tool_use_id="toolu_1", work_s=1), run.run_id)
    for spec in plan(RESEARCH, run.state).create:
        run.book.add(run_created(spec), spec.id)
    return run


def end(run: FakeRun, number: int, outcome: Outcome) -> None:
    task_id = task_run_id(run.state.id, run.run_id, "toolu_1", number)
    run.book.add(ev.AgentRunFinished(outcome=outcome, work_s=1), task_id)


def told(run: FakeRun) -> list[dict[str, Any]]:
    return results(run.state, run.run, run.run.delegations["toolu_1"])


def ready(run: FakeRun) -> bool:
    return results_ready(run.state, run.run, run.run.delegations["toolu_1"])


def test_results_come_in_the_order_of_the_tasks() -> None:
    """However they ended, and in whatever order: done, out of means, failed and cancelled."""
    run = delegated(RESEARCH_TASK, CHECK_TASK, RESEARCH_TASK, CHECK_TASK)
    help_ = NeedsHelp(reason="cost", findings="half")
    ends = {
        1: Outcome(status="done", output={"summary": "It is so."}),
        2: Outcome(status="needs_help", output={"half": 1}, problem="Out of money.", help=help_),
        3: Outcome(status="failed", problem="The service was away."),
        4: Outcome(status="cancelled"),
    }
    for number in (3, 1, 4):
        end(run, number, ends[number])
        assert not ready(run)
    end(run, 2, ends[2])
    assert ready(run)
    assert told(run) == [
        {"task": 1, "to": "researcher", "status": "done", "output": {"summary": "It is so."}},
        {
            "task": 2,
            "to": "checker",
            "status": "needs_help",
            "problem": "Out of money.",
            "output": {"half": 1},
            "reason": "cost",
            "continue": task_run_id(run.state.id, run.run_id, "toolu_1", 2),
        },
        {"task": 3, "to": "researcher", "status": "failed", "problem": "The service was away."},
        {"task": 4, "to": "checker", "status": "failed", "problem": "It was cancelled."},
    ]


def test_a_task_that_asks_for_help_without_output_says_so() -> None:
    """There is always a sentence, and no empty output that could be taken for one."""
    run = delegated(RESEARCH_TASK)
    end(run, 1, Outcome(status="needs_help"))
    assert told(run) == [
        {
            "task": 1,
            "to": "researcher",
            "status": "needs_help",
            "problem": "It could not finish with what it had.",
            "continue": task_run_id(run.state.id, run.run_id, "toolu_1", 1),
        }
    ]


def test_a_task_that_needs_help_can_be_let_go_on() -> None:
    """The lead sends back what named the task, with an answer: the same agent run is reopened, once."""
    run = delegated(RESEARCH_TASK)
    end(run, 1, Outcome(status="needs_help", help=NeedsHelp(reason="blocked", findings="half")))
    (helpless,) = told(run)
    assert helpless["findings"] == "half"
    run.book.add(ev.ToolFinished(tool_use_id="toolu_1", tool=DELEGATE), run.run_id)
    run.book.add(requested("call-2"), run.run_id)
    asked = {"tasks": [{"continue": helpless["continue"], "answer": "Look in the annex."}]}
    assert unusable(asked, run) is None
    messages = tasks(before(DELEGATE, asked, id="toolu_2"), run)
    run.book.add(ev.DelegationRequested(tool_use_id="toolu_2", call_id="call-2", tasks=messages), run.run_id)
    run.book.add(ev.AgentRunSuspended(tool_use_id="toolu_2", work_s=1), run.run_id)
    ((again, grant),) = plan(RESEARCH, run.state).reopen
    assert (again, grant.payload) == (helpless["continue"], {"answer": "Look in the annex."})
    run.book.add(ev.AgentRunReopened(limits=Limits(), answer="Look in the annex.", by=grant.id), again)
    decision = plan(RESEARCH, run.state)
    assert (decision.reopen, decision.ready) == ((), (again,))
    run.book.add(ev.AgentRunFinished(outcome=Outcome(status="done", output="x"), work_s=1), again)
    assert results(run.state, run.run, run.run.delegations["toolu_2"]) == [
        {"task": 1, "to": "researcher", "status": "done", "output": "x"}
    ]


@pytest.mark.parametrize("asked", [{"continue": "nobody", "answer": "x"}, {"continue": "r", "answer": " "}])
def test_only_a_task_that_needs_help_can_be_let_go_on(asked: dict[str, Any]) -> None:
    """Any other name, or no answer, is refused with what to give."""
    assert "tasks[0].continue: name a task that needs help" in refusal({"tasks": [asked]})


def test_an_output_of_nothing_is_an_output() -> None:
    """A typed answer may be falsy."""
    run = delegated(RESEARCH_TASK)
    end(run, 1, Outcome(status="done", output=[]))
    assert told(run)[0] == {"task": 1, "to": "researcher", "status": "done", "output": []}


def test_results_that_are_missing_are_not_made_up() -> None:
    """Asked too early, a task that has no outcome yet is a failure and not a success."""
    run = delegated(RESEARCH_TASK)
    assert told(run)[0]["status"] == "failed"
    assert not ready(run)
