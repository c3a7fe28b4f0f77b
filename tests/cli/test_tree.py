"""The tree of agent runs as a person sees it: it fits, it is indented, and long names are cut."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from random import Random

import pytest
from rich.console import Console

from harness.cli.tree import fitting, rows, table
from harness.plan import RunSpec
from harness.state import SessionState
from tests.kit.journals import BEGAN, Book, Case, Fate, Simulator, created, run_created, started, task


def simulated(tasks: int) -> SessionState:
    """A session in which a lead has given out many tasks and all have ended."""
    fates: list[Fate] = ["done"] * tasks
    return Simulator(Case(rounds=(tuple(fates),)), Random(1)).finish().state


def drawn(state: SessionState, width: int, room: int | None = None) -> list[str]:
    """The lines of the table on a terminal of this width."""
    console = Console(width=width, record=True, file=StringIO(), markup=False)
    console.print(table(state, BEGAN + timedelta(hours=1), width=width, room=room))
    return [line.rstrip() for line in console.export_text().splitlines()]


def deep(objective: str = "Which way does the wind blow over the wide and open sea?") -> SessionState:
    """A lead, two below it, and one below the first of those."""
    book = Book()
    book.add(created())
    for run_id, parent in (("lead", None), ("one", "lead"), ("two", "lead"), ("below", "one")):
        agent = "lead" if parent is None else "researcher"
        spec = RunSpec(run_id, agent, parent, f"q0/{run_id}", task(agent, {"objective": objective}))
        book.add(run_created(spec), run_id)
    book.add(started(book.state.runs["two"]), "two")
    return book.state


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """At any width each agent run has one line of its own, with a long task cut."""
    lines = drawn(deep(), width)
    assert len(lines) == 1 + 4 + 1
    assert max(map(len, lines)) <= min(width, 120)
    assert sum("…" in line for line in lines) >= 3 * (width < 120)


def test_agent_runs_stand_below_who_started_them() -> None:
    """Branches show the parent, also over two levels."""
    lines = drawn(deep("Wind?"), 80)
    assert [line[:16].rstrip() for line in lines[1:5]] == [
        "lead",
        "├ researcher  Wi",
        "│ └ researcher",
        "└ researcher  Wi",
    ]
    assert "▸ running" in lines[4]
    assert "1:00:0" in lines[4] or "59:5" in lines[4]


def test_brackets_of_a_task_are_shown_as_they_are() -> None:
    """A task's text is no markup."""
    assert "[bold]" in drawn(deep("[bold] :smile:"), 120)[2]


def test_a_small_terminal_leaves_out_what_has_ended() -> None:
    """The lead and what is at work stay in sight; the count of what is left out is said."""
    state = simulated(20)
    kept, left_out = fitting(rows(state), 10)
    assert len(kept) + left_out == len(state.runs)
    assert len(kept) < 10
    assert kept[0].run.parent_id is None
    lines = drawn(state, 80, room=10)
    assert any(f"… {left_out} agent runs not shown" in line for line in lines)
    assert fitting(rows(state), 50)[1] == 0


def test_one_who_works_is_never_left_out() -> None:
    """Of a crowd that does not fit, the ended and the waiting go first."""
    state = simulated(20)
    busy = list(state.runs.values())[5:9]
    for run in busy:
        run.status = "running"
    kept, _ = fitting(rows(state), 6)
    assert {run.id for run in busy} <= {row.run.id for row in kept}
