"""What a command answers on stdout, and how a session is followed."""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Protocol, Self

import click
from pydantic import BaseModel
from rich.console import Console, RenderableType
from rich.text import Text

from harness.cli import words
from harness.cli.stderr import say
from harness.progress import AgentRunChanged, Result, SessionStarted
from harness.state import RunState, SessionState, label, subject

WIDE = 200
"""Columns of what is drawn into a pipe."""

READABLE = 100
"""Columns of running text at most."""


def answer(text: str) -> None:
    """Write a text to stdout; a character the terminal cannot show is written as its code."""
    _lenient_stdout(None)
    click.echo(text)


def answer_text(text: str, widest: int | None = None) -> None:
    """Write running text to stdout: on a terminal its lines end between words, else it is as it is."""
    if sys.stdout.isatty():
        draw(Text(text), widest=widest)
    else:
        answer(text)


def answer_report(report: str) -> None:
    """Write a report to stdout, on a terminal in lines that can be read."""
    answer_text(report.rstrip(), widest=READABLE)


def columns() -> int:
    """Give how many columns there are on stdout: the terminal's, or enough that a pipe loses nothing."""
    return Console().width if sys.stdout.isatty() else WIDE


def draw(renderable: RenderableType, widest: int | None = None) -> None:
    """Draw to stdout; lines in a pipe have no blanks at their end."""
    _lenient_stdout(None)
    width = columns()
    console = Console(markup=False, emoji=False, highlight=False, width=min(width, widest or width))
    if sys.stdout.isatty():
        console.print(renderable)
        return
    with console.capture() as drawn:
        console.print(renderable)
    for line in drawn.get().splitlines():
        click.echo(line.rstrip())


def answer_json(value: BaseModel | dict[str, Any] | list[Any]) -> None:
    """Write a value as one line of JSON to stdout, at once."""
    plain = value.model_dump(mode="json", fallback=str) if isinstance(value, BaseModel) else value
    # With this error handler a lone surrogate becomes the JSON escape of itself.
    _lenient_stdout("utf-8")
    click.echo(json.dumps(plain, ensure_ascii=False, default=_as_json))
    sys.stdout.flush()


def _as_json(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


def _lenient_stdout(encoding: str | None) -> None:
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(encoding=encoding, errors="backslashreplace")


class View(Protocol):
    """How a person or a program follows a session. It is entered before the session goes on."""

    def __enter__(self) -> Self:
        """Begin to show."""
        ...

    def __exit__(self, *_: object) -> None:
        """Leave the last state standing."""
        ...

    def started(self, line: SessionStarted, state: SessionState) -> None:
        """The session is committed."""
        ...

    def changed(self, line: AgentRunChanged, state: SessionState) -> None:
        """An agent run has changed its state."""
        ...

    def finished(self, result: Result) -> None:
        """The session has ended or cannot go on now."""
        ...


class JsonLines:
    """One JSON object a line on stdout, and nothing else."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def started(self, line: SessionStarted, state: SessionState) -> None:
        """Write the line."""
        answer_json(line)

    def changed(self, line: AgentRunChanged, state: SessionState) -> None:
        """Write the line."""
        answer_json(line)

    def finished(self, result: Result) -> None:
        """Write the line."""
        answer_json(result)


class PlainLines:
    """A line on stderr for each change, for pipes and logs."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def started(self, line: SessionStarted, state: SessionState) -> None:
        """The heading has said it."""

    def changed(self, line: AgentRunChanged, state: SessionState) -> None:
        """Say who has changed to what, and what was used so far."""
        run = state.runs[line.id]
        detail = [subject(run)] if line.status == "ready" and run.parent_id else _used(run, state)
        if run.final and run.outcome is not None and run.outcome.problem:
            detail.append(run.outcome.problem)
        said = f": {', '.join(filter(None, detail))}" if any(detail) else ""
        say(f"{words.clock(time.monotonic() - self._began):>6}  {label(run)} {line.status}{said}")

    def finished(self, result: Result) -> None:
        """The summary says it."""


def _used(run: RunState, state: SessionState) -> list[str]:
    if not run.usage.model_calls:
        return []
    used = [words.number(run.steps, "step"), f"{words.tokens(run.usage.total_tokens)} tokens"]
    return used if run.unpriced or state.replays else [*used, words.dollars(run.cost_usd)]
