"""The one envelope in which agents speak to one another. No plain string passes between agents."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from harness.records import Record

MESSAGE_VERSION = 1

MessageKind = Literal["task", "result", "note", "grant"]


class Message(Record):
    """A typed message between agents.

    `source` and `destination` are agent-run ids, bundle names or "person"; a destination of "any" is for
    whoever can use it. `payload` has been validated against the receiver's schema named by `schema_name`.
    """

    id: str
    kind: MessageKind
    source: str
    destination: str = "any"
    payload: Any
    schema_name: str
    trace_id: str
    in_reply_to: str | None = None
    version: int = Field(default=MESSAGE_VERSION, ge=1)
