"""Real sessions in a real trace server, beside what the harness tells: `-m phoenix --phoenix PATH`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from harness.export.address import SERVICE
from harness.state import SessionState
from harness.tracing.content import Keeper
from harness.tracing.span import trace_id
from tests.e2e.langfuse_kinds import KINDS, Fact, Kind
from tests.e2e.running import Desk
from tests.e2e.test_traces import told
from tests.export.test_phoenix import phoenix as phoenix  # a fixture
from tests.kit.phoenix import Phoenix, Row, Shown
from tests.kit.processes import until_sync
from tests.kit.scripted_api import ScriptedProcess

pytestmark = pytest.mark.phoenix

KEPT = "chat (kept answer)"
"""A call whose answer was kept over a kill: nothing is asked, and nothing told."""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What a session needs while it runs."""
    with ExitStack() as opened:
        yield opened


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
    traces = {span.trace_id for span in sent.values()}

    def back_again() -> dict[str, dict[str, Any]]:
        found = phoenix.spans(SERVICE)
        return {each["context"]["span_id"]: each for each in found if each["context"]["trace_id"] in traces}

    until_sync(lambda: len(back_again()) >= len(sent), "all spans to be there", timeout_s=60)
    back = back_again()
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


TRIED = ("off", "kill", "fork", "big", "replay", "gated", "err")
"""Of the kinds of sessions, those that differ for Phoenix."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", TRIED)
def test_phoenix_shows_each_kind_of_session(
    home: Path, dsn: str, holds: Path, stack: ExitStack, phoenix: Phoenix, name: str
) -> None:
    """Question and report of the session and of each turn, contents of tools and calls, tokens and costs."""
    kind = KINDS[name]
    scene = kind.scene(home, dsn, holds, stack, phoenix)
    desk, session_id = scene.desk, kind.play(scene)
    (home / "harness.toml").write_text(f"tracing.otlp_url = '{phoenix.base_url}'\n")
    code, flushed = desk.run("trace", "flush", session_id)
    assert (code, flushed["refused"]) == (0, 0), flushed
    _, told_of = desk.run("show", session_id)
    spans, record = told(desk, session_id)
    until_sync(lambda: _arrived(phoenix, session_id) >= len(spans), "all spans to be there", timeout_s=60)
    shown = phoenix.session(session_id)
    assert shown is not None
    facts = [*_of_session(kind, shown, told_of, record.state), *_of_spans(shown)]
    assert [fact for fact in facts if fact[1] != fact[2]] == []


def _arrived(phoenix: Phoenix, session_id: str) -> int:
    found = phoenix.session(session_id)
    return len(found.spans) if found else 0


def _of_session(kind: Kind, shown: Shown, told_of: dict[str, Any], state: SessionState) -> Iterator[Fact]:
    yield "traces", [trace_id(told_of["session_id"])], list(shown.traces)
    yield "the user", "default", shown.user
    yield "the first input", kind.turns[0].question, shown.first_input
    yield "the last output", told_of["report"], shown.last_output
    outputs = [turn.output or told_of["report"] for turn in kind.turns]
    yield (
        "questions and answers",
        list(zip([turn.question for turn in kind.turns], outputs, strict=True)),
        [(turn.input, turn.output) for turn in shown.turns],
    )
    names = {f"invoke_workflow {kind.flow}"}
    yield "names and kinds of turns", (names, {"CHAIN"}), _each(shown.turns, "name", "kind")
    yield "turns that failed", {kind.status == "failed"}, {turn.failed for turn in shown.turns}
    used = told_of["usage"]
    asked = sum(used[f"{part}input_tokens"] for part in ("", "cache_read_", "cache_creation_"))
    yield "tokens", (asked, used["output_tokens"]), (shown.prompt_tokens, shown.completion_tokens)
    # Below it stands only what sums of binary fractions differ by.
    yield "the cost", round(state.cost_usd or 0.0, 12), round(shown.cost_usd or 0.0, 12)
    yield "the cost as the harness shows it", told_of["cost_usd"] or 0.0, round(shown.cost_usd or 0.0, 6)
    if {"offline", "replay"} & set(kind.tags):
        yield "what is paid to nobody", {None}, {span.cost_usd for span in shown.spans}


def _of_spans(shown: Shown) -> Iterator[Fact]:
    """Messages are there where a third telling of the conversation has room; the others show their input."""
    yield "spans without a kind", [], [span.name for span in shown.spans if span.kind == "UNKNOWN"]
    tools = [span for span in shown.spans if span.kind == "TOOL"]
    yield "tools without an input", [], [span.name for span in tools if not span.input]
    yield "tools without an output", [], _silent(tools)
    calls = [span for span in shown.spans if span.kind == "LLM" and span.name != KEPT]
    yield "calls without an input", [], [call.name for call in calls if not call.input]
    yield "calls without an answer", [], _silent(calls)
    small = [call for call in calls if 3 * len(call.input or "") < Keeper().max_chat_bytes]
    yield "calls without messages", [], [call.name for call in small if "user" not in call.roles]
    silent = [call.name for call in small if call.roles[:1] != ("system",)]
    yield "calls without a system prompt", [], silent
    yield "calls without tools on offer", [], [call.name for call in small if not call.tools]
    yield "tokens that calls alone have", set(), {span.kind for span in shown.spans if span.tokens} - {"LLM"}


def _silent(rows: Sequence[Row]) -> list[str]:
    """Name those that have ended well and say nothing; one that sleeps or was cut off may."""
    return [row.name for row in rows if row.status == "ok" and not row.output]


def _each(rows: Sequence[Row], *names: str) -> tuple[set[Any], ...]:
    return tuple({getattr(row, name) for row in rows} for name in names)
