"""What follows from an agent run's outcome: the message it is, and what it writes into the shared state."""

from __future__ import annotations

from typing import Any

from harness.flow import label, node_at
from harness.flow.shared import wrong_write
from harness.messages import Message
from harness.plan import payload_of
from harness.records import Outcome, derived_id
from harness.state import RunState, SessionState


def result_of_run(run: RunState, outcome: Outcome) -> Message:
    """The outcome as it goes to who gave the task."""
    done = outcome.status == "done"
    return Message(
        id=derived_id(run.id, "result", len(run.verdicts), run.attempt),
        kind="result",
        source=run.id,
        destination=run.task.source,
        payload=payload_of(outcome) if done else outcome.model_dump(mode="json"),
        schema_name=f"{run.agent}.output" if done else "outcome",
        trace_id=run.task.trace_id,
        in_reply_to=run.task.id,
    )


def writes_of_run(state: SessionState, run: RunState, outcome: Outcome) -> tuple[dict[str, Any], str | None]:
    """What goes into the state, by the node's `write`; or why it may not."""
    given = payload_of(outcome)
    if outcome.status != "done" or not isinstance(given, dict) or state.created is None:
        return {}, None
    writer = label(node_at(state.created.flow, run.address))
    writes = {name: given[source] for name, source in run.write.items() if source in given}
    for name, value in writes.items():
        problem = wrong_write(state.created.state, writer, name, value)
        if problem is not None:
            return {}, problem
    return writes, None
