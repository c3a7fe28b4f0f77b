"""What a hook is: one concept in one file of a `hooks/` folder, exporting one `HOOK`.

Hooks run in the order of their `order`, lowest first. A hook that guards (`on_failure="deny"`) stops the tool
when it raises, hangs or is cancelled; one that only watches (`on_failure="ignore"`) never stops a run.
`before_tool` may return a decision, which ends the chain: `Deny`, `Defer`, or `Allow` to let the tool run
without asking the hooks after it. `before_turn` is called behind each prompt, and when all tools of a
turn have ended. A text that it returns is a message of its own to the agent, and stays in its conversation.

    from harness.hooks import BeforeTool, Deny, Hook, Run

    async def no_shell(call: BeforeTool, run: Run) -> Deny | None:
        return Deny("No shell here; use the corpus tools.") if call.tool == "Bash" else None

    HOOK = Hook(name="no_shell", order=15, on_failure="deny", before_tool=no_shell)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from harness.bundles.bundle import Bundle
from harness.events import AnyPayload, Event
from harness.offers import Offer
from harness.records import Replay
from harness.settings import Settings
from harness.state import RunState, SessionState
from harness.tracing.describe import Shown as Shown


@dataclass(frozen=True)
class BeforeTool:
    """A tool call that is about to run."""

    tool_use_id: str
    tool: str
    input: Mapping[str, Any]
    replay: Replay


@dataclass(frozen=True)
class AfterTool:
    """A tool call that has ended: `error` is the failure's text, `result` what the tool has given.

    `cached` says that the tool did not run, because the same call had been answered before.
    """

    tool_use_id: str
    tool: str
    input: Mapping[str, Any]
    result: Any
    error: str | None
    duration_ms: int | None
    cached: bool = False


@dataclass(frozen=True)
class Allow:
    """Let the tool run."""


@dataclass(frozen=True)
class Deny:
    """Do not run the tool; the agent is told why."""

    reason: str


@dataclass(frozen=True)
class Defer:
    """End this process cleanly; the same call is asked for again when the run is resumed."""


Decision = Allow | Deny | Defer


class Run(Protocol):
    """What a hook sees of the agent run it is called in."""

    @property
    def state(self) -> SessionState:
        """The session, folded from its journal."""
        ...

    @property
    def run(self) -> RunState:
        """This agent run."""
        ...

    @property
    def bundle(self) -> Bundle:
        """The bundle this agent run works by."""
        ...

    @property
    def bundles(self) -> Mapping[str, Bundle]:
        """Every bundle on offer, by name."""
        ...

    @property
    def members(self) -> Mapping[str, Offer]:
        """Whom this agent can give tasks to, by name."""
        ...

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        ...

    @property
    def project(self) -> Path | None:
        """The project folder, whose prompts and bundles come first."""
        ...

    @property
    def lease_held(self) -> bool:
        """Whether this process may still advance the session."""
        ...

    @property
    def cancelled(self) -> bool:
        """Whether a person has asked for the session to be cancelled."""
        ...

    def was_cached(self, tool_use_id: str) -> bool:
        """Whether a tool call was answered without running the tool."""
        ...

    async def record(self, payload: AnyPayload, *, shown: Shown = ...) -> Event:
        """Commit an event to the journal under this agent run; its span keeps what is `shown`."""
        ...


@dataclass(frozen=True)
class Hook:
    """One hook. Its functions may be given for any of the events."""

    name: str
    order: int
    on_failure: Literal["deny", "ignore"]
    before_tool: Callable[[BeforeTool, Run], Awaitable[Decision | None]] | None = None
    after_tool: Callable[[AfterTool, Run], Awaitable[None]] | None = None
    before_turn: Callable[[Run], Awaitable[str | None]] | None = None
