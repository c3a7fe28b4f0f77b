"""Fetching a page over HTTP for an agent, and nothing that an agent must not reach.

Whatever a name resolves to and wherever a redirect leads, each connection begins with a socket, and the
socket is refused when its address is not a public one. Proxies are not used: behind one, addresses could not
be checked.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

import aiohttp
import truststore

from harness.sections import Web
from harness.tools import InvalidInput, ToolProblem, TooSlow, Unavailable

REDIRECTS = 5
"""How many redirects are followed."""

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_MOVED = frozenset({301, 302, 303, 307, 308})
_HEADERS = {
    "User-Agent": "subagent-harness",
    "Accept": "text/html, application/xhtml+xml, application/pdf, text/*;q=0.9, */*;q=0.1",
}
_NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 addresses as IPv6-only networks write them: RFC 6052, section 2.1."""


@dataclass(frozen=True)
class Page:
    """What came: from which address in the end, with which media type and charset ("" when not said)."""

    url: str
    media_type: str
    charset: str
    data: bytes


def public(address: str) -> bool:
    """Whether an IP address is one of the public internet. One that wraps another is what it wraps."""
    ip = ip_address(address.split("%")[0])
    if isinstance(ip, IPv6Address):
        wrapped = IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None
        ip = ip.ipv4_mapped or ip.sixtofour or wrapped or ip
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


async def fetch(url: str, rules: Web) -> Page:
    """Get a page.

    Raises:
        InvalidInput: the URL cannot be used.
        Unavailable: the server is away or busy.
        TooSlow: it did not answer in `rules.timeout_s`, redirects included.
        ToolProblem: it must not be fetched, is too large, or the server refuses it.
    """
    door = _Door(rules.allow_private)
    session = aiohttp.ClientSession(
        # The system's own certificates, as browsers use them: a company's are often among them.
        connector=aiohttp.TCPConnector(
            ssl=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT), socket_factory=door.socket
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        timeout=aiohttp.ClientTimeout(total=None),
    )
    try:
        async with asyncio.timeout(rules.timeout_s), session:
            return await _followed(session, _checked(url), rules.max_bytes)
    except TimeoutError as problem:
        raise TooSlow(f"{url} did not come within {rules.timeout_s:g} s.") from problem
    except aiohttp.ClientError as problem:
        if door.refused:
            raise ToolProblem(
                f"{url} leads to {door.refused[0]}, which is not a public address; it is not fetched."
            ) from problem
        raise _said(url, problem) from problem


@dataclass
class _Door:
    """Gives out the sockets that connections are made with, and notes the addresses it refused."""

    allow_private: bool
    refused: list[str] = field(default_factory=list)

    def socket(self, address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, (host, *_) = address
        if not self.allow_private and not public(host):
            self.refused.append(host)
            raise PermissionError(f"{host} is not a public address")
        return socket.socket(family=family, type=kind, proto=protocol)


async def _followed(session: aiohttp.ClientSession, url: str, most: int) -> Page:
    for _ in range(REDIRECTS + 1):
        async with session.get(url, allow_redirects=False) as response:
            if response.status in _MOVED and "Location" in response.headers:
                url = _checked(urljoin(url, response.headers["Location"]))
                continue
            if response.status in _PASSING:
                raise Unavailable(f"{url} answered {response.status}; the server is busy or broken.")
            if not response.ok:
                raise ToolProblem(f"{url} answered {response.status}; fetch another page.")
            media_type = response.content_type if "Content-Type" in response.headers else ""
            return Page(url, media_type, response.charset or "", await _body(response, most))
    raise ToolProblem(f"{url} is not reached within {REDIRECTS} redirects; fetch another page.")


async def _body(response: aiohttp.ClientResponse, most: int) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_chunked(2**16):
        data += chunk
        if len(data) > most:
            raise ToolProblem(f"{response.url} is larger than {most:,} bytes; fetch another page.")
    return bytes(data)


def _checked(given: str) -> str:
    try:
        parts = urlsplit(given)
        host = parts.hostname
    except ValueError as problem:
        raise InvalidInput(f"'{given}' is no URL ({problem}).") from problem
    if parts.scheme not in ("http", "https") or not host:
        raise InvalidInput(
            f"'{given}' is no page of the web; give a URL that begins with https:// or http://"
        )
    if "@" in parts.netloc:
        raise InvalidInput("The URL holds a name or password; give it without.")
    return urldefrag(given).url


def _said(url: str, problem: aiohttp.ClientError) -> ToolProblem:
    if isinstance(problem, aiohttp.ClientConnectorDNSError):
        if isinstance(problem.os_error, socket.gaierror) and problem.os_error.errno == socket.EAI_AGAIN:
            return Unavailable(f"The name in {url} could not be looked up just now.")
        return InvalidInput(f"There is no host with the name in {url}.")
    if isinstance(problem, aiohttp.ClientSSLError):
        return ToolProblem(f"{url} has no valid certificate; fetch another page.")
    if isinstance(problem, aiohttp.InvalidURL):
        return InvalidInput(f"{url} cannot be used ({problem}).")
    if isinstance(problem, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError):
        return Unavailable(f"The connection to {url} failed: {problem}.")
    return ToolProblem(f"{url} did not answer as a web server should ({problem}).")
