"""What happens to an agent run and its processes."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from harness.events.payload import Payload
from harness.flow import Gate
from harness.messages import Message
from harness.records import Limits, NeedsHelp, Outcome


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
    address: str = Field(default="", description="where its node stands in the flow")
    role: Literal["agent", "router", "verifier"] = "agent"
    essential: bool = Field(default=False, description="without it the session cannot succeed")
    gate: Gate | None = None
    write: dict[str, str] = Field(default_factory=dict, description="state field -> field of its output")


class AgentRunStarted(Payload):
    """A CLI process for this agent run is about to start."""

    kind: Literal["agent_run.started"] = "agent_run.started"
    attempt: int
    entry: Literal["fresh", "refire", "prompt", "route"]
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

    PROGRESS: ClassVar[bool] = True

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

    PROGRESS: ClassVar[bool] = True

    kind: Literal["agent_run.finished"] = "agent_run.finished"
    outcome: Outcome
    work_s: float
    result: Message | None = Field(default=None, description="the outcome as it goes to who gave the task")
    writes: dict[str, Any] = Field(default_factory=dict, description="state field -> value written")


class AgentRunReopened(Payload):
    """An agent run that asked for help was given more, and goes on; `answer` is what it is told."""

    kind: Literal["agent_run.reopened"] = "agent_run.reopened"
    limits: Limits
    answer: str | None = None
    by: str | None = Field(default=None, description="the message that granted it, if an agent did")


class AgentRunAnswered(Payload):
    """The agent run's answer fits its schema and its checks, and waits for its verifier's verdict."""

    PROGRESS: ClassVar[bool] = True

    kind: Literal["agent_run.answered"] = "agent_run.answered"
    output: Any
    work_s: float


class HelpAsked(Payload):
    """An agent says by its own choice that it cannot finish with what it has."""

    kind: Literal["help.asked"] = "help.asked"
    tool_use_id: str
    help: NeedsHelp
