"""Where model calls go behind the gateway: one small port, and the live service behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from harness.errors import GatewayError
from harness.outbound import LOST, NEVER_SENT, client, proxy_for, said


@dataclass(frozen=True)
class Answer:
    """An upstream's answer: HTTP status, the headers worth passing on, and the body as it arrives."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class UpstreamLost(GatewayError):
    """The connection to the model failed; `sent` says that the request may have reached it, and have cost."""

    def __init__(self, problem: str, *, sent: bool = True) -> None:
        super().__init__(problem)
        self.sent = sent


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

_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=600)
"""Seconds. A model may think for minutes before its first token, and pings keep a stream alive after it."""


class LiveUpstream:
    """The Anthropic API, or any endpoint that speaks its Messages API."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self._url = base_url.rstrip("/") + "/v1/messages"
        self._api_key = api_key
        self._proxy = proxy_for(self._url)
        self._client = client(_TIMEOUT, auto_decompress=False)

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
            response = await self._client.post(
                url, data=body, headers=passed, proxy=self._proxy, allow_redirects=False
            )
        except LOST as problem:
            raise UpstreamLost(
                f"The model service could not be reached: {said(problem)}",
                sent=not isinstance(problem, NEVER_SENT),
            ) from problem
        async with response:
            answered = {name.lower(): value for name, value in response.headers.items()}
            back = {
                name: value
                for name, value in answered.items()
                if name in _PASSED_BACK or name.startswith("anthropic-ratelimit")
            }
            yield Answer(response.status, back, _translated(response.content.iter_any()))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


async def _translated(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            yield chunk
    except LOST as problem:
        raise UpstreamLost(f"The model's answer broke off: {said(problem)}") from problem
