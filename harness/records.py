"""The small frozen records that cross borders: ids, usage, limits, outcomes.

Nothing here imports anything of the harness.
"""

from __future__ import annotations

import uuid
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

Replay = Literal["read_only", "idempotent", "unsafe"]
"""What a repeated tool call does: nothing, the same again, or something the person must decide."""

AgentRunStatus = Literal[
    "ready", "running", "suspended", "checking", "done", "needs_help", "failed", "cancelled"
]
SessionStatus = Literal["queued", "running", "suspended", "done", "needs_help", "failed", "cancelled"]

FINAL: frozenset[str] = frozenset({"done", "needs_help", "failed", "cancelled"})
"""The states an agent run does not leave by itself."""

ENDED: tuple[SessionStatus, ...] = ("done", "failed", "cancelled")
"""The states in which a session waits for nobody: no answer, no budget, no worker."""

OFFLINE_MODEL = "offline-extractive"
"""The name that every answer of an offline session bears: it comes from no language model."""

MAX_REQUEST_BYTES = 32_000_000
"""What the Messages API takes in one request; see "Request size limits" in its documentation of errors."""

NAMESPACE = uuid.UUID("6f1f6c1e-8a0b-5d57-9c56-2f1c3f0f8a11")


def derived_id(*parts: object) -> str:
    """Give the same UUID (version 5) for the same parts, in any process."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(str(part) for part in parts)))


class Record(BaseModel):
    """The base of every record: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Usage(Record):
    """What model calls used, in tokens and calls.

    `input_tokens` excludes what was read from or written to the prompt cache, as the Messages API counts it.
    `model_calls` are completed responses, auxiliary ones included; `attempts` are requests sent upstream;
    `unattributed_calls` were sent, but how they ended or what they used is not known.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    model_calls: int = 0
    attempts: int = 0
    unattributed_calls: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Add field by field."""
        mine = self.model_dump()
        return Usage(**{name: mine[name] + value for name, value in other.model_dump().items()})

    def __sub__(self, other: Usage) -> Usage:
        """Take away field by field."""
        mine = self.model_dump()
        return Usage(**{name: mine[name] - value for name, value in other.model_dump().items()})

    @property
    def total_tokens(self) -> int:
        """All tokens, cached ones included."""
        return (
            self.input_tokens
            + self.output_tokens
            + self.cache_read_input_tokens
            + self.cache_creation_input_tokens
        )


class Limits(Record):
    """Where an agent run must stop. `None` means no limit of that kind.

    Steps are model calls that offer the agent's tools; cost is in US dollars at list prices; tokens include
    cached ones; time is in seconds of the agent run's own work, waiting for its subagents left out.
    """

    max_steps: int | None = Field(default=None, ge=1)
    max_cost_usd: float | None = Field(default=None, gt=0)
    max_tokens: int | None = Field(default=None, ge=1)
    timeout_s: float | None = Field(default=None, gt=0)

    def tightened(self, other: Limits) -> Self:
        """Take the stricter value of each limit."""
        values: dict[str, Any] = {}
        for name in type(self).model_fields:
            given = [v for v in (getattr(self, name), getattr(other, name)) if v is not None]
            values[name] = min(given) if given else None
        return type(self)(**values)

    def over(self, other: Limits) -> Self:
        """Take these limits, and the other's where this names none."""
        given = self.model_dump(exclude_none=True)
        return type(self)(**{**other.model_dump(), **given})


NO_LIMITS = Limits()


class NeedsHelp(Record):
    """An agent run's typed signal that it cannot finish with what it has."""

    reason: Literal["steps", "cost", "tokens", "time", "blocked", "unknown_outcome", "gate", "question"]
    findings: str = ""
    missing: str = ""
    estimated_cost_usd: float | None = None


class Outcome(Record):
    """How an agent run ended: `output` when done, else `problem` and perhaps `help`."""

    status: Literal["done", "needs_help", "failed", "cancelled"]
    output: Any = None
    problem: str | None = None
    help: NeedsHelp | None = None
