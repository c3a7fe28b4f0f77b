"""The journal's events: typed payloads in one envelope.

A session's state is a fold over these (see `harness.state`); nothing else is the truth about a session.
Payloads carry a schema version. An event written by an older version is lifted by its upcasters when it is
read, and never rewritten.
"""

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
from harness.events.decisions import GateDecided, MergedBranch, MergeDecided, RoutingDecided
from harness.events.delegations import DelegationJoined, DelegationRequested, DelegationVoided
from harness.events.envelope import Event, now, pretty
from harness.events.payload import Payload
from harness.events.payloads import UPCASTERS, AnyPayload, plain, read_payload
from harness.events.replays import Difference, ReplayStopped
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

__all__ = [
    "UPCASTERS",
    "AgentRunAnswered",
    "AgentRunCreated",
    "AgentRunFinished",
    "AgentRunInterrupted",
    "AgentRunReopened",
    "AgentRunStarted",
    "AgentRunSuspended",
    "AnyPayload",
    "CliStarted",
    "DelegationJoined",
    "DelegationRequested",
    "DelegationVoided",
    "Difference",
    "Event",
    "GateDecided",
    "HelpAsked",
    "MergeDecided",
    "MergedBranch",
    "ModelFailed",
    "ModelFinished",
    "ModelReplayed",
    "ModelRequested",
    "ModelRetried",
    "Payload",
    "ReplayStopped",
    "RoutingDecided",
    "SessionAsked",
    "SessionCreated",
    "SessionFinished",
    "SessionForked",
    "SessionResumed",
    "SessionSuspended",
    "ToolDenied",
    "ToolFinished",
    "ToolRequested",
    "now",
    "plain",
    "pretty",
    "read_payload",
]
