"""The offline policy behind the gateway: no key, no network, no language model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from harness.gateway.upstream import Answer, Outgoing, in_parts
from harness.offline.policy import respond
from harness.wire import stream_of


class OfflineUpstream:
    """Answers every request by the deterministic policy in `harness.offline`."""

    @asynccontextmanager
    async def send(self, call: Outgoing) -> AsyncIterator[Answer]:
        """Answer from the request alone."""
        message = respond(call.request)
        if call.request.get("stream"):
            yield Answer(200, {"content-type": "text/event-stream"}, in_parts(stream_of(message)))
        else:
            yield Answer(200, {"content-type": "application/json"}, in_parts([json.dumps(message).encode()]))

    async def close(self) -> None:
        """There is nothing to close."""
