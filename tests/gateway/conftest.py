"""One database for all tests of the gateway: each has a session of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.store.embedded import EmbeddedServer
from tests.kit.databases import fresh_database


@pytest.fixture(scope="module")
def dsn(postgres: EmbeddedServer, migrated_template: str) -> Iterator[str]:
    with fresh_database(postgres.dsn, migrated_template) as shared:
        yield shared
