"""A model call on its way through the gateway, one that is not made, and how one failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from harness.gateway.charge import Charge


@dataclass
class Call:
    """A model call that has been checkpointed."""

    call_id: str
    auxiliary: bool
    model: str
    """That is asked: the request's own, or the one that answers in its place."""
    body: bytes
    request: Mapping[str, Any]
    headers: Mapping[str, str]
    conversation: str
    began: datetime
    charge: Charge | None = None
    """What is reserved for it; None when nobody pays for it."""
    attempts: int = 0
    message_id: str | None = None
    tries: int = 0
    """Attempts in a row that brought no answer, with the model that is asked now."""
    lost: int = 0
    """Attempts that reached the model and whose answers were lost: what they used is not known."""


@dataclass(frozen=True)
class Denied:
    """A call that is not made, because nothing could come of it."""

    problem: str


@dataclass(frozen=True)
class Failed:
    """How an attempt, or the whole call, failed: HTTP status if there was one; `lost` if it may have cost."""

    status: int | None
    problem: str
    lost: bool = False
