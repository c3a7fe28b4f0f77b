"""Sessions of every kind, run for real, as a person sees them in Langfuse: beside what the harness tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from harness.export.address import RELEASE
from harness.state import SessionState
from harness.tracing.span import trace_id
from tests.e2e.langfuse_kinds import KINDS, Fact, Kind
from tests.e2e.test_traces import told
from tests.kit.campaign import cases
from tests.kit.langfuse.observation import Observation, observe
from tests.kit.langfuse.prices import phoenix_cost
from tests.kit.langfuse.rules import chats, problems
from tests.kit.langfuse.traces import above, roots, trace
from tests.kit.otlp_receiver import OtlpReceiver
from tests.kit.seen import Seen

QUICK = ("off", "kill", "sup", "big", "meta")
DIGITS = 9
"""Of a dollar: below it stands only what sums of binary fractions differ by."""


_CALL = "attributes.gen_ai.tool.call.id"
_WORK = ("AGENT", "GENERATION", "TOOL")
_WHOSE = {"attributes.gen_ai.agent.name", "attributes.harness.run.id"}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.mark.parametrize("kind", cases(KINDS, QUICK))
def test_a_session_is_shown_as_it_was(
    home: Path, dsn: str, holds: Path, stack: ExitStack, kind: Kind
) -> None:
    """Its rows and its trace in Langfuse, and what Phoenix computes, agree with `harness show`."""
    receiver = stack.enter_context(OtlpReceiver())
    scene = kind.scene(home, dsn, holds, stack, receiver)
    desk, session_id = scene.desk, kind.play(scene)
    _, shown = desk.run("show", session_id)
    # Those that the receiver has refused too: what is wrong with them is a line of the table.
    sent = {span.span_id: span for post in receiver.posts for span in post.spans}
    spans = [span for span in sent.values() if span.trace_id == trace_id(session_id)]
    _, record = told(desk, session_id)
    rows = [observe(span) for span in spans]
    facts = [*looked_at(kind, spans, shown, record.state), *kind.also(rows)]
    facts.append(("refused by the receiver", {}, dict(Counter(receiver.violations))))
    assert all(expected == got for _, expected, got in facts), "\n".join(["", *table(facts), *listed(rows)])


def looked_at(
    kind: Kind, spans: Sequence[Seen], shown: dict[str, Any], state: SessionState
) -> Iterator[Fact]:
    """Everything that any session should show."""
    rows = [observe(span) for span in spans]
    yield "status", kind.status, shown["status"]
    unread = Counter(chats(spans))
    yield "problems of chats", {}, dict(unread)
    yield "other problems", {}, dict(Counter(problems(spans)) - unread)
    yield from _roots(kind, roots(rows), shown)
    yield from _below(rows)
    yield from _types(kind, rows, shown)
    yield from _filed(kind, rows, shown)
    yield from _totals(kind, rows, spans, shown, state)


def _roots(kind: Kind, found: Sequence[Observation], shown: dict[str, Any]) -> Iterator[Fact]:
    yield "root rows", len(kind.turns), len(found)
    level, reason = ("DEFAULT", None) if kind.status == "done" else ("ERROR", shown["problem"])
    for turn, row in zip(kind.turns, found, strict=False):
        yield "a root's name", f"invoke_workflow {kind.flow}", row.name
        yield "a root's type", "CHAIN", row.type
        yield "a root's level", (level, reason), (row.level, row.status_message)
        if not kind.kept_back:
            yield "a root's input", turn.question, row.input
            yield "a root's output", turn.output or shown["report"], row.output


def _below(rows: Sequence[Observation]) -> Iterator[Fact]:
    """Every turn holds its work, in time too."""
    working, outside = set[str](), []
    for row in rows:
        root = (above(row, rows) or [row])[-1]
        if row.type == "AGENT":
            working.add(root.id)
        early, late = (root.start_ns - row.start_ns) / 1e9, (row.end_ns - root.end_ns) / 1e9
        if max(early, late) > 0:
            outside.append(f"{row.name} ({early:.6f} s before, {late:.6f} s after)")
    yield "turns with agents", {row.id for row in roots(rows)}, working
    yield "rows outside the time of their turn", [], outside
    nameless = [row.name for row in rows if row.type in _WORK and not row.metadata.keys() >= _WHOSE]
    yield "rows that do not say whose they are", [], nameless


def _types(kind: Kind, rows: Sequence[Observation], shown: dict[str, Any]) -> Iterator[Fact]:
    found = Counter(row.type for row in rows)
    # A call whose result was lost with the process is made again, and is the same call.
    found["TOOL"] = len({row.metadata.get(_CALL, row.id) for row in rows if row.type == "TOOL"})
    delegations = {row.name for row in rows if row.type == "TOOL" and "delegate" in row.name}
    yield "names of delegations", set(), delegations - {"delegate"}
    if kind.types:
        yield "types", dict(kind.types), dict(+found)
        return
    counted = (len(kind.turns), len(shown["agent_runs"]), shown["usage"]["model_calls"])
    yield "turns, agents, calls", counted, (found["CHAIN"], found["AGENT"], found["GENERATION"])
    yield "types", {"CHAIN", "AGENT", "GENERATION", "TOOL"}, set(+found)


def _filed(kind: Kind, rows: Sequence[Observation], shown: dict[str, Any]) -> Iterator[Fact]:
    whole = trace(rows)
    yield "the trace's name", kind.flow, whole.name
    yield "user and session", ("default", shown["session_id"]), (whole.user_id, whole.session_id)
    yield "release", RELEASE, whole.release
    yield "tags", {kind.flow, *kind.tags}, set(whole.tags)
    yield "the trace's output", None if kind.kept_back else shown["report"], whole.output
    versions = {row.version for row in rows if row.type == "AGENT" and "bundle_version" in row.metadata}
    yield "no agent has the package's version", True, RELEASE not in versions


def _totals(
    kind: Kind, rows: Sequence[Observation], spans: Sequence[Seen], shown: dict[str, Any], state: SessionState
) -> Iterator[Fact]:
    whole, used = trace(rows), shown["usage"]
    yield "tokens", _langfuse(used), {name: whole.usage.get(name, 0) for name in _langfuse(used)}
    yield "calls whose end is not known", kind.lost, used["unattributed_calls"]
    yield "cost", _dollars(state.cost_usd), _dollars(whole.cost_usd)
    # Where nobody is paid, no cost is shown.
    yield "cost as shown", shown["cost_usd"] or 0.0, round(whole.cost_usd, 6)
    yield "Phoenix's cost", _dollars(state.cost_usd), _dollars(phoenix_cost(spans))
    if "offline" in kind.tags:
        yield "nothing is paid", 0, whole.cost_usd
    doubtful = [row for row in rows if row.metadata.get("unattributed") == "true"]
    yield "calls that may have cost something", kind.lost, len(doubtful)
    turns = roots(rows)
    yield "the turns' costs", _dollars(state.cost_usd), _dollars(sum(_told(row, "cost_usd") for row in turns))
    yield "the session's cost", _dollars(state.cost_usd), _dollars(_told(turns[-1], "session_cost_usd"))
    for name in ("input_tokens", "output_tokens"):
        yield f"the turns' {name}", used[name], sum(_told(row, f"usage.{name}") for row in turns)
        yield f"the session's {name}", used[name], _told(turns[-1], f"session_usage.{name}")
    cited = (shown["citations"] or {}).get("checked")
    yield "citations that were checked", cited or 0, _told(turns[-1], "citations.checked")


def _told(row: Observation, name: str) -> float:
    """A number in the metadata; 0 where there is none."""
    return float(row.metadata.get(name, 0))


def _dollars(cost_usd: float | None) -> float:
    return round(cost_usd or 0.0, DIGITS)


def _langfuse(used: dict[str, Any]) -> dict[str, int]:
    return {
        "input": used["input_tokens"],
        "input_cached_tokens": used["cache_read_input_tokens"],
        "input_cache_creation": used["cache_creation_input_tokens"],
        "output": used["output_tokens"],
    }


def table(facts: Sequence[Fact]) -> list[str]:
    """Lay out what was expected beside what was seen; the lines that differ are marked."""
    lines = []
    for what, expected, got in facts:
        mark = "  " if expected == got else "! "
        lines.append(f"{mark}{what:<32} {_short(expected):<42} {_short(got)}")
    return lines


def listed(rows: Sequence[Observation]) -> list[str]:
    """Say which rows there were."""
    counted = Counter((row.type, row.name, row.level) for row in rows)
    return [f"  {count:>3} x {' '.join(row)}" for row, count in sorted(counted.items())]


def _short(value: Any) -> str:
    if isinstance(value, dict) and any(len(what) > 30 for what in value):
        return "".join(f"\n      {count} x {what}" for what, count in value.items())
    return repr(value)[:300]
