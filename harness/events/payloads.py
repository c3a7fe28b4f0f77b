"""Every kind of payload, and how a stored one is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from harness.events.calls import (
    ModelFailed,
    ModelFinished,
    ModelReplayed,
    ModelRequested,
    ModelRetried,
    ToolDenied,
    ToolFinished,
    ToolRequested,
)
from harness.events.decisions import GateDecided, MergeDecided, RoutingDecided
from harness.events.delegations import DelegationJoined, DelegationRequested, DelegationVoided
from harness.events.payload import Payload
from harness.events.replays import ReplayStopped
from harness.events.runs import (
    AgentRunAnswered,
    AgentRunCreated,
    AgentRunFinished,
    AgentRunInterrupted,
    AgentRunReopened,
    AgentRunStarted,
    AgentRunSuspended,
    CliStarted,
    HelpAsked,
)
from harness.events.session import (
    SessionAsked,
    SessionCreated,
    SessionFinished,
    SessionForked,
    SessionResumed,
    SessionSuspended,
)

AnyPayload = Annotated[
    SessionCreated
    | SessionForked
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
    | ModelRetried
    | ModelFinished
    | ModelFailed
    | ModelReplayed
    | ToolRequested
    | ToolFinished
    | ToolDenied
    | HelpAsked
    | AgentRunAnswered
    | GateDecided
    | RoutingDecided
    | MergeDecided
    | DelegationRequested
    | DelegationJoined
    | DelegationVoided
    | ReplayStopped,
    Field(discriminator="kind"),
]


def plain(payload: Payload) -> dict[str, Any]:
    """A payload as plain JSON; what JSON does not know becomes a text."""
    text = json.dumps(payload.model_dump(mode="python", fallback=str), default=str)
    found: dict[str, Any] = json.loads(text)
    return found


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
