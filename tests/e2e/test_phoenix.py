"""Two real sessions, one of them killed and resumed, in a real trace server: `-m phoenix --phoenix PATH`."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.export.address import SERVICE
from tests.e2e.running import Desk
from tests.e2e.test_traces import told
from tests.export.test_phoenix import phoenix as phoenix  # a fixture
from tests.kit.phoenix import Phoenix
from tests.kit.processes import until_sync
from tests.kit.scripted_api import ScriptedProcess

pytestmark = pytest.mark.phoenix


@pytest.mark.timeout(300)
def test_phoenix_shows_sessions_as_they_were(
    desk: Desk, api: ScriptedProcess, holds: Path, phoenix: Phoenix
) -> None:
    """Every span is there once, below its parent, with its tokens; what a kill cut off is marked."""
    (desk.home / "harness.toml").write_text(f"tracing.otlp_url = '{phoenix.base_url}'\n")
    code, first = desk.run("run", "How do they navigate?", "--sources", "notes.md")
    assert code == 0
    (holds / "answer-winds.hold").touch()
    command = desk.start("run", "How do they find their way?", "--sources", "notes.md")
    until_sync(
        lambda: any(call.outcome == "open" for call in api.calls().messages()),
        "a call to be on the wire",
        timeout_s=60,
    )
    command.kill()
    (holds / "answer-winds.hold").unlink()
    (holds / "answer-winds.go").touch()
    code, second = desk.run("resume", str(command.session_id))
    assert code == 0
    desk.run("trace", "flush")
    sent = {
        span.span_id: span
        for session in (first, second)
        for span in told(desk, str(session["session_id"]))[0]
    }
    until_sync(lambda: len(phoenix.spans(SERVICE)) >= len(sent), "all spans to be there", timeout_s=60)
    back = {span["context"]["span_id"]: span for span in phoenix.spans(SERVICE)}
    assert back.keys() == sent.keys()
    for span_id, span in sent.items():
        found = back[span_id]
        assert (found["name"], found["context"]["trace_id"]) == (span.name, span.trace_id)
        assert (found.get("parent_id") or None) == span.parent_span_id
        assert (found["status_code"] == "ERROR") == (span.status in ("error", "interrupted"))
    told_tokens = sum(int(span["attributes"].get("llm.token_count.completion", 0)) for span in back.values())
    kept = [span.attributes["usage"]["output_tokens"] for span in sent.values() if span.kind == "model"
            and "usage" in span.attributes]  # fmt: skip
    assert told_tokens == sum(kept)
