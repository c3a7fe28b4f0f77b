"""The journal's events: typed payloads in one envelope.

A session's state is a fold over these (see `harness.state`); nothing else is the truth about a session.
Payloads carry a schema version. An event written by an older version is lifted by its upcasters when it is
read, and never rewritten.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, TypeAdapter

from harness.flow import Node
from harness.messages import Message
from harness.records import Limits, Outcome, Record, Replay, Usage


class Payload(Record):
    """The base of every event's payload. `VERSION` rises with each change of shape."""

    VERSION: ClassVar[int] = 1


class SessionCreated(Payload):
    """A person asked a question. Holds all that a later process needs to go on."""

    kind: Literal["session.created"] = "session.created"
    tenant: str
    question: str
    flow_name: str
    flow: Node
    upstream: Literal["live", "offline", "direct"]
    limits: Limits
    model: str | None = None
    bundles: dict[str, str] = Field(default_factory=dict, description="bundle name -> version at the start")
    sources: int = 0
    project: str | None = None


class SessionResumed(Payload):
    """A process took the session's lease and goes on."""

    kind: Literal["session.resumed"] = "session.resumed"
    token: int
    host: str
    pid: int
    limits: Limits | None = Field(default=None, description="replaces the session's limits when given")


class SessionAsked(Payload):
    """A follow-up question to a finished session."""

    kind: Literal["session.asked"] = "session.asked"
    question: str


class SessionSuspended(Payload):
    """Work stopped cleanly at the last checkpoint; the session can be resumed."""

    kind: Literal["session.suspended"] = "session.suspended"
    reason: str


class SessionFinished(Payload):
    """The session's outcome, with the report and what the citation check found."""

    kind: Literal["session.finished"] = "session.finished"
    status: Literal["done", "needs_help", "failed", "cancelled"]
    report: str | None
    problem: str | None
    citations: dict[str, Any] | None = None


class AgentRunCreated(Payload):
    """An agent run is ready; it has not started."""

    kind: Literal["agent_run.created"] = "agent_run.created"
    agent: str
    bundle_version: str
    parent_id: str | None
    path: str
    task: Message
    members: tuple[str, ...] = ()
    limits: Limits
    continues: str | None = Field(
        default=None, description="the agent run whose Claude session this goes on in"
    )


class AgentRunStarted(Payload):
    """A CLI process for this agent run is about to start."""

    kind: Literal["agent_run.started"] = "agent_run.started"
    attempt: int
    entry: Literal["fresh", "refire", "prompt"]
    recovered: bool = Field(description="true when the previous process did not end cleanly")
    claude_session_id: str
    folder: str
    transcript_from: int = Field(default=0, description="entries that were there before this run's own work")
    tool_use_id: str | None = None


class CliStarted(Payload):
    """The operating system's name of the CLI process, so that a survivor can be ended."""

    kind: Literal["cli.started"] = "cli.started"
    attempt: int
    host: str
    boot_id: str
    pid: int
    process_started: float


class AgentRunSuspended(Payload):
    """The agent run's process has ended with this call deferred; the transcript proves it."""

    kind: Literal["agent_run.suspended"] = "agent_run.suspended"
    tool_use_id: str
    work_s: float


class AgentRunInterrupted(Payload):
    """The agent run's process was ended before its work was done; it can go on."""

    kind: Literal["agent_run.interrupted"] = "agent_run.interrupted"
    reason: str
    work_s: float


class AgentRunFinished(Payload):
    """The agent run's outcome. A finished agent run is never run again."""

    kind: Literal["agent_run.finished"] = "agent_run.finished"
    outcome: Outcome
    work_s: float


class AgentRunReopened(Payload):
    """An agent run that asked for help was given more, and goes on."""

    kind: Literal["agent_run.reopened"] = "agent_run.reopened"
    limits: Limits


class ModelRequested(Payload):
    """The checkpoint of a model call. (agent run, request hash, ordinal) names the call."""

    kind: Literal["model.requested"] = "model.requested"
    call_id: str
    request_hash: str
    ordinal: int
    auxiliary: bool
    last_turn: bool = False
    model: str


class ModelFinished(Payload):
    """A model call's completed response and what it used."""

    kind: Literal["model.finished"] = "model.finished"
    call_id: str
    auxiliary: bool
    model: str
    message_id: str | None
    stop_reason: str | None
    usage: Usage
    cost_usd: float | None
    first_token_s: float | None


class ModelFailed(Payload):
    """A model call that brought no complete response. What it used is unattributed when it may have cost."""

    kind: Literal["model.failed"] = "model.failed"
    call_id: str
    auxiliary: bool
    status: int | None
    problem: str
    usage: Usage


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
    """A tool call's end. `result_hash` names what the agent was given; `sources` are what it read by it."""

    kind: Literal["tool.finished"] = "tool.finished"
    tool_use_id: str
    tool: str
    error: str | None = None
    result_hash: str | None = None
    result_chars: int = 0
    sources: tuple[str, ...] = ()


class ToolDenied(Payload):
    """A hook refused a tool call; it did not run."""

    kind: Literal["tool.denied"] = "tool.denied"
    tool_use_id: str
    tool: str
    hook: str
    reason: str


class DelegationRequested(Payload):
    """The lead asked for these tasks. They run once the lead's suspension is committed."""

    kind: Literal["delegation.requested"] = "delegation.requested"
    tool_use_id: str
    call_id: str | None
    tasks: tuple[Message, ...]


class DelegationJoined(Payload):
    """A further delegate call of the same turn: its tasks were added to the first call's."""

    kind: Literal["delegation.joined"] = "delegation.joined"
    tool_use_id: str
    into: str
    tasks: tuple[Message, ...]


class DelegationVoided(Payload):
    """A requested delegation whose call never reached the transcript; its tasks do not run."""

    kind: Literal["delegation.voided"] = "delegation.voided"
    tool_use_id: str
    reason: str


AnyPayload = Annotated[
    SessionCreated
    | SessionResumed
    | SessionAsked
    | SessionSuspended
    | SessionFinished
    | AgentRunCreated
    | AgentRunStarted
    | CliStarted
    | AgentRunSuspended
    | AgentRunInterrupted
    | AgentRunFinished
    | AgentRunReopened
    | ModelRequested
    | ModelFinished
    | ModelFailed
    | ModelReplayed
    | ToolRequested
    | ToolFinished
    | ToolDenied
    | DelegationRequested
    | DelegationJoined
    | DelegationVoided,
    Field(discriminator="kind"),
]

_ADAPTER: TypeAdapter[AnyPayload] = TypeAdapter(AnyPayload)

UPCASTERS: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""(kind, version) -> a function that lifts such a payload to version + 1."""


def read_payload(kind: str, version: int, payload: Mapping[str, Any]) -> AnyPayload:
    """Validate a stored payload, lifting an older version step by step.

    Raises:
        ValueError: the payload does not fit its kind (pydantic's ValidationError), or its version is not one
            that this harness can lift: it was written by a newer one.
    """
    lifted = dict(payload)
    while (kind, version) in UPCASTERS:
        lifted = UPCASTERS[kind, version](lifted)
        version += 1
    read = _ADAPTER.validate_python(lifted, strict=False)
    known = type(read).VERSION
    if (read.kind, known) != (kind, version):
        raise ValueError(f"{kind} of version {version} is not version {known} of {read.kind}")
    return read


class Span(Record):
    """A place in the trace. `started_at` is given when an event closes the step it opened."""

    trace_id: str
    span_id: str | None = None
    parent_span_id: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


class Event(Record):
    """A payload with its place in the session's journal and in its trace."""

    session_id: str
    seq: int
    id: str
    agent_run_id: str | None
    span: Span
    recorded_at: datetime
    payload: AnyPayload


def trace_id(session_id: str) -> str:
    """Give the session's trace id: 16 bytes as hex, the same in any process.

    The formula is the one Langfuse documents for seeded trace ids, so that both agree.
    """
    return hashlib.sha256(session_id.encode()).hexdigest()[:32]


def span_id(session_id: str, kind: str, key: str) -> str:
    """Give a step's span id: 8 bytes as hex, the same in any process that speaks of the same step."""
    return hashlib.sha256("\x1f".join((session_id, kind, key)).encode()).hexdigest()[:16]


def now() -> datetime:
    """The time as spans carry it."""
    return datetime.now(UTC)


def pretty(value: Any) -> str:
    """A JSON value as a person reads it."""
    return json.dumps(value, ensure_ascii=False, indent=2)
