"""An agent run as hooks see one, on a journal in memory, and the dicts with which the SDK calls hooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from claude_agent_sdk import HookContext, HookInput
from pydantic import BaseModel, Field

from harness import events as ev
from harness.bundles.bundle import Bundle
from harness.hook_chain import HookChain
from harness.hooks import BeforeTool
from harness.offers import Offer, offers
from harness.plan import plan
from harness.records import Limits, Record, Replay
from harness.settings import Settings
from harness.state import RunState, SessionState
from harness.store.journal import NOTHING
from harness.tracing.describe import Shown
from tests.kit.journals import RESEARCH, Book, created, requested, run_created, started


class Quote(Record):
    """Where something is said."""

    source: str


class Research(Record):
    """What the researcher takes."""

    objective: str = Field(min_length=3)
    quotes: list[Quote] = Field(default_factory=list)


class Claim(Record):
    """Something to check."""

    statement: str


class Check(Record):
    """What the checker takes."""

    claims: list[Claim] = Field(min_length=1)


def bundle(name: str, input: type[BaseModel] = Research, **given: Any) -> Bundle:
    """A bundle of this name."""
    fields: dict[str, Any] = {"description": f"The {name}.", "prompt": "Work.", "tools": ["corpus"]}
    return Bundle.define(name=name, input=input, **(fields | given))


BUNDLES = {"lead": bundle("lead"), "researcher": bundle("researcher"), "checker": bundle("checker", Check)}


@dataclass
class FakeRun:
    """A `harness.hooks.Run`: the lead of a session, at work in its first turn."""

    book: Book
    run_id: str
    bundles: Mapping[str, Bundle] = field(default_factory=lambda: BUNDLES)
    settings: Settings = field(default_factory=Settings)
    project: Path | None = None
    lease_held: bool = True
    cancelled: bool = False
    broken: Exception | None = None
    cached: frozenset[str] = frozenset()

    @property
    def state(self) -> SessionState:
        """The session."""
        return self.book.state

    @property
    def run(self) -> RunState:
        """The lead's run."""
        return self.state.runs[self.run_id]

    @property
    def bundle(self) -> Bundle:
        """The lead's bundle."""
        return self.bundles[self.run.agent]

    @property
    def members(self) -> Mapping[str, Offer]:
        """Whom the lead can give tasks to."""
        return offers(RESEARCH, self.bundles)

    @property
    def kinds(self) -> list[str]:
        """The kinds of what was recorded since the lead began."""
        return [event.payload.kind for event in self.book.events[4:]]

    def was_cached(self, tool_use_id: str) -> bool:
        """Whether a tool call was answered from the cache."""
        return tool_use_id in self.cached

    async def record(self, payload: ev.AnyPayload, *, shown: Shown = NOTHING) -> ev.Event:
        """Append to the journal in memory, or fail as it was told to."""
        if self.broken is not None:
            raise self.broken
        return self.book.add(payload, self.run_id)


def at_work(limits: Limits | None = None, budget: float | None = None, **given: Any) -> FakeRun:
    """A lead in the turn of the model call "call-1"."""
    book = Book()
    book.add(created(limits=Limits(max_cost_usd=budget)))
    (spec,) = plan(RESEARCH, book.state).create
    book.add(run_created(spec, limits), spec.id)
    book.add(started(book.state.runs[spec.id]), spec.id)
    book.add(requested("call-1"), spec.id)
    return FakeRun(book, spec.id, **given)


def before(
    tool: str, input: Mapping[str, Any] | None = None, id: str = "toolu_1", replay: Replay = "read_only"
) -> BeforeTool:
    """A tool call that is about to run."""
    return BeforeTool(tool_use_id=id, tool=tool, input=input or {}, replay=replay)


async def fire(
    chain: HookChain, tool: str = "Bash", event: str = "PreToolUse", **more: Any
) -> dict[str, Any]:
    """Call the chain as the SDK does and give its answer."""
    given = {
        "hook_event_name": event,
        "tool_name": tool,
        "tool_input": {"command": "true"},
        "tool_use_id": "toolu_1",
        **more,
    }
    (matcher,) = chain.matchers()[cast(Any, event)]
    (callback,) = matcher.hooks
    context = cast(HookContext, {"signal": None})
    return cast("dict[str, Any]", await callback(cast(HookInput, given), "toolu_1", context))


def decision(answer: Mapping[str, Any]) -> str | None:
    """What an answer to PreToolUse decides; None leaves it to the permissions."""
    specific = answer.get("hookSpecificOutput")
    if specific is None:
        return None
    assert specific["hookEventName"] == "PreToolUse"
    return str(specific["permissionDecision"])


def reason(answer: Mapping[str, Any]) -> str:
    """The reason an answer gives."""
    return str(answer["hookSpecificOutput"]["permissionDecisionReason"])
