"""Scores: what a check, a gate or a person says of a session or of one of its steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from pydantic import FiniteFloat

from harness import events as ev
from harness.records import Record, derived_id
from harness.tracing.span import Span

COMMENT_CHARS = 2000
"""How long a comment may be; a gate's is cut there."""


SCORED = ("session.finished", "gate.decided")
"""The kinds of events that scores follow from."""


class Score(Record):
    """A number or a category. Without `span_id` it is a score of the whole session.

    Langfuse knows a score by its id, its name and the day of `given_at`: one that is sent again with these
    replaces the first.
    """

    id: str
    session_id: str
    span_id: str | None = None
    name: str
    value: FiniteFloat | str
    comment: str | None = None
    given_at: datetime


def scores_of(
    journal: Iterable[ev.Event], spans: Sequence[Span] = (), *, comments: bool = True
) -> tuple[Score, ...]:
    """Give the scores that follow from a session's events: of its citations, and the verdicts of its gates.

    Their ids are derived, so that whoever asks again gets the same scores. A verdict is a score of the agent
    run's span of that time, when it is among `spans`. Without `comments` no gate's words are repeated.
    """
    found: list[Score] = []
    for event in journal:
        match event.payload:
            case ev.SessionFinished(citations={"checked": int(checked), "failed": failed}) if checked:
                found.append(_citations(event, checked, len(failed)))
            case ev.GateDecided() as gate:
                found.append(_verdict(event, gate, _at_work(event, spans), comments))
            case _:
                pass
    return tuple(found)


def _citations(event: ev.Event, checked: int, failed: int) -> Score:
    held = checked - failed
    return Score(
        id=derived_id(event.session_id, "citations", event.seq),
        session_id=event.session_id,
        name="citations_held",
        value=held / checked,
        comment=f"{held} of {checked} hold",
        given_at=event.recorded_at,
    )


def _verdict(event: ev.Event, gate: ev.GateDecided, span_id: str | None, comments: bool) -> Score:
    return Score(
        id=derived_id(event.session_id, "gate", event.seq),
        session_id=event.session_id,
        span_id=span_id,
        name=f"gate {gate.by}",
        value=gate.verdict,
        comment=_storable(gate.problem) if comments and gate.problem else None,
        given_at=event.recorded_at,
    )


def _at_work(event: ev.Event, spans: Iterable[Span]) -> str | None:
    """The span of the agent run as it was taken up last before this event."""
    taken_up = [
        span
        for span in spans
        if span.kind == "agent_run" and span.agent_run_id == event.agent_run_id and span.seq <= event.seq
    ]
    return max(taken_up, key=lambda span: span.seq).span_id if taken_up else None


def _storable(text: str) -> str:
    """The beginning of a text, without what Postgres does not take: NUL and halves of surrogate pairs."""
    whole = text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    return whole if len(whole) <= COMMENT_CHARS else whole[: COMMENT_CHARS - 1] + "…"
