"""The offline model as an upstream: a request's body in, the events of the answer out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from harness.offline.policy import respond
from harness.wire import stream_of


async def events(request: Mapping[str, Any]) -> AsyncIterator[bytes]:
    """Give the answer to a Messages API request as server-sent events, one bytes object each, at once."""
    for event in stream_of(respond(request)):
        yield event
