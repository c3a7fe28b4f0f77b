"""A receiver of traces over HTTP: one request posted, and its answer told in a word."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, Self

import aiohttp
from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from harness.export.address import Address
from harness.outbound import LOST, NEVER_SENT, client, proxy_for, retry_after_s, said

log = logging.getLogger(__name__)

TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=30)
"""Seconds. Giving up after the spans have gone out may send them twice, so that the second is long."""

_AGAIN = frozenset({408, 409, 425, 429})
_SURELY_NOT_TAKEN = frozenset({429, 503})
_UNFIT = frozenset({400, 413, 422})
_READ = 64 * 1024
_SHOWN = 200


@dataclass(frozen=True)
class Verdict:
    """What came of a post.

    taken         the receiver has the spans
    partly        it has them, but `refused` of them, for good
    again         not now: busy or broken; `retry_after_s` is how long it asks to be left alone
    unreachable   no answer
    unfit         this request will never be taken: too large, or something in it is wrong
    closed        nothing will be taken before a person changes something

    `problem` says why; `doubtful`: the receiver may have the spans all the same.
    """

    kind: Literal["taken", "partly", "again", "unreachable", "unfit", "closed"]
    problem: str = ""
    retry_after_s: float | None = None
    refused: int = 0
    doubtful: bool = False


class Receiver:
    """Posts to an address. Use it as an async context manager."""

    def __init__(self, address: Address, *, timeout: aiohttp.ClientTimeout = TIMEOUT) -> None:
        self.address = address
        self._proxy = proxy_for(address.url)
        self._client = client(timeout)

    async def __aenter__(self) -> Self:
        """Nothing is opened before the first post."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._client.close()

    async def post(self, body: bytes) -> Verdict:
        """Post one gzipped `ExportTraceServiceRequest`."""
        headers = {
            **self.address.headers,
            "content-type": "application/x-protobuf",
            "content-encoding": "gzip",
        }
        try:
            async with self._client.post(
                self.address.url, data=body, headers=headers, proxy=self._proxy, allow_redirects=False
            ) as response:
                return self._verdict(response, await response.content.read(_READ))
        except LOST as problem:
            return Verdict(
                "unreachable",
                f"{self.address.name} cannot be reached at {self.address.place}: {said(problem)}",
                doubtful=not isinstance(problem, NEVER_SENT),
            )

    def _verdict(self, response: aiohttp.ClientResponse, body: bytes) -> Verdict:
        status, kind = response.status, response.content_type
        if 200 <= status < 300 and kind != "text/html":
            return _taken(body, kind)
        answered = f"{self.address.name} at {self.address.place} answered {status}{_words(body, kind)}"
        if status in _AGAIN or status >= 500:
            pause = retry_after_s(response.headers.get("retry-after"), datetime.now(UTC))
            return Verdict("again", answered, pause, doubtful=status not in _SURELY_NOT_TAKEN)
        if status in _UNFIT:
            return Verdict("unfit", answered)
        remedy = "correct its keys or headers" if status in (401, 403) else "correct its address"
        return Verdict("closed", f"{answered}; {remedy}")


def _taken(body: bytes, content_type: str) -> Verdict:
    """Read a success, which may hold that some spans were refused; what cannot be read holds nothing."""
    answer = ExportTraceServiceResponse()
    try:
        if content_type == "application/json":
            Parse(body, answer, ignore_unknown_fields=True)
        else:
            answer.ParseFromString(body)
    except (DecodeError, ParseError):
        log.debug("a receiver's answer of %d bytes (%s) was not understood", len(body), content_type)
        return Verdict("taken")
    refused = answer.partial_success.rejected_spans
    problem = " ".join(answer.partial_success.error_message.split())[:_SHOWN]
    return Verdict("partly", problem, refused=refused) if refused > 0 else Verdict("taken", problem)


def _words(body: bytes, content_type: str) -> str:
    """What the receiver says about an error, if it is text for people."""
    if content_type not in ("application/json", "text/plain"):
        return ""
    text = " ".join(body.decode("utf-8", "replace").split())
    return f" ({text[:_SHOWN]})" if text else ""
