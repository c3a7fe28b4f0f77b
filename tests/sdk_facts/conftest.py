"""Facts of the SDK the harness rests on, measured on the real CLI. First measured with CLI 2.1.330."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.processes import clis_using, kill
from tests.kit.scripted_api import ScriptedApi
from tests.kit.sdk import Bench, isolate


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with ScriptedApi() as api:
        isolate(monkeypatch, tmp_path, api.base_url)
        yield Bench(api, tmp_path)
        kill(*clis_using(api.base_url))
