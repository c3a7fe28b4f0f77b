"""Changes to the event at which a session is forked: checked as if agents had written it so themselves.

edited(event, {"outcome.output.summary": "None."}, before, bundles)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from harness import events as ev
from harness.bundles.bundle import Bundle
from harness.bundles.validate import Taker, validate_input, validate_output
from harness.ending import result_of_run, writes_of_run
from harness.errors import BadInput
from harness.flow import node_at
from harness.messages import Message
from harness.offers import offers
from harness.pricing import PRICES, Price, check_priced
from harness.state import RunState, SessionState
from harness.wording import problems, sentence

EDITABLE: Mapping[str, tuple[str, ...]] = {
    "session.created": ("question", "model", "limits"),
    "session.asked": ("question",),
    "agent_run.created": ("task.payload", "limits"),
    "agent_run.answered": ("output",),
    "agent_run.finished": ("outcome",),
    "agent_run.reopened": ("limits", "answer"),
    "gate.decided": ("verdict", "problem"),
    "routing.decided": ("to", "task.payload", "reason"),
    "delegation.requested": ("tasks.*.payload", "tasks.*.destination"),
}
"""By the kind of event: what may be changed, with all below it. The rest follows from it, or names things."""


class Typed(str):
    """A value as a person typed it: JSON, or plain text; always text where there is a text."""

    __slots__ = ()


def edited(
    event: ev.Event,
    edits: Mapping[str, Any],
    before: SessionState,
    bundles: Mapping[str, Bundle],
    prices: Mapping[str, Price] = PRICES,
) -> tuple[ev.AnyPayload, dict[str, Any]]:
    """Give the event's payload with the edits in it, and the values that were put in.

    `edits` are JSON values, or `Typed`, by dotted path; `before` is the session as it was before the event.

    Raises:
        BadInput: the event cannot be edited there, or cannot be as the edits have it.
    """
    payload = event.payload
    if payload.kind not in EDITABLE:
        raise BadInput(
            f"Event {event.seq} is of the kind {payload.kind}, which cannot be edited; "
            f"these kinds can: {', '.join(EDITABLE)}."
        )
    document = ev.plain(payload)
    values: dict[str, Any] = {}
    for path, value in edits.items():
        if not any(_covers(allowed, path) for allowed in EDITABLE[payload.kind]):
            allowed = ", ".join(EDITABLE[payload.kind])
            raise BadInput(
                f"'{path}' of {payload.kind} cannot be edited; these and all below can: {allowed}."
            )
        values[path] = _put(document, path, value)
    try:
        read = ev.read_payload(payload.kind, type(payload).VERSION, document)
    except ValidationError as problem:
        found = [
            (path.removeprefix(f"{payload.kind}."), what) for path, what in problems(problem, type(payload))
        ]
        raise BadInput(
            f"The edited {payload.kind} cannot be used: {sentence(found).rstrip('.')}."
        ) from problem
    return _Check(event, before, bundles, prices).follow(read), values


def _covers(allowed: str, path: str) -> bool:
    names, given = allowed.split("."), path.split(".")
    return len(given) >= len(names) and all(
        name in ("*", part) for name, part in zip(names, given, strict=False)
    )


def _put(document: dict[str, Any], path: str, value: Any) -> Any:
    """Set the value at a path in place, and give it as it was read."""
    *way, last = path.split(".")
    place: Any = document
    for part in way:
        place = _at(place, part, path)
    before = None if isinstance(place, dict) and last not in place else _at(place, last, path)
    read = _read(value, before) if isinstance(value, Typed) else value
    if isinstance(place, list):
        place[int(last)] = read
    else:
        place[last] = read
    return read


def _at(place: Any, part: str, path: str) -> Any:
    if isinstance(place, dict) and part in place:
        return place[part]
    if isinstance(place, list) and part.isdecimal() and int(part) < len(place):
        return place[int(part)]
    raise BadInput(
        f"There is no '{part}' on the way to '{path}'; give the whole of what is above it as JSON."
    )


def _read(typed: Typed, before: Any) -> Any:
    try:
        value = json.loads(typed)
    except ValueError:
        return str(typed)
    return str(typed) if isinstance(before, str) and not isinstance(value, str | None) else value


class _Check:
    """Holds an edited payload against bundles and flow, and lets what depends on it follow."""

    def __init__(
        self,
        event: ev.Event,
        before: SessionState,
        bundles: Mapping[str, Bundle],
        prices: Mapping[str, Price],
    ) -> None:
        self._event = event
        self._before = before
        self._bundles = bundles
        self._prices = prices

    def follow(self, payload: ev.AnyPayload) -> ev.AnyPayload:
        match payload:
            case ev.SessionCreated():
                self._question(payload.question)
                self._priced(payload)
            case ev.SessionAsked(question=question):
                self._question(question)
            case ev.AgentRunCreated(role="agent" | "verifier", agent=agent, task=task):
                self._input(self._bundle(agent), task.payload)
            case ev.AgentRunAnswered(output=output):
                return payload.model_copy(update={"output": self._output(self._run, output)})
            case ev.AgentRunFinished():
                return self._finished(payload)
            case ev.RoutingDecided():
                original = self._event.payload
                assert isinstance(original, ev.RoutingDecided), "edits keep the kind"
                task = self._task(payload.task, payload.to, original.to)
                return payload.model_copy(update={"task": task})
            case ev.DelegationRequested():
                original = self._event.payload
                assert isinstance(original, ev.DelegationRequested), "edits keep the kind"
                pairs = zip(payload.tasks, original.tasks, strict=True)
                checked = tuple(self._task(task, task.destination, was.destination) for task, was in pairs)
                return payload.model_copy(update={"tasks": checked})
            case _:
                pass
        return payload

    @property
    def _run(self) -> RunState:
        return self._before.runs[self._event.agent_run_id or ""]

    def _bundle(self, name: str) -> Bundle:
        if name not in self._bundles:
            raise BadInput(f"The bundle {name} is not here; fork from the project folder that has it.")
        return self._bundles[name]

    def _question(self, question: str) -> None:
        if not question.strip():
            raise BadInput("The question is empty; say what you want to know.")

    def _priced(self, created: ev.SessionCreated) -> None:
        model, budget = created.model, created.limits.max_cost_usd
        if model is None or budget is None or created.upstream == "offline":
            return
        check_priced([model], self._prices)

    def _input(self, taker: Taker, payload: Any) -> None:
        _, problem = validate_input(taker, payload)
        if problem is not None:
            raise BadInput(f"{problem.rstrip('.')}.")

    def _output(self, run: RunState, output: Any) -> Any:
        if run.role == "router":
            return output
        value, problem = validate_output(self._bundle(run.agent), output)
        if problem is not None:
            raise BadInput(f"{problem.rstrip('.')}.")
        return value if isinstance(value, str | None) else value.model_dump(mode="json")

    def _finished(self, payload: ev.AgentRunFinished) -> ev.AgentRunFinished:
        run, outcome = self._run, payload.outcome
        if outcome.status == "done":
            outcome = outcome.model_copy(update={"output": self._output(run, outcome.output)})
        writes, problem = writes_of_run(self._before, run, outcome)
        if problem is not None:
            raise BadInput(problem)
        follows = {"outcome": outcome, "result": result_of_run(run, outcome), "writes": writes}
        return payload.model_copy(update=follows)

    def _task(self, task: Message, to: str, was_to: str) -> Message:
        """A task for the member `to`; one that was granted more goes on where it was, with another answer."""
        if task.kind == "grant":
            answer = task.payload.get("answer") if isinstance(task.payload, dict) else None
            if to != was_to or not str(answer or "").strip():
                raise BadInput("A task that was granted more keeps its agent; edit only its payload.answer.")
            return task
        created = self._before.created
        assert created is not None, "a session begins with its creation"
        members = offers(node_at(created.flow, self._run.address), self._bundles)
        if to not in members:
            raise BadInput(
                f"There is no member '{to}' to give the task to; choose from {', '.join(members)}."
            )
        self._input(members[to], task.payload)
        return task.model_copy(update={"destination": to, "schema_name": f"{to}.input"})
