"""How long the CLI waits for the next piece of an answer."""

from __future__ import annotations

import pytest

from tests.kit.scripted_api import Reply, text
from tests.kit.sdk import Bench

PAUSE_S = 3.0


@pytest.mark.parametrize("variable", ["CLAUDE_STREAM_IDLE_TIMEOUT_MS", "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS"])
async def test_a_short_limit_counts_for_nothing(bench: Bench, variable: str) -> None:
    """A pause three times as long as the variable says is waited for: it can only raise the CLI's minutes."""
    bench.api.script = lambda request: Reply([text("done")], between_deltas_s=PAUSE_S, deltas=2)
    run = await bench.run(env={variable: str(round(1000 * PAUSE_S / 3))})
    assert run.result.result == "done"
    assert [call.outcome for call in bench.api.calls.messages()] == ["completed"]
