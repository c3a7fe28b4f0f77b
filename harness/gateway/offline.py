"""The offline policy behind the gateway: no key, no network, no language model.

It refuses what the service refuses, and begins its answers with thinking that is bound to what stood before
it, as the models do: a rehearsal shows what would fail in earnest.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from harness.gateway.upstream import Answer, Outgoing, in_parts
from harness.offline.policy import respond
from harness.offline.rules import first_thinking, refusal_of
from harness.wire import stream_of


class OfflineUpstream:
    """Answers every request by the deterministic policy in `harness.offline`."""

    @asynccontextmanager
    async def send(self, call: Outgoing) -> AsyncIterator[Answer]:
        """Answer from the request alone, or refuse it as the service would."""
        if (refusal := refusal_of(call.body, call.headers)) is not None:
            said = json.dumps(refusal.body).encode()
            yield Answer(refusal.status, {"content-type": "application/json"}, in_parts([said]), final=True)
            return
        message = respond(call.request)
        message["content"] = [*first_thinking(call.request), *message["content"]]
        if call.request.get("stream"):
            yield Answer(200, {"content-type": "text/event-stream"}, in_parts(stream_of(message)))
        else:
            yield Answer(200, {"content-type": "application/json"}, in_parts([json.dumps(message).encode()]))

    async def close(self) -> None:
        """There is nothing to close."""
