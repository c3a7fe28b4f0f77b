"""What happens to a delegation."""

from __future__ import annotations

from typing import Literal

from harness.events.payload import Payload
from harness.messages import Message


class DelegationRequested(Payload):
    """The lead asked for these tasks. They run once the lead's suspension is committed."""

    kind: Literal["delegation.requested"] = "delegation.requested"
    tool_use_id: str
    call_id: str | None
    tasks: tuple[Message, ...]


class DelegationJoined(Payload):
    """A further delegate call of the same turn: its tasks were added to the first call's."""

    kind: Literal["delegation.joined"] = "delegation.joined"
    tool_use_id: str
    into: str
    tasks: tuple[Message, ...]


class DelegationVoided(Payload):
    """A requested delegation whose call never reached the transcript; its tasks do not run."""

    kind: Literal["delegation.voided"] = "delegation.voided"
    tool_use_id: str
    reason: str
