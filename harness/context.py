"""What the agent runs of one session share in this process, and what a hook sees of one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.bundles.bundle import Bundle
from harness.errors import HarnessError
from harness.events import AnyPayload, Event
from harness.flow import AnyNode, label, node_at
from harness.gateway.app import Gateway
from harness.hook_chain import off_the_clock
from harness.hooks import Hook
from harness.offers import Offer, offers
from harness.redaction import Redactor
from harness.settings import Settings
from harness.state import RunState, SessionState
from harness.stopping import OnTrouble, Stopping, for_a_person
from harness.store.database import Database
from harness.store.journal import NOTHING, Journal
from harness.store.lease import Lease
from harness.store.transcripts import Entry, read_transcript
from harness.tool_cache import ToolCache
from harness.tracing.describe import Shown

UpstreamKind = Literal["live", "offline", "direct"]


class MustSuspend(HarnessError):
    """The session cannot go on now, and can be resumed later: in `again_s` seconds, if that is known."""

    def __init__(self, problem: str, again_s: float | None = None) -> None:
        super().__init__(problem)
        self.again_s = again_s


@dataclass
class SessionContext:
    """One session at work in this process. `gateway` is None when models are called directly."""

    journal: Journal
    database: Database
    lease: Lease
    settings: Settings
    bundles: Mapping[str, Bundle]
    hooks: tuple[Hook, ...]
    flow: AnyNode
    project: Path | None
    gateway: Gateway | None
    model: str | None
    max_concurrent: int
    stopping: Stopping = field(default_factory=Stopping)
    on_trouble: OnTrouble = for_a_person
    tool_cache: ToolCache = field(default_factory=ToolCache)
    sources_listed: Callable[[], str] = field(default=lambda: "")
    refused_forms: set[tuple[str, str]] = field(default_factory=set)
    """Models, and the ways of asking for a decision that their endpoint has refused."""

    @property
    def state(self) -> SessionState:
        """The session, folded from its journal."""
        return self.journal.state

    @property
    def redactor(self) -> Redactor:
        """What goes through all that is stored."""
        return self.journal.redactor


@dataclass(frozen=True)
class RunView:
    """The `harness.hooks.Run` of one agent run."""

    session: SessionContext
    run_id: str

    @property
    def state(self) -> SessionState:
        """The session, folded from its journal."""
        return self.session.state

    @property
    def run(self) -> RunState:
        """This agent run."""
        return self.session.state.runs[self.run_id]

    @property
    def bundle(self) -> Bundle:
        """The bundle this agent run works by."""
        return self.session.bundles[self.run.agent]

    @property
    def bundles(self) -> Mapping[str, Bundle]:
        """Every bundle on offer, by name."""
        return self.session.bundles

    @property
    def label(self) -> str:
        """The name of its node in the flow."""
        return label(self.node)

    @property
    def node(self) -> AnyNode:
        """Its node in the flow."""
        return node_at(self.session.flow, self.run.address)

    @property
    def members(self) -> Mapping[str, Offer]:
        """Whom it can give tasks to, by name."""
        return offers(self.node, self.bundles)

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.session.settings

    @property
    def project(self) -> Path | None:
        """The project folder."""
        return self.session.project

    @property
    def lease_held(self) -> bool:
        """Whether this process may still advance the session."""
        return self.session.lease.held

    @property
    def cancelled(self) -> bool:
        """Whether a person has asked for the session to be cancelled."""
        return self.session.lease.cancel_requested.is_set()

    async def transcript(self) -> list[Entry]:
        """What is stored of its conversation."""
        known = self.run.claude_session_id
        return await read_transcript(self.session.database, self.state.id, known) if known else []

    def was_cached(self, tool_use_id: str) -> bool:
        """Whether a tool call was answered without running the tool."""
        return tool_use_id in self.session.tool_cache.hits

    async def record(self, payload: AnyPayload, *, shown: Shown = NOTHING) -> Event:
        """Commit an event to the journal under this agent run; a hook's deadline waits meanwhile."""
        with off_the_clock():
            return await self.session.journal.append(payload, run_id=self.run_id, shown=shown)
