"""The messages of a session in a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable

from harness import mailbox
from harness.cli import words
from harness.cli.output import answer, answer_json
from harness.events import Event
from harness.state import SessionState


def tell_messages(journal: Iterable[Event], state: SessionState, *, as_json: bool) -> None:
    """Show each message on a line, or as a line of JSON."""
    for event, message in mailbox.messages(journal):
        if as_json:
            answer_json(message)
            continue
        names = [_party(state, name) for name in (message.source, message.destination)]
        payload = words.one_line(json.dumps(message.payload, ensure_ascii=False))
        answer(f"{event.seq:>5}  {message.kind:<6}  {' -> '.join(names)}  {payload}")


def _party(state: SessionState, name: str) -> str:
    run = state.runs.get(name)
    return f"{run.agent} ({run.path})" if run else name
