"""Delegation as one typed tool: its schema, the tasks of a call, and the results handed back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.bundles.api_schema import api_schema
from harness.bundles.validate import Taker, validate_input
from harness.hooks import BeforeTool, Run
from harness.messages import Message
from harness.plan import Plan, Planner
from harness.records import Outcome, derived_id
from harness.state import Delegation, RunState, SessionState

DELEGATE = "mcp__harness__delegate"

DESCRIPTION = (
    "Delegate typed tasks to subagents, which work side by side, each in a context of its own. They see only "
    "the input you give them, so each task must stand alone. Make one call with all the tasks that can run "
    "at the same time. You get one result per task, in order. A task that needs help names itself in "
    "`continue`: send that back with your answer to let it go on where it was, with its limits raised."
)


def input_schema(members: Mapping[str, Taker], max_tasks: int) -> dict[str, Any]:
    """The JSON Schema of the tool's input, made from the members on offer."""
    inputs, definitions = member_schemas(members)
    variants = [
        {
            "type": "object",
            "description": member.one_pager,
            "properties": {"to": {"const": name}, "input": inputs[name]},
            "required": ["to", "input"],
            "additionalProperties": False,
        }
        for name, member in members.items()
    ]
    variants.append(
        {
            "type": "object",
            "description": "Let a task that needs help go on, with as much again as it had.",
            "properties": {
                "continue": {"type": "string", "description": "As its result named it."},
                "answer": {"type": "string", "minLength": 1, "description": "What it is told."},
            },
            "required": ["continue", "answer"],
            "additionalProperties": False,
        }
    )
    items = {"anyOf": variants}
    schema = {
        "type": "object",
        "properties": {"tasks": {"type": "array", "minItems": 1, "maxItems": max_tasks, "items": items}},
        "required": ["tasks"],
        "additionalProperties": False,
    }
    return api_schema(schema | ({"$defs": definitions} if definitions else {}), DELEGATE)


def member_schemas(members: Mapping[str, Taker]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The JSON Schema of each member's input by name, and the definitions they refer to by "#/$defs/NAME"."""
    inputs: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for name, member in members.items():
        inputs[name] = member.input.model_json_schema()
        moved = _moved(inputs[name], f"#/$defs/{name}")
        if moved != inputs[name]:
            # Two bundles may each define a Citation of their own, so each schema keeps a root of its own.
            definitions[name], inputs[name] = moved, {"$ref": f"#/$defs/{name}"}
    return inputs, definitions


def _moved(schema: Any, root: str) -> Any:
    """The same schema standing at another place: its references begin at `root` instead of "#"."""
    match schema:
        case dict():
            return {
                key: root + value[1:] if _is_reference(key, value) else _moved(value, root)
                for key, value in schema.items()
            }
        case list():
            return [_moved(value, root) for value in schema]
        case _:
            return schema


def _is_reference(key: str, value: Any) -> bool:
    return key == "$ref" and isinstance(value, str) and value.startswith("#")


def unusable(value: Mapping[str, Any], run: Run) -> str | None:
    """Say what is wrong with a delegate call and where; None when every task can be run."""
    given, allowed = value.get("tasks"), run.settings.limits.max_delegations
    if not isinstance(given, list) or not 1 <= len(given) <= allowed:
        return f"tasks: give a list of 1 to {allowed} tasks, each with 'to' and 'input'."
    made = sum(len(d.tasks) for r in run.state.runs.values() for d in r.delegations.values() if not d.voided)
    if made + len(given) > allowed:
        return (
            f"No task was started: a session may delegate {allowed} tasks in all, and {made} have been; "
            "go on with the results you have."
        )
    problems, members = [], run.members
    for number, task in enumerate(given):
        problem = _task_problem(task, run, members)
        if problem is not None:
            problems.append(f"tasks[{number}]{problem}")
    return "No task was started. " + " ".join(problems) if problems else None


def _task_problem(task: Any, run: Run, members: Mapping[str, Taker]) -> str | None:
    if isinstance(task, dict) and set(task) == {"continue", "answer"}:
        helpless = [r.id for r in run.state.runs.values() if r.status == "needs_help"]
        known = task["continue"] in helpless and str(task["answer"]).strip()
        return None if known else ".continue: name a task that needs help as its result did, with an answer."
    if not isinstance(task, dict) or set(task) != {"to", "input"}:
        return ": give exactly 'to' and 'input', or 'continue' and 'answer'."
    if task["to"] not in list(members):
        return f".to: there is no subagent '{task['to']}' on offer; choose from {', '.join(members)}."
    _, problem = validate_input(members[task["to"]], task["input"])
    return f".input: {problem}" if problem else None


def tasks(call: BeforeTool, run: Run) -> tuple[Message, ...]:
    """The call's tasks as messages; their inputs have been found valid."""
    return tuple(
        Message(
            id=derived_id("task", run.state.root_id, call.tool_use_id, number),
            source=run.run.id,
            trace_id=run.state.trace_id,
            **_contents(task),
        )
        for number, task in enumerate(call.input["tasks"], start=1)
    )


def _contents(task: Mapping[str, Any]) -> dict[str, Any]:
    if "continue" in task:
        payload = {"answer": task["answer"]}
        return {"kind": "grant", "destination": task["continue"], "payload": payload, "schema_name": "grant"}
    to = task["to"]
    return {"kind": "task", "destination": to, "payload": task["input"], "schema_name": f"{to}.input"}


def results_ready(state: SessionState, run: RunState, delegation: Delegation) -> bool:
    """Whether every task has ended."""
    return all(plan.outcome is not None for _, plan in tasks_at_work(state, run, delegation))


def results(state: SessionState, run: RunState, delegation: Delegation) -> list[dict[str, Any]]:
    """One result per task, in order, as the lead gets them."""
    found = []
    for number, (task, plan) in enumerate(tasks_at_work(state, run, delegation), start=1):
        outcome = plan.outcome or Outcome(status="failed", problem="It never ran.")
        to = state.runs[task.destination].agent if task.kind == "grant" else task.destination
        found.append({"task": number, "to": to, **_answer(outcome, plan.stuck)})
    return found


def tasks_at_work(state: SessionState, run: RunState, delegation: Delegation) -> list[tuple[Message, Plan]]:
    """Each task of a delegation, in order, and how it stands."""
    assert state.created is not None, "a session begins with its creation"
    return Planner(state.created.flow, state).tasks(run, delegation)


def _answer(outcome: Outcome, stuck: Sequence[str]) -> dict[str, Any]:
    match outcome.status:
        case "done":
            return {"status": "done", "output": outcome.output}
        case "needs_help":
            help_ = outcome.help
            return {
                "status": "needs_help",
                "problem": outcome.problem or "It could not finish with what it had.",
                **({"output": outcome.output} if outcome.output is not None else {}),
                **({"reason": help_.reason} if help_ else {}),
                **({"findings": help_.findings} if help_ and help_.findings and not outcome.output else {}),
                **({"cost_to_finish_usd": cost} if (cost := help_ and help_.estimated_cost_usd) else {}),
                **({"continue": stuck[0]} if stuck else {}),
            }
        case _:
            return {"status": "failed", "problem": outcome.problem or f"It was {outcome.status}."}
