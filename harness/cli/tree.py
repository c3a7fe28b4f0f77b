"""The agent runs of a session as a table: one row each, indented below who started it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.table import Table
from rich.text import Text

from harness.cli import words
from harness.delegation import tasks_at_work as tasks
from harness.flow import Agent, Lead, label, node_at
from harness.liveness import standing
from harness.records import AgentRunStatus
from harness.state import RunState, SessionState, subject

WIDEST = 120
"""Columns a table takes at most; a wider terminal would tear a row apart."""

_ROOMY = 100
"""Columns from which on there is room for long names."""

_LOOKS: dict[AgentRunStatus, tuple[str, str]] = {
    "ready": ("·", "dim"),
    "running": ("", "cyan"),
    "suspended": ("◦", "blue"),
    "checking": ("?", "magenta"),
    "done": ("✓", "green"),
    "needs_help": ("!", "yellow"),
    "failed": ("✗", "red"),
    "cancelled": ("-", "dim"),
}
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAMES_PER_S = 8
_QUIET_S = 30
"""Seconds without a step after which a person would like to know what an agent waits for."""


@dataclass(frozen=True)
class Row:
    """An agent run with the lines that lead to it in the tree."""

    run: RunState
    branch: str


def rows(state: SessionState) -> list[Row]:
    """Give the agent runs from the top down, each one's own below it."""
    return list(_below(state, None, ""))


def _below(state: SessionState, parent_id: str | None, stem: str) -> Iterator[Row]:
    children = state.children(parent_id)
    for run in children:
        last = run is children[-1]
        top = parent_id is None
        yield Row(run, "" if top else f"{stem}{'└' if last else '├'} ")
        yield from _below(state, run.id, "" if top else f"{stem}{' ' if last else '│'} ")


def fitting(found: Sequence[Row], room: int) -> tuple[list[Row], int]:
    """Choose at most `room` rows, leaving out the earliest ended ones first, and count those left out."""
    too_many = len(found) - room
    if too_many <= 0:
        return list(found), 0
    tops = [row for row in found if row.run.parent_id is None]
    ended = [row for row in found if row.run.final and row not in tops]
    waiting = [row for row in reversed(found) if row.run.status == "ready" and row not in tops]
    left_out = [*ended, *waiting][: too_many + 1]
    return [row for row in found if row not in left_out], len(left_out)


def table(
    state: SessionState,
    now: datetime,
    *,
    room: int | None = None,
    moving: bool = False,
    width: int = WIDEST,
    took_s: float | None = None,
) -> Table:
    """Draw the tree as it stands at `now`, with a row for the sum.

    `room` is how many rows there are for agent runs, `moving` turns the sign of a running one, `took_s` is
    the time of the whole.
    """
    priced = _priced(state)
    gap = 2 if width >= _ROOMY else 1
    made = Table(box=None, width=min(width, WIDEST), padding=(0, gap, 0, 0), pad_edge=False)
    made.header_style = "dim"
    made.add_column("agent", ratio=1, no_wrap=True, overflow="ellipsis")
    made.add_column("state", width=12, no_wrap=True)
    made.add_column("steps", justify="right", no_wrap=True)
    made.add_column("tokens", justify="right", width=6, no_wrap=True)
    if priced:
        made.add_column("cost", justify="right", width=7, no_wrap=True)
    made.add_column("time", justify="right", width=6, no_wrap=True)
    tool = 22 if width >= _ROOMY else 13
    made.add_column("last tool", width=tool, no_wrap=True, overflow="ellipsis")
    shown, left_out = fitting(rows(state), room) if room is not None else (rows(state), 0)
    for row in shown:
        run = row.run
        cost = [words.dollars(None if run.unpriced else run.cost_usd)] if priced else []
        made.add_row(
            _name(state, row),
            _sign(run.status, moving),
            str(run.steps),
            words.tokens(run.usage.total_tokens),
            *cost,
            words.clock(worked_s(run, now)),
            _doing(state, run, now),
            style="" if run.status == "running" else "dim" if run.status == "ready" else None,
        )
    if left_out:
        made.add_row(Text(f"… {words.number(left_out, 'agent run')} not shown", style="dim"))
    if len(state.runs) > 1:
        made.add_row(*_sum(state, priced, took_s), style="bold")
    return made


def worked_s(run: RunState, now: datetime) -> float:
    """Give the seconds an agent run has worked, up to `now` if it is at work."""
    since = (now - run.running_since).total_seconds() if run.running_since else 0.0
    return run.work_s + max(0.0, since)


def _doing(state: SessionState, run: RunState, now: datetime) -> str:
    """The last tool; for a run that has been quiet for a while, on what it waits and since when."""
    delegation = run.waiting_on
    if delegation is None:
        stands = standing(run)
        quiet_s = (now - stands.since).total_seconds()
        if stands.doing == "retrying":
            return "trying again"
        if run.status == "running" and quiet_s >= _QUIET_S:
            what = words.tool(stands.what) if stands.doing == "tool" else stands.doing
            return f"{what} {words.clock(quiet_s)}"
        return words.tool(run.last_tool)
    ended = sum(plan.outcome is not None for _, plan in tasks(state, run, delegation))
    return f"{ended} of {words.number(len(delegation.tasks), 'task')}"


def _name(state: SessionState, row: Row) -> Text:
    text = Text(row.branch, style="dim") + Text(
        _called(state, row.run), style="bold" if not row.branch else ""
    )
    about = subject(row.run)
    if about and (row.branch or len(state.questions) > 1):
        text.append(f"  {about}", style="dim")
    return text


def _called(state: SessionState, run: RunState) -> str:
    """Its node's name in the flow, where that says more than the agent's."""
    if state.created is None:
        return run.agent
    node = node_at(state.created.flow, run.address)
    if isinstance(node, Agent | Lead):
        return label(node) if node.agent == run.agent else run.agent
    return f"{run.agent} of {label(node)}" if run.role == "router" else run.agent


def _sign(status: AgentRunStatus, moving: bool) -> Text:
    sign, style = _LOOKS[status]
    if not sign:
        sign = _SPINNER[int(time.monotonic() * _FRAMES_PER_S) % len(_SPINNER)] if moving else "▸"
    return Text(f"{sign} {status.replace('_', ' ')}", style=style)


def _priced(state: SessionState) -> bool:
    return not state.replays and any(
        run.usage.model_calls and not run.unpriced for run in state.runs.values()
    )


def _sum(state: SessionState, priced: bool, took_s: float | None) -> list[str]:
    # The sum of the rows above, of which a fork has inherited some.
    whole = state.spent + state.inherited
    cost = [words.dollars(whole.cost_usd)] if priced else []
    steps = sum(run.steps for run in state.runs.values())
    took = "" if took_s is None else words.clock(took_s)
    return ["all", "", str(steps), words.tokens(whole.usage.total_tokens), *cost, took, ""]
