"""The offline policy behind the gateway: no key, no network, no language model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from harness.gateway.upstream import Answer
from harness.offline.policy import respond
from harness.wire import stream_of


class OfflineUpstream:
    """Answers every request by the deterministic policy in `harness.offline`."""

    @asynccontextmanager
    async def send(
        self, body: bytes, request: Mapping[str, Any], headers: Mapping[str, str], query: str
    ) -> AsyncIterator[Answer]:
        """Answer from the request alone."""
        del body, headers, query
        message = respond(request)
        if request.get("stream"):
            yield Answer(200, {"content-type": "text/event-stream"}, _each(stream_of(message)))
        else:
            yield Answer(200, {"content-type": "application/json"}, _each([json.dumps(message).encode()]))

    async def close(self) -> None:
        """There is nothing to close."""


async def _each(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
