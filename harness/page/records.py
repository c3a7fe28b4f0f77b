"""What the page is told: frozen records that become JSON as they are.

Times are milliseconds since the session was created.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from harness.records import AgentRunStatus, Record, SessionStatus, Usage
from harness.tracing.span import SpanKind, SpanStatus


class Facts(Record):
    """The session. `resume` and `fork` are the commands that take it up, without `--at`."""

    session_id: str
    status: SessionStatus
    flow: str
    upstream: str
    sources: int
    questions: tuple[str, ...]
    problem: str | None
    created_at: datetime
    made_at: datetime
    duration_ms: int
    usage: Usage
    cost_usd: float | None
    kills: int
    resume: str
    fork: str


class AgentRow(Record):
    """An agent run in the tree; `work_ms` leaves out waiting for its own subagents."""

    id: str
    parent_id: str | None
    depth: int
    label: str
    about: str
    status: AgentRunStatus
    steps: int
    attempts: int
    fixes: int
    usage: Usage
    cost_usd: float | None
    work_ms: int
    problem: str | None


class Share(Record):
    """What one agent or one model used of the whole; `count` is of agent runs, or of model calls."""

    name: str
    count: int
    usage: Usage
    cost_usd: float | None


class CitationRow(Record):
    """A line under Sources, and what the check said of it; `reason` where it does not hold."""

    number: int
    source: str
    title: str
    locator: str
    quote: str | None
    verdict: Literal["holds", "fails", "unchecked"]
    reason: str | None


class SpanRow(Record):
    """A span without its attributes, which are looked up when it is opened."""

    id: str
    parent: str | None
    run: str | None
    agent: str
    kind: SpanKind
    name: str
    seq: int
    start: int
    end: int | None
    status: SpanStatus
    tokens: int | None
    cost: float | None
    marks: tuple[Literal["cached", "replayed", "retried"], ...]


class MessageRow(Record):
    """A message between agents, or from the person."""

    seq: int
    at: int
    kind: str
    source: str
    destination: str
    payload: Any


class CheckpointRow(Record):
    """An event that was committed before a call; `span` is the step that it opened, if that was kept."""

    seq: int
    at: int
    agent: str
    kind: Literal["model", "tool", "delegation"]
    what: str
    span: str | None


class PageData(Record):
    """All that the page shows. `contents` are the spans' attributes by span id; `report` is Markdown."""

    facts: Facts
    report: str | None
    citations: tuple[CitationRow, ...]
    agents: tuple[AgentRow, ...]
    by_agent: tuple[Share, ...]
    by_model: tuple[Share, ...]
    spans: tuple[SpanRow, ...]
    contents: dict[str, dict[str, Any]]
    messages: tuple[MessageRow, ...]
    checkpoints: tuple[CheckpointRow, ...]
    notes: tuple[str, ...]
