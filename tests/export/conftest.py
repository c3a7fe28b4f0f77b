from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from harness.export import shipper as module
from harness.export.address import required
from harness.export.receiver import Receiver
from harness.export.shipper import Shipper
from harness.settings import Settings, from_environment
from harness.store.database import Database
from harness.store.spans import Outbox
from tests.kit.otlp_receiver import OtlpReceiver

Ship = Callable[..., Any]


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    """A receiver that enforces Langfuse's rules."""
    with OtlpReceiver() as made:
        yield made


@pytest.fixture
def settings(receiver: OtlpReceiver) -> Settings:
    """The settings that make the receiver the one to export to."""
    return from_environment(environ=receiver.environment())


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that a test can wait for."""
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(module, "POLL_S", 0.05)


@pytest.fixture
def shipping(database: Database, settings: Settings, hasty: None) -> Ship:
    """Opens shippers of the database's spans; `read_s` is how long a receiver may be silent."""

    @asynccontextmanager
    async def open_one(
        session_id: str | None = None, *, read_s: float = 10, hold_s: float = 120
    ) -> AsyncIterator[Shipper]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=read_s)
        async with Receiver(required(settings), timeout=timeout) as receiver:
            outbox = Outbox(database, settings.tenant, session_id, hold_s=hold_s)
            yield Shipper(outbox, receiver, settings.tracing.environment)

    return open_one
