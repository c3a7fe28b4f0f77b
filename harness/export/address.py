"""Where spans are delivered to, as the settings say it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from urllib.parse import urlsplit

from harness.errors import BadInput
from harness.sections import header_pairs
from harness.settings import Settings

SERVICE = "subagent-harness"
"""Who sends the spans."""

RELEASE = version(SERVICE)
"""Which version of it."""

_TRACES = "/v1/traces"


@dataclass(frozen=True)
class Address:
    """A receiver of traces: its name for people, the URL to post to, and headers, which may hold secrets."""

    name: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    @property
    def place(self) -> str:
        """The URL as it may be shown: without a password."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def address(settings: Settings) -> Address | None:
    """Give the receiver of the settings: their OTLP receiver, else Langfuse, else none."""
    if settings.tracing.otlp_url is not None:
        return otlp(settings, settings.tracing.otlp_url)
    langfuse = settings.langfuse
    if langfuse.public_key is None or langfuse.secret_key is None:
        return None
    keys = f"{langfuse.public_key}:{langfuse.secret_key.get_secret_value()}"
    headers = {
        "authorization": f"Basic {base64.b64encode(keys.encode()).decode()}",
        # Without it Langfuse shows spans minutes later.
        "x-langfuse-ingestion-version": "4",
        "x-langfuse-sdk-name": SERVICE,
        "x-langfuse-sdk-version": RELEASE,
        "x-langfuse-public-key": langfuse.public_key,
    }
    return Address("Langfuse", f"{langfuse.base_url}/api/public/otel{_TRACES}", headers)


def otlp(settings: Settings, url: str) -> Address:
    """Give the OTLP receiver at a URL, which may leave out /v1/traces.

    It gets the headers of the settings only if they are meant for it, or for no other receiver by name.
    """
    own, parts = settings.tracing.otlp_url, urlsplit(url)
    path = parts.path.rstrip("/").removesuffix(_TRACES) + _TRACES
    meant = own is None or urlsplit(own)[:2] == parts[:2]
    headers = settings.tracing.otlp_headers if meant else None
    return Address(
        "The OTLP receiver",
        parts._replace(path=path, fragment="").geturl(),
        header_pairs(headers.get_secret_value()) if headers else {},
    )


def required(settings: Settings) -> Address:
    """Give the receiver of the settings.

    Raises:
        BadInput: there is none, with what is missing.
    """
    if (found := address(settings)) is not None:
        return found
    keys = {
        "LANGFUSE_PUBLIC_KEY": settings.langfuse.public_key,
        "LANGFUSE_SECRET_KEY": settings.langfuse.secret_key,
    }
    missing = " and ".join(name for name, value in keys.items() if value is None)
    raise BadInput(
        f"No receiver of spans is set; set {missing} for Langfuse, or tracing.otlp_url for another receiver."
    )
