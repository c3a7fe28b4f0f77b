"""HTTP to servers elsewhere: with the certificates and the proxies that this machine trusts."""

from __future__ import annotations

import math
import os
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import truststore

LOST = (aiohttp.ClientError, TimeoutError)
"""What a request raises when its server cannot be reached or falls silent."""

NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
"""Those of them after which the server surely has not seen the request."""


def client(timeout: aiohttp.ClientTimeout, *, auto_decompress: bool = True) -> aiohttp.ClientSession:
    """Give a client that keeps no cookies and opens as many connections as it is asked for."""
    return aiohttp.ClientSession(
        # The system's own certificates, as browsers use them: a company's are often among them.
        connector=aiohttp.TCPConnector(limit=0, ssl=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=timeout,
        auto_decompress=auto_decompress,
    )


def proxy_for(url: str) -> str | None:
    """Give the proxy that this machine is told to use for a URL, by its environment or its settings."""
    parts = urlsplit(url)
    if proxy_bypass(parts.netloc):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def without_password(url: str) -> str:
    """Give a URL as a person may be shown it: without the account and password that it may hold."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def retry_after_s(retry_after: str | None, now: datetime) -> float | None:
    """Read a Retry-After, which is a number of seconds or a date, as seconds from `now`; None for neither."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())


def said(problem: Exception) -> str:
    """Give what an error says, or else what it is."""
    # aiohttp words a refused connection by its own call; the system's words are what people know.
    if isinstance(problem, aiohttp.ClientConnectorError) and (problem.errno or 0) > 0:
        return os.strerror(problem.errno or 0)
    return str(problem) or type(problem).__name__
