"""Delegation as one typed tool: its schema, the tasks of a call, and the results handed back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.bundles.bundle import Bundle
from harness.bundles.validate import validate_input
from harness.hooks import BeforeTool, Run
from harness.messages import Message
from harness.plan import tasks_of
from harness.records import Outcome, derived_id
from harness.state import Delegation, RunState, SessionState

DELEGATE = "mcp__harness__delegate"
MAX_TASKS = 20

DESCRIPTION = (
    "Delegate typed tasks to subagents, which work side by side, each in a context of its own. They see only "
    "the input you give them, so each task must stand alone. Make one call with all the tasks that can run "
    "at the same time. You get one result per task, in order."
)


def input_schema(members: Mapping[str, Bundle]) -> dict[str, Any]:
    """The JSON Schema of the tool's input, made from the bundles on offer."""
    definitions: dict[str, Any] = {}
    variants = []
    for name, bundle in members.items():
        schema = bundle.input.model_json_schema()
        moved = _moved(schema, f"#/$defs/{name}")
        if moved != schema:
            # Two bundles may each define a Citation of their own, so each schema keeps a root of its own.
            definitions[name], schema = moved, {"$ref": f"#/$defs/{name}"}
        variants.append(
            {
                "type": "object",
                "description": bundle.one_pager,
                "properties": {"to": {"const": name}, "input": schema},
                "required": ["to", "input"],
                "additionalProperties": False,
            }
        )
    items = variants[0] if len(variants) == 1 else {"anyOf": variants}
    schema = {
        "type": "object",
        "properties": {"tasks": {"type": "array", "minItems": 1, "maxItems": MAX_TASKS, "items": items}},
        "required": ["tasks"],
        "additionalProperties": False,
    }
    return schema | ({"$defs": definitions} if definitions else {})


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
    given = value.get("tasks")
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_TASKS:
        return f"tasks: give a list of 1 to {MAX_TASKS} tasks, each with 'to' and 'input'."
    allowed = run.settings.limits.max_delegations
    made = sum(len(d.tasks) for r in run.state.runs.values() for d in r.delegations.values() if not d.voided)
    if made + len(given) > allowed:
        return (
            f"No task was started: a session may delegate {allowed} tasks in all, and {made} have been; "
            "go on with the results you have."
        )
    problems = []
    for number, task in enumerate(given):
        problem = _task_problem(task, run)
        if problem is not None:
            problems.append(f"tasks[{number}]{problem}")
    return "No task was started. " + " ".join(problems) if problems else None


def _task_problem(task: Any, run: Run) -> str | None:
    if not isinstance(task, dict) or set(task) != {"to", "input"}:
        return ": give exactly 'to' and 'input'."
    members = run.run.members
    if task["to"] not in members:
        return f".to: there is no subagent '{task['to']}' on offer; choose from {', '.join(members)}."
    _, problem = validate_input(run.bundles[task["to"]], task["input"])
    return f".input: {problem}" if problem else None


def tasks(call: BeforeTool, run: Run) -> tuple[Message, ...]:
    """The call's tasks as messages; their inputs have been found valid."""
    return tuple(
        Message(
            id=derived_id("task", run.state.id, call.tool_use_id, number),
            kind="task",
            source=run.run.id,
            destination=task["to"],
            payload=task["input"],
            schema_name=f"{task['to']}.input",
            trace_id=run.state.trace_id,
        )
        for number, task in enumerate(call.input["tasks"], start=1)
    )


def results_ready(state: SessionState, run: RunState, delegation: Delegation) -> bool:
    """Whether every task has ended."""
    return all(task and task.final for _, task in tasks_of(state, run, delegation))


def results(state: SessionState, run: RunState, delegation: Delegation) -> list[dict[str, Any]]:
    """One result per task, in order, as the lead gets them."""
    found = []
    for number, (spec, task) in enumerate(tasks_of(state, run, delegation), start=1):
        outcome = task.outcome if task and task.outcome else Outcome(status="failed", problem="It never ran.")
        found.append({"task": number, "to": spec.agent, **_answer(outcome)})
    return found


def _answer(outcome: Outcome) -> dict[str, Any]:
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
            }
        case _:
            return {"status": "failed", "problem": outcome.problem or f"It was {outcome.status}."}
