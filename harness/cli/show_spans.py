"""The spans of a session in a terminal: a tree, one line each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from harness.cli import words
from harness.cli.output import answer, answer_json, columns, draw
from harness.cli.stderr import say
from harness.state import SessionState, label
from harness.tracing.outline import Line, cost_usd, outline, usage
from harness.tracing.span import Span, SpanStatus

NO_SPANS = "No spans were kept of this session; what its journal tells is shown by: harness show"

_ROOMY = 76
"""Columns from which on a status is written as a word."""

_DEEPEST = 6
"""Steps to the right that a narrow terminal has room for; deeper ones stand there, too."""

_LOOKS: dict[SpanStatus, tuple[str, str]] = {
    "open": ("…", "yellow"),
    "ok": ("✓", "green"),
    "error": ("✗", "red"),
    "needs_help": ("!", "yellow"),
    "interrupted": ("↯", "magenta"),
    "suspended": ("◦", "blue"),
    "cancelled": ("-", "dim"),
}


def tell_spans(spans: Sequence[Span], state: SessionState, *, as_json: bool) -> None:
    """Show the spans from the top down, or write each as a line of JSON in the order of their starts."""
    if not spans:
        say(NO_SPANS)
    elif as_json:
        for span in spans:
            answer_json(span)
    else:
        draw(spans_table(spans, state, columns()))
        answer("What went in and came out: harness show --spans --json, or harness report --html FILE")


def as_of(spans: Sequence[Span], seq: int, at: datetime) -> list[Span]:
    """Give the spans as they were after event `seq`, which was recorded `at`."""
    return [
        span.model_copy(update={"ended_at": None, "status": "open"})
        if span.ended_at is not None and span.ended_at > at
        else span
        for span in spans
        if span.seq <= seq
    ]


def spans_table(spans: Sequence[Span], state: SessionState, width: int) -> Table:
    """Draw the tree of spans: when each began and how long it took, how it ended, what it used."""
    lines = outline(spans)
    began = min(line.span.started_at for line in lines)
    roomy = width >= _ROOMY
    priced = any(cost_usd(span) is not None for span in spans)
    made = Table(box=None, width=min(width, 140), padding=(0, 2 if roomy else 1, 0, 0), pad_edge=False)
    made.header_style = "dim"
    made.add_column("span", ratio=1, no_wrap=True, overflow="ellipsis")
    made.add_column("start", justify="right", no_wrap=True)
    made.add_column("took", justify="right", no_wrap=True)
    made.add_column("status" if roomy else "", width=13 if roomy else 1, no_wrap=True)
    made.add_column("tokens", justify="right", no_wrap=True)
    if priced:
        made.add_column("cost", justify="right", no_wrap=True)
    for line in lines:
        span, used = line.span, usage(line.span)
        sign, style = _LOOKS[span.status]
        cost = [words.dollars(cost_usd(span)) if cost_usd(span) is not None else ""] if priced else []
        made.add_row(
            _name(line, state, _DEEPEST if not roomy else len(lines)),
            words.clock((span.started_at - began).total_seconds()),
            "" if span.duration_s is None else words.took(span.duration_s),
            Text(f"{sign} {span.status.replace('_', ' ')}" if roomy else sign, style=style),
            words.tokens(used.total_tokens) if used else "",
            *cost,
        )
    return made


def _name(line: Line, state: SessionState, deepest: int) -> Text:
    span = line.span
    steps = line.lasts[1:][:deepest]
    stem = "".join(" " if last else "│" for last in steps[:-1])
    branch = f"{stem}{'└' if steps[-1] else '├'} " if steps else ""
    text = Text(branch, style="dim")
    run = state.runs.get(span.agent_run_id or "")
    if span.kind == "agent_run" and run is not None:
        return text.append(label(run), style="bold")
    operation, _, what = span.name.partition(" ")
    if span.kind == "turn":
        return text.append(f"turn of {what}")
    called = operation in ("chat", "execute_tool") and what
    text.append(words.tool(what) if called else span.name)
    marks = [mark for mark in ("cached", "replayed") if span.attributes.get(mark)]
    marks += (
        [words.number(len(span.attributes["retries"]), "retry")] if span.attributes.get("retries") else []
    )
    return text.append(f" ({', '.join(marks).replace('retrys', 'retries')})" if marks else "", style="dim")
