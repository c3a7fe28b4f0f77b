"""The task of a node: from what the pattern around it was given, what came before it, and the state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.flow import AnyNode, label
from harness.messages import Message
from harness.plan.step import Place
from harness.records import derived_id
from harness.state import SessionState


def task_for(
    state: SessionState,
    node: AnyNode,
    place: Place,
    around: Message,
    previous: Any,
    stages: Mapping[str, Any] | None = None,
    sender: str = "",
) -> Message:
    """Write it, or give it as it was written.

    `stages` are a pipeline's outputs so far, by their names; `sender` is the agent run that comes before.
    """
    run = state.runs.get(place.key)
    if run is not None:
        return run.task
    if not node.take and previous is around.payload:
        if around.destination == label(node):
            return around
        own = {"id": derived_id(place.key, "task"), "destination": label(node), "in_reply_to": around.id}
        return around.model_copy(update=own)
    payload = previous
    if node.take:
        known = {
            **(stages or {}),
            "question": {"question": state.questions[-1]},
            "input": around.payload,
            "previous": previous,
            "state": state.board(before=place.since + 1),
        }
        taken = {name: _found(known, reference) for name, reference in node.take.items()}
        payload = {name: value for name, value in taken.items() if value is not None}
    return Message(
        id=derived_id(place.key, "task"),
        kind="task",
        source=sender or around.source,
        destination=label(node),
        payload=payload,
        schema_name=f"{label(node)}.input",
        trace_id=around.trace_id,
        in_reply_to=around.id,
    )


def _found(known: Mapping[str, Any], reference: str) -> Any:
    """Follow a reference like "previous.summary"; None where there is nothing."""
    value: Any = known
    for part in reference.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if reference == "question" and isinstance(value, Mapping):
        return value["question"]
    return value
