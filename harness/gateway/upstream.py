"""Where model calls go behind the gateway: one small port, and the live service behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from harness.errors import GatewayError
from harness.events import ReplayStopped
from harness.outbound import LOST, NEVER_SENT, client, proxy_for, said, without_password
from harness.state import named


@dataclass(frozen=True)
class Caller:
    """Which call of which agent run this is.

    `path` names the run in its flow; `number` counts its steps from 1, and is None for an auxiliary call.
    """

    agent: str
    path: str
    number: int | None

    @property
    def label(self) -> str:
        """The agent and its place, as a person is shown them."""
        return named(self.agent, self.path)


@dataclass(frozen=True)
class Outgoing:
    """A model call on its way: the body's exact bytes, the same parsed, its headers, and who calls.

    `alive` hears what it waits for; `wanted` says whether somebody still wants its answer.
    """

    body: bytes
    request: Mapping[str, Any]
    headers: Mapping[str, str]
    query: str
    caller: Caller
    alive: Callable[[str], None] = lambda doing: None
    wanted: Callable[[], bool] = lambda: True


async def _unsettled(output_tokens: int) -> None:
    """Nobody keeps account."""


@dataclass(frozen=True)
class Answer:
    """An upstream's answer: HTTP status, the headers worth passing on, and the body as it arrives.

    `final` says that the same request would get the same answer again, `place` who gave it. `settle` is told
    how many tokens the answer had when it was read to its end.
    """

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]
    final: bool = False
    place: str = "its address"
    settle: Callable[[int], Awaitable[None]] = _unsettled


class UpstreamLost(GatewayError):
    """The connection to the model failed; `sent` says that the request may have reached it, and have cost."""

    def __init__(self, problem: str, *, sent: bool = True) -> None:
        super().__init__(problem)
        self.sent = sent


class RateLimited(GatewayError):
    """The rate limits have no room for a call for a long time; `status` is the HTTP status that said so.

    `again_s` are the seconds until there may be room again; None when nobody has told.
    """

    def __init__(self, problem: str, status: int | None, again_s: float | None = None) -> None:
        super().__init__(problem)
        self.status = status
        self.again_s = again_s


class UpstreamSilent(GatewayError):
    """A call that was sent has brought no byte for as long as a service may be silent."""


class CallDropped(GatewayError):
    """A call was given up before it was sent: nobody wants its answer any more."""


class UpstreamStopped(GatewayError):
    """The upstream will not answer this call: a replay stops here."""

    def __init__(self, stopped: ReplayStopped) -> None:
        super().__init__(stopped.problem)
        self.stopped = stopped


class Upstream(Protocol):
    """Something that answers `POST /v1/messages`."""

    def send(self, call: Outgoing) -> AbstractAsyncContextManager[Answer]:
        """Send one request.

        Raises UpstreamLost, UpstreamSilent, UpstreamStopped, RateLimited or CallDropped; reading the answer
        raises the first two.
        """
        ...

    async def close(self) -> None:
        """Give up what it holds."""
        ...


async def in_parts(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Give a body that is known whole as one that arrives."""
    for part in parts:
        yield part


_PASSED_BACK = ("content-type", "date", "retry-after", "request-id")
_OWN = {"host", "connection", "content-length", "transfer-encoding", "accept-encoding"} | {
    "x-api-key",
    "authorization",
}

CONNECT_S = 10.0

SILENT_S = 900.0
"""A model may think for minutes before its first token, and pings keep a stream alive after it."""


class LiveUpstream:
    """The Anthropic API, or any endpoint that speaks its Messages API; it may be silent for `silent_s`."""

    def __init__(self, base_url: str, api_key: str, silent_s: float = SILENT_S) -> None:
        self._url = base_url.rstrip("/") + "/v1/messages"
        self._place = without_password(base_url)
        self._api_key = api_key
        self._proxy = proxy_for(self._url)
        self._silent_s = silent_s
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=silent_s)
        self._client = client(timeout, auto_decompress=False)

    @asynccontextmanager
    async def send(self, call: Outgoing) -> AsyncIterator[Answer]:
        """Pass the request on with the real key in place of the agent run's token."""
        passed = {name: value for name, value in call.headers.items() if name.lower() not in _OWN}
        passed |= {"x-api-key": self._api_key, "accept-encoding": "identity"}
        url = f"{self._url}?{call.query}" if call.query else self._url
        try:
            response = await self._client.post(
                url, data=call.body, headers=passed, proxy=self._proxy, allow_redirects=False
            )
        except aiohttp.SocketTimeoutError as problem:
            raise self._silent() from problem
        except LOST as problem:
            raise UpstreamLost(
                f"The model service at {self._place} could not be reached: {said(problem)}",
                sent=not isinstance(problem, NEVER_SENT),
            ) from problem
        async with response:
            answered = {name.lower(): value for name, value in response.headers.items()}
            back = {
                name: value
                for name, value in answered.items()
                if name in _PASSED_BACK or name.startswith("anthropic-ratelimit")
            }
            chunks = self._translated(response.content.iter_any())
            yield Answer(response.status, back, chunks, place=self._place)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _translated(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                yield chunk
        except aiohttp.SocketTimeoutError as problem:
            raise self._silent() from problem
        except LOST as problem:
            told = f"The model's answer from {self._place} broke off: {said(problem)}"
            raise UpstreamLost(told) from problem

    def _silent(self) -> UpstreamSilent:
        return UpstreamSilent(
            f"The model service at {self._place} gave no sign of life for {self._silent_s:g} s."
        )
