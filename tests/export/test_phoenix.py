"""What a receiver nobody here has written makes of spans: `pytest -m phoenix --phoenix PATH`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.export.address import SERVICE, required
from harness.export.receiver import Receiver
from harness.export.shipper import Shipper
from harness.settings import from_environment
from harness.store.database import Database
from harness.store.spans import Outbox
from harness.tracing.span import SpanKind
from tests.kit.homes import new_home
from tests.kit.phoenix import Phoenix, running
from tests.kit.processes import until_sync
from tests.kit.spans import keep, research

pytestmark = pytest.mark.phoenix

_KINDS: dict[SpanKind, str] = {
    "turn": "CHAIN",
    "agent_run": "AGENT",
    "model": "LLM",
    "tool": "TOOL",
    "delegation": "TOOL",
    "gate": "EVALUATOR",
    "routing": "CHAIN",
    "merge": "CHAIN",
    "wait": "CHAIN",
}


@pytest.fixture(scope="module")
def phoenix(request: pytest.FixtureRequest) -> Iterator[Phoenix]:
    """A Phoenix for all tests of a module: it takes half a minute to be up."""
    command = request.config.getoption("--phoenix")
    assert command, "say where Phoenix is: --phoenix PATH_OF_ITS_COMMAND"
    with new_home() as folder, running(Path(command), folder) as started:
        yield started


@pytest.mark.timeout(240)
async def test_phoenix_shows_what_was_sent(database: Database, phoenix: Phoenix) -> None:
    """Two sessions: each span once, below its parent, with its kind, its tokens and how it ended."""
    sheets = [research(), research()]
    await keep(database, *sheets)
    settings = from_environment(options={"tracing.otlp_url": phoenix.base_url}, environ={})
    async with Receiver(required(settings)) as receiver:
        drained = await Shipper(Outbox(database, settings.tenant), receiver, "default").drain()
    sent = {span.span_id: span for sheet in sheets for span in sheet.spans}
    assert (drained.sent, drained.problem) == (len(sent), "")

    def arrived() -> bool:
        return len(phoenix.spans(SERVICE)) >= len(sent)

    await asyncio.to_thread(until_sync, arrived, "all spans are there")
    back = {span["context"]["span_id"]: span for span in await asyncio.to_thread(phoenix.spans, SERVICE)}
    assert back.keys() == sent.keys()
    for span_id, span in sent.items():
        found = back[span_id]
        assert found["name"] == span.name
        assert found["context"]["trace_id"] == span.trace_id
        assert (found.get("parent_id") or None) == span.parent_span_id
        assert found["span_kind"] == _KINDS[span.kind]
        assert (found["status_code"] == "ERROR") == (span.status in ("error", "interrupted"))
        assert found["attributes"]["session.id"] == span.session_id
    tokens = Counter[str]()
    for found in back.values():
        for name in ("prompt", "completion"):
            tokens[name] += int(found["attributes"].get(f"llm.token_count.{name}", 0))
    calls = sum(span.kind == "model" for span in sent.values())
    assert tokens == {"prompt": 100 * calls, "completion": 20 * calls}
