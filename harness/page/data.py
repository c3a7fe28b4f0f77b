"""From a session's record to what the page is told about it: pure, and complete without any span."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from harness import events as ev
from harness import mailbox
from harness.citations import Citation, citations
from harness.corpus.corpus import Source
from harness.page.records import (
    AgentRow,
    CheckpointRow,
    CitationRow,
    Facts,
    MessageRow,
    PageData,
    SpanRow,
)
from harness.page.shares import by_agent, by_model
from harness.state import RunState, SessionState, label, subject
from harness.tracing.outline import cost_usd, outline, usage
from harness.tracing.span import Span

NO_SPANS = (
    "No spans were kept of this session, so it has no timeline and no inputs and outputs of single calls. "
    "All else is from its journal."
)


def page_data(
    journal: Sequence[ev.Event],
    state: SessionState,
    spans: Sequence[Span],
    *,
    sources: Sequence[Source] = (),
    resume: str = "harness resume",
    fork: str = "harness fork",
    now: datetime | None = None,
) -> PageData:
    """Bring a session's record into the form of the page.

    `sources` are the documents it could cite; `resume` and `fork` the commands that take the session up.
    """
    now = now or ev.now()
    clock = _Clock(journal, spans, now)
    return PageData(
        facts=_facts(journal, state, clock, now, resume, fork),
        report=state.report,
        citations=_citations(state, sources),
        agents=tuple(_agents(state, clock.last)),
        by_agent=by_agent(state),
        by_model=by_model(journal, state),
        spans=tuple(_span(line.span, state, clock) for line in outline(spans)),
        contents={span.span_id: span.attributes for span in spans},
        messages=_messages(journal, state, clock),
        checkpoints=_checkpoints(journal, state, spans, clock),
        notes=() if spans else (NO_SPANS,),
    )


class _Clock:
    """Tells times from the session's beginning on, in milliseconds."""

    def __init__(self, journal: Sequence[ev.Event], spans: Sequence[Span], now: datetime) -> None:
        known = [event.recorded_at for event in journal] + [span.started_at for span in spans]
        self.began = min(known, default=now)
        self.last = max([*known, *(span.ended_at for span in spans if span.ended_at)], default=now)

    def __call__(self, at: datetime) -> int:
        return round((at - self.began).total_seconds() * 1000)


def _facts(
    journal: Sequence[ev.Event], state: SessionState, clock: _Clock, now: datetime, resume: str, fork: str
) -> Facts:
    created, cost = state.created, state.cost_usd
    return Facts(
        session_id=state.id,
        status=state.status,
        flow=created.flow_name if created else "",
        upstream=created.upstream if created else "",
        sources=created.sources if created else 0,
        questions=tuple(state.questions),
        problem=state.problem,
        created_at=clock.began,
        made_at=now,
        duration_ms=clock(clock.last),
        usage=state.usage,
        cost_usd=None if cost is None else round(cost, 6),
        kills=kills(journal),
        resume=resume,
        fork=fork,
    )


def kills(journal: Sequence[ev.Event]) -> int:
    """Count how often the session was taken up after a process that had not stopped it cleanly."""
    count, at_work = 0, False
    for event in journal:
        match event.payload:
            case ev.SessionCreated() | ev.SessionAsked():
                at_work = True
            case ev.SessionResumed():
                count += at_work
                at_work = True
            case ev.SessionSuspended() | ev.SessionFinished():
                at_work = False
            case _:
                pass
    return count


def _agents(state: SessionState, last: datetime, parent: str | None = None, depth: int = 0) -> list[AgentRow]:
    found: list[AgentRow] = []
    for run in state.children(parent):
        working_s = (last - run.running_since).total_seconds() if run.running_since else 0.0
        row = AgentRow(
            id=run.id,
            parent_id=run.parent_id,
            depth=depth,
            label=label(run),
            about=subject(run),
            status=run.status,
            steps=run.steps,
            attempts=run.attempts,
            fixes=run.fixes,
            usage=run.usage,
            cost_usd=None if run.unpriced else round(run.cost_usd, 6),
            work_ms=round(1000 * (run.work_s + max(0.0, working_s))),
            problem=run.outcome.problem if run.outcome else None,
        )
        found += [row, *_agents(state, last, run.id, depth + 1)]
    return found


def _citations(state: SessionState, sources: Sequence[Source]) -> tuple[CitationRow, ...]:
    if not state.report:
        return ()
    documents = {source.label: source for source in sources}
    failed = list(state.citations["failed"]) if state.citations else []
    rows: list[CitationRow] = []
    for each in citations(state.report):
        reason = _reason(each, failed)
        document = documents.get(each.source)
        rows.append(
            CitationRow(
                number=each.number,
                source=each.source,
                title=document.title if document else "",
                locator=document.locator if document else "",
                quote=each.quote,
                verdict="unchecked" if state.citations is None else "fails" if reason else "holds",
                reason=reason,
            )
        )
    return tuple(rows)


def _reason(citation: Citation, failed: list[dict[str, Any]]) -> str | None:
    """Say why a citation does not hold; of several quotes on its line one may be what failed."""
    line = f"[{citation.number}] {citation.source}:"
    for each in failed:
        if each["citation"] == str(citation):
            return str(each["reason"])
        if citation.quote and each["citation"].startswith(line):
            part = each["citation"].removeprefix(line).strip().strip('"').removesuffix("...")
            if part in " ".join(citation.quote.split()):
                return str(each["reason"])
    return None


def _span(span: Span, state: SessionState, clock: _Clock) -> SpanRow:
    run = state.runs.get(span.agent_run_id or "")
    used = usage(span)
    found: dict[Literal["cached", "replayed", "retried"], object] = {
        "cached": span.attributes.get("cached"),
        "replayed": span.attributes.get("replayed"),
        "retried": span.attributes.get("retries"),
    }
    return SpanRow(
        id=span.span_id,
        parent=span.parent_span_id,
        run=span.agent_run_id,
        agent=label(run) if run else "",
        kind=span.kind,
        name=span.name,
        seq=span.seq,
        start=clock(span.started_at),
        end=clock(span.ended_at) if span.ended_at else None,
        status=span.status,
        tokens=used.total_tokens if used else None,
        cost=cost_usd(span),
        marks=tuple(mark for mark, present in found.items() if present),
    )


def _messages(journal: Sequence[ev.Event], state: SessionState, clock: _Clock) -> tuple[MessageRow, ...]:
    return tuple(
        MessageRow(
            seq=event.seq,
            at=clock(event.recorded_at),
            kind=message.kind,
            source=_party(state, message.source),
            destination=_party(state, message.destination),
            payload=message.payload,
        )
        for event, message in mailbox.messages(journal)
    )


def _party(state: SessionState, name: str) -> str:
    run: RunState | None = state.runs.get(name)
    return label(run) if run else name


def _checkpoints(
    journal: Sequence[ev.Event], state: SessionState, spans: Sequence[Span], clock: _Clock
) -> tuple[CheckpointRow, ...]:
    opened = {span.seq: span.span_id for span in spans}
    found: list[CheckpointRow] = []
    for event in journal:
        kind: Literal["model", "tool", "delegation"]
        match event.payload:
            case ev.ModelRequested(model=model):
                kind, what = "model", model
            case ev.ToolRequested(tool=tool):
                kind, what = "tool", tool
            case ev.DelegationRequested(tasks=tasks) | ev.DelegationJoined(tasks=tasks):
                kind, what = "delegation", f"{len(tasks)} task{'' if len(tasks) == 1 else 's'}"
            case _:
                continue
        run = state.runs.get(event.agent_run_id or "")
        found.append(
            CheckpointRow(
                seq=event.seq,
                at=clock(event.recorded_at),
                agent=label(run) if run else "",
                kind=kind,
                what=what,
                span=opened.get(event.seq),
            )
        )
    return tuple(found)
