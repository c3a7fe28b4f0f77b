"""`harness show`: a session as its journal stands, also while it is at work elsewhere."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from harness.cli import words
from harness.cli.options import Common, common
from harness.cli.output import answer, answer_json, answer_report, answer_text, columns, draw
from harness.cli.score import lines
from harness.cli.sessions import standing
from harness.cli.show_checkpoints import tell_checkpoints, tell_last_checkpoints
from harness.cli.show_messages import tell_messages
from harness.cli.show_spans import as_of, tell_spans
from harness.cli.signals import run_whole
from harness.cli.summary import citations, inherited
from harness.cli.tree import table, worked_s
from harness.errors import BadInput
from harness.events import now
from harness.progress import AgentRunSummary, Inherited, result, summary
from harness.records import Record, SessionStatus, Usage
from harness.state import RunState, SessionState, fold, label, subject
from harness.store.journal import read_events
from harness.store.open import open_store
from harness.store.scores import KeptScore, read_scores
from harness.store.sessions import Checkpoint, SessionRow, Sessions, check_given
from harness.store.spans import read_spans


class AgentRunView(AgentRunSummary):
    """An agent run with what a person asks about it; `work_s` leaves out waiting for its own subagents.

    `cached_calls` are the tool calls that were answered from the cache, by tool_use_id. `created_seq` and
    `ended_seq` are the events to fork at for another task, or another outcome.
    """

    path: str
    created_seq: int
    ended_seq: int | None
    about: str
    steps: int
    cost_usd: float | None
    work_s: float
    last_tool: str | None
    cached_calls: tuple[str, ...]
    problem: str | None


class SessionView(Record):
    """A session in one document: what `session.finished` tells, and what led there in how many `events`."""

    session_id: str
    events: int
    status: SessionStatus
    at_work: bool
    tenant: str
    flow: str
    upstream: str
    replays: str | None
    questions: tuple[str, ...]
    sources: int
    created_at: datetime
    updated_at: datetime
    report: str | None
    problem: str | None
    citations: dict[str, Any] | None
    usage: Usage
    cost_usd: float | None
    inherited: Inherited | None
    state: dict[str, Any]
    agent_runs: tuple[AgentRunView, ...]
    checkpoints: tuple[Checkpoint, ...]
    scores: tuple[KeptScore, ...]


@click.command("show")
@click.argument("session_id")
@click.option("--messages", is_flag=True, help="Show what agents have sent one another instead.")
@click.option("--spans", is_flag=True, help="Show its timed steps as a tree instead.")
@click.option("--checkpoints", "points", is_flag=True, help="Show all its checkpoints instead.")
@click.option("--at", type=click.IntRange(min=1), metavar="SEQ", help="Show it as it was after event SEQ.")
@common
def show(common: Common, session_id: str, messages: bool, spans: bool, points: bool, at: int | None) -> int:
    """Show a session: its agent runs, checkpoints, shared state, usage and report.

    SESSION_ID is its id, or the first characters of it. It works while the session is at work elsewhere.
    """
    check_given(session_id)
    if messages + spans + points > 1:
        raise click.UsageError("Give one of --messages, --spans and --checkpoints")

    async def work() -> int:
        settings = common.settings
        async with open_store(settings) as database:
            sessions = Sessions(database, settings.tenant)
            row = await sessions.row(await sessions.find(session_id))
            journal = await read_events(database, row.session_id)
            checkpoints = await sessions.checkpoints(row.session_id)
            scores = await read_scores(database, row.session_id)
            steps = await read_spans(database, row.session_id) if spans else []
        if at is not None:
            last = journal[-1].seq
            if at > last:
                raise BadInput(
                    f"The last event of session {row.session_id} is {last}; give --at that or less."
                )
            journal = [event for event in journal if event.seq <= at]
            checkpoints = [point for point in checkpoints if point.seq <= at]
            scores = [score for score in scores if score.given_at <= journal[-1].recorded_at]
            steps = as_of(steps, at, journal[-1].recorded_at)
        state = fold(row.session_id, journal)
        # A session that nobody advances stands still since its last event, as one looked back at does.
        seen_at = now() if row.at_work and at is None else journal[-1].recorded_at
        if messages:
            tell_messages(journal, state, as_json=common.as_json)
        elif spans:
            tell_spans(steps, state, as_json=common.as_json)
        elif points:
            tell_checkpoints(state, checkpoints, common)
        elif common.as_json:
            answer_json(_document(row, state, checkpoints, scores, seen_at))
        else:
            _tell(row, state, checkpoints, scores, seen_at, after=at)
        return 0

    return run_whole(work())


def _document(
    row: SessionRow,
    state: SessionState,
    checkpoints: list[Checkpoint],
    scores: list[KeptScore],
    at: datetime,
) -> SessionView:
    return SessionView(
        **result(state).model_dump(exclude={"event", "agent_runs"}),
        events=state.head,
        tenant=row.tenant,
        flow=row.flow,
        upstream=state.created.upstream if state.created else "",
        replays=state.replays,
        questions=tuple(state.questions),
        sources=state.created.sources if state.created else 0,
        at_work=row.at_work,
        created_at=row.created_at,
        updated_at=row.updated_at,
        state=state.board(),
        agent_runs=tuple(_run_view(state, run, at) for run in state.runs.values()),
        checkpoints=tuple(checkpoints),
        scores=tuple(scores),
    )


def _run_view(state: SessionState, run: RunState, at: datetime) -> AgentRunView:
    return AgentRunView(
        **summary(run).model_dump(),
        path=run.path,
        created_seq=run.created_seq,
        ended_seq=run.ended_seq or None,
        about=subject(run),
        steps=run.steps,
        cost_usd=None if run.unpriced else 0.0 if state.replays else round(run.cost_usd, 6),
        work_s=round(worked_s(run, at), 3),
        last_tool=run.last_tool,
        cached_calls=tuple(call.tool_use_id for call in run.tools.values() if call.cached),
        problem=run.outcome.problem if run.outcome else None,
    )


def _tell(
    row: SessionRow,
    state: SessionState,
    checkpoints: list[Checkpoint],
    scores: list[KeptScore],
    at: datetime,
    after: int | None,
) -> None:
    created = state.created
    facts = [
        f"flow {row.flow}",
        f"replay of {words.short(state.replays)}" if state.replays else created.upstream if created else "",
        words.number(created.sources, "source") if created else "",
        f"begun {words.moment(row.created_at)}",
        words.fork_of(origin.session_id, origin.seq) if (origin := row.forked_from) else "",
    ]
    stands = standing(row) if after is None else f"{state.status.replace('_', ' ')} after event {after}"
    answer(f"Session {row.session_id}: {stands}")
    answer_text(", ".join(filter(None, facts)))
    for question in state.questions:
        answer_text(f"Question: {words.one_line(question)}")
    answer("")
    took_s = (at - row.created_at).total_seconds() if state.finished else None
    draw(table(state, at, width=columns(), took_s=took_s))
    for run in state.runs.values():
        if run.outcome is not None and run.outcome.problem:
            answer_text(f"{label(run)}: {run.outcome.problem}")
    for name, value in state.board().items():
        answer_text(f"state.{name}: {words.one_line(json.dumps(value, ensure_ascii=False))}")
    _tell_usage(state)
    tell_last_checkpoints(state, checkpoints)
    for line in [*citations(state.citations), *lines(scores)]:
        answer_text(line)
    if state.problem:
        answer_text(state.problem)
    if state.report:
        answer("")
        answer_report(state.report)


def _tell_usage(state: SessionState) -> None:
    usage = state.usage
    parts = [
        f"{words.tokens(usage.input_tokens)} in",
        f"{words.tokens(usage.cache_read_input_tokens)} read from cache",
        f"{words.tokens(usage.cache_creation_input_tokens)} written to cache",
        f"{words.tokens(usage.output_tokens)} out",
    ]
    answer_text(
        f"\nUsage: {words.number(usage.model_calls, 'model call')} in "
        f"{words.number(usage.attempts, 'attempt')}; tokens: {', '.join(parts)}"
    )
    if usage.unattributed_calls:
        answer_text(f"Unattributed: {words.number(usage.unattributed_calls, 'call')} whose end is not known")
    for line in inherited(result(state)):
        answer_text(line)
