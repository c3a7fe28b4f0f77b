"""Where model calls go behind the gateway: one small port, and the live service behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from harness.errors import GatewayError


@dataclass(frozen=True)
class Answer:
    """An upstream's answer: HTTP status, the headers worth passing on, and the body as it arrives."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class UpstreamLost(GatewayError):
    """The connection to the model failed before or while it answered."""


class Upstream(Protocol):
    """Something that answers `POST /v1/messages`."""

    def send(
        self, body: bytes, request: Mapping[str, Any], headers: Mapping[str, str], query: str
    ) -> AbstractAsyncContextManager[Answer]:
        """Send one request: its exact bytes, and the same parsed. Raises UpstreamLost."""
        ...

    async def close(self) -> None:
        """Give up what it holds."""
        ...


_PASSED_BACK = ("content-type", "retry-after", "request-id")
_OWN = {"host", "connection", "content-length", "transfer-encoding", "accept-encoding"} | {
    "x-api-key",
    "authorization",
}

_TIMEOUT = httpx.Timeout(connect=10, read=600, write=60, pool=60)
"""Seconds. A model may think for minutes before its first token, and pings keep a stream alive after it."""


class LiveUpstream:
    """The Anthropic API, or any endpoint that speaks its Messages API."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self._url = base_url.rstrip("/") + "/v1/messages"
        self._api_key = api_key
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
        self._client = httpx.AsyncClient(timeout=_TIMEOUT, limits=limits, trust_env=True)

    @asynccontextmanager
    async def send(
        self, body: bytes, request: Mapping[str, Any], headers: Mapping[str, str], query: str
    ) -> AsyncIterator[Answer]:
        """Pass the request on with the real key in place of the agent run's token."""
        del request
        passed = {name: value for name, value in headers.items() if name.lower() not in _OWN}
        passed |= {"x-api-key": self._api_key, "accept-encoding": "identity"}
        url = f"{self._url}?{query}" if query else self._url
        try:
            async with self._client.stream("POST", url, content=body, headers=passed) as response:
                back = {
                    name: value
                    for name, value in response.headers.items()
                    if name in _PASSED_BACK or name.startswith("anthropic-ratelimit")
                }
                yield Answer(response.status_code, back, _translated(response.aiter_raw()))
        except httpx.TransportError as problem:
            raise UpstreamLost(f"The model service could not be reached: {_said(problem)}") from problem

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


async def _translated(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            yield chunk
    except httpx.TransportError as problem:
        raise UpstreamLost(f"The model's answer broke off: {_said(problem)}") from problem


def _said(problem: Exception) -> str:
    return str(problem) or type(problem).__name__
