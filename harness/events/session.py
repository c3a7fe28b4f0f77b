"""What happens to a session."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from harness.events.payload import Payload
from harness.flow import Node, StateField
from harness.records import Limits


class SessionCreated(Payload):
    """A person asked a question. Holds all that a later process needs to go on."""

    kind: Literal["session.created"] = "session.created"
    tenant: str
    question: str
    flow_name: str
    flow: Node
    upstream: Literal["live", "offline", "direct", "replay"]
    limits: Limits
    model: str | None = None
    bundles: dict[str, str] = Field(default_factory=dict, description="bundle name -> version at the start")
    sources: int = 0
    project: str | None = None
    state: dict[str, StateField] = Field(
        default_factory=dict, description="the fields that the flow's agents share"
    )
    record: bool = Field(default=False, description="whether the wire of its model calls is kept")
    max_concurrent: int | None = Field(default=None, description="agent runs that may work at the same time")
    waits_for: Literal["worker"] | None = Field(default=None, description="who begins, unless it was begun")
    replays: str | None = Field(default=None, description="the session whose recording it is played from")
    run_tools: bool = Field(default=False, description="whether a replay runs unsafe tools, too")
    tags: tuple[str, ...] = Field(
        default=(), description="what its traces are found by, beside flow and upstream"
    )


class SessionResumed(Payload):
    """A process took the session's lease and goes on."""

    kind: Literal["session.resumed"] = "session.resumed"
    token: int
    host: str
    pid: int
    limits: Limits | None = Field(default=None, description="replaces the session's limits when given")
    record: bool = Field(default=False, description="whether model calls are recorded from here on")


class SessionForked(Payload):
    """All before this is a copy of another session up to its event `at`; what follows is this one's own."""

    kind: Literal["session.forked"] = "session.forked"
    origin: str = Field(description="the session it was copied from")
    root: str = Field(description="the session that the copied agent runs' ids are derived from")
    at: int
    edits: dict[str, Any] = Field(default_factory=dict, description="path in that event -> its new value")
    conversations: dict[str, str] = Field(
        default_factory=dict, description="Claude session of the origin -> its copy"
    )
    answered: tuple[str, ...] = Field(
        default=(), description="model calls on the wire there whose answers are in the copied transcripts"
    )


class SessionAsked(Payload):
    """A follow-up question to a finished session."""

    kind: Literal["session.asked"] = "session.asked"
    question: str


class SessionSuspended(Payload):
    """Work stopped cleanly at the last checkpoint; the session can be resumed, or is left to the workers."""

    kind: Literal["session.suspended"] = "session.suspended"
    reason: str
    waits_for: Literal["person", "worker"] = "person"


class SessionFinished(Payload):
    """The session's outcome, with the report and what the citation check found."""

    kind: Literal["session.finished"] = "session.finished"
    status: Literal["done", "needs_help", "failed", "cancelled"]
    report: str | None
    problem: str | None
    citations: dict[str, Any] | None = None
