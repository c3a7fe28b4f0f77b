"""A span: one timed step of a session, as it is stored, shown and exported."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Literal

from harness.records import Record

SpanKind = Literal[
    "turn",
    "agent_run",
    "model",
    "tool",
    "delegation",
    "routing",
    "gate",
    "merge",
    "wait",
]

SpanStatus = Literal["open", "ok", "error", "needs_help", "interrupted", "suspended", "cancelled"]
"""How it ended. "interrupted" was cut off by the death of its process, "suspended" by a clean stop."""


class Span(Record):
    """One timed step. A span that has ended does not change any more.

    A session's trace has a root for each of its turns, of kind "turn": from a question, the first one or one
    asked later, to its answer. `seq` is the number of the event that opened the span: its checkpoint.
    `attributes` are plain JSON, by the span's kind:

    every kind      input, output: `Content` as a dict, where there is any; problem: why it did not end well
                    (what quotes somebody is left out with the content)
    turn            turn (its number), tenant, flow, upstream, model, bundles, sources, edited,
                    forked_from {"session_id", "seq"}; at its end usage (as `Usage`) and cost_usd of the turn,
                    session_usage and session_cost_usd of all turns, citations
    below a run     agent, bundle_version of that agent run
    agent_run       role, path, task_id, bundle, attempt, entry, limits, continues, provider;
                    at its end usage and cost_usd of the whole agent run, steps, attempts, work_s
    model           model, request_model, provider, call_id, ordinal, request_hash, auxiliary, last_turn,
                    parameters {"max_tokens", "stream", ...}, message_id, stop_reason, usage (as `Usage`),
                    cost_usd, costs {type of token: US dollars}, first_token_s, replayed,
                    retries [{"status", "problem", "lost", "pause_s"}]
    tool            tool, tool_use_id, replay, cached, sources, hook (the one that refused it), result_hash
    delegation      tool, tool_use_id, tasks [{"id", "to"}], joined
    routing         number, to, reason
    gate            by, verdict
    merge           policy, path, branches [{"number", "name", "status"}]
    wait            reason; waited_s, where a turn begins with the answer
    """

    session_id: str
    span_id: str
    parent_span_id: str | None
    agent_run_id: str | None
    kind: SpanKind
    name: str
    seq: int
    started_at: datetime
    ended_at: datetime | None = None
    status: SpanStatus = "open"
    attributes: dict[str, Any]

    @property
    def trace_id(self) -> str:
        """The trace of its session."""
        return trace_id(self.session_id)

    @property
    def duration_s(self) -> float | None:
        """Seconds from its start to its end; None while it is open."""
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None


class Content(Record):
    """What went into a step or came out of it, as far as the setting `tracing.capture` lets it be kept.

    `text` is JSON unless it was plain text; None when only its size and hash are kept. `chars` and `sha256`
    are those of the whole text (after redaction), of which `text` may be the beginning only.

    Of a model call it is a chat (`harness.tracing.chat`) as it was fitted into `chat_bytes`, with which `cut`
    says that something is left out and the others speak of what is kept. `chat_bytes` is what all that the
    span says of its conversation may take; None for what is no chat.
    """

    text: str | None
    chars: int
    sha256: str
    cut: bool = False
    json_text: bool = False
    chat_bytes: int | None = None


def trace_id(session_id: str) -> str:
    """Give the session's trace id: 16 bytes as hex, the same in any process.

    The formula is the one Langfuse documents for seeded trace ids, so that both agree.
    """
    return hashlib.sha256(session_id.encode()).hexdigest()[:32]


def span_id(session_id: str, kind: str, key: str) -> str:
    """Give a step's span id: 8 bytes as hex, the same in any process that speaks of the same step."""
    return hashlib.sha256("\x1f".join((session_id, kind, key)).encode()).hexdigest()[:16]
