"""What happens to a model call and to a tool call."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from harness.events.payload import Payload
from harness.records import Replay, Usage


class ModelRequested(Payload):
    """The checkpoint of a model call. (agent run, request hash, ordinal) names the call."""

    kind: Literal["model.requested"] = "model.requested"
    call_id: str
    request_hash: str
    ordinal: int
    auxiliary: bool
    last_turn: bool = False
    model: str


class ModelRetried(Payload):
    """An attempt of a model call failed and another follows; `lost` says that it may have cost.

    `model` is the one that is asked from here on, where it is another one.
    """

    kind: Literal["model.retried"] = "model.retried"
    call_id: str
    auxiliary: bool
    status: int | None
    problem: str
    lost: bool
    pause_s: float
    model: str | None = None


class ModelFinished(Payload):
    """A model call's completed response and what it used.

    `blank` says that it has neither a text nor a call, `replaced` that its model has declined to answer and
    another one is asked in its place: then it is no step.
    """

    kind: Literal["model.finished"] = "model.finished"
    call_id: str
    auxiliary: bool
    model: str
    message_id: str | None
    stop_reason: str | None
    usage: Usage
    cost_usd: float | None
    first_token_s: float | None
    blank: bool = False
    replaced: bool = False


class ModelFailed(Payload):
    """A model call that brought no complete response. What it used is unattributed when it may have cost."""

    kind: Literal["model.failed"] = "model.failed"
    call_id: str
    auxiliary: bool
    status: int | None
    problem: str
    usage: Usage
    message_id: str | None = None


class ModelReplayed(Payload):
    """A model call that was answered from the kept response of an earlier one: nothing was sent or paid."""

    kind: Literal["model.replayed"] = "model.replayed"
    call_id: str
    auxiliary: bool


class ToolRequested(Payload):
    """The checkpoint of a tool call, committed before the tool may run."""

    kind: Literal["tool.requested"] = "tool.requested"
    tool_use_id: str
    tool: str
    input: dict[str, Any]
    call_id: str | None
    replay: Replay


class ToolFinished(Payload):
    """A tool call's end. `result_hash` names what the agent was given; `sources` are what it read by it.

    `cached` says that the tool did not run: the answer to an earlier call of the same input was given.
    """

    PROGRESS: ClassVar[bool] = True

    kind: Literal["tool.finished"] = "tool.finished"
    tool_use_id: str
    tool: str
    error: str | None = None
    result_hash: str | None = None
    result_chars: int = 0
    sources: tuple[str, ...] = ()
    cached: bool = False


class ToolDenied(Payload):
    """A hook refused a tool call; it did not run."""

    kind: Literal["tool.denied"] = "tool.denied"
    tool_use_id: str
    tool: str
    hook: str
    reason: str
