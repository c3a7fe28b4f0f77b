"""`harness score`: what a person thinks of a session, kept beside it and sent to Langfuse."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable
from typing import Any

import click

from harness.cli import words
from harness.cli.options import TEXT, Common, common
from harness.cli.output import answer, answer_json
from harness.cli.signals import run_whole
from harness.errors import BadInput
from harness.events import now
from harness.export.langfuse import receives
from harness.export.scores import Sent, send_scores
from harness.store.database import Database
from harness.store.open import open_store
from harness.store.scores import KeptScore, add_score, read_scores
from harness.store.sessions import SHORTEST, Sessions, check_given
from harness.store.spans import read_spans
from harness.tracing.scores import COMMENT_CHARS, Score

_WORD_CHARS = 100


class _Word(click.ParamType[str]):
    """A name or a category: something on one line that can be shown in a table."""

    name = "word"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        word: str = TEXT.convert(value, param, ctx).strip()
        if not word:
            self.fail("it is empty; give a word", param, ctx)
        if len(word) > _WORD_CHARS or not word.isprintable():
            said = f"it is longer than {_WORD_CHARS} characters or a line; say the rest with --comment"
            self.fail(said, param, ctx)
        return word


class _Value(click.ParamType["float | str"]):
    """A finite number, or a word."""

    name = "value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        word = _Word().convert(value, param, ctx)
        try:
            number = float(word)
        except ValueError:
            if word.startswith("-"):
                self.fail(f"there is no option '{word}'; a value is a number or a word", param, ctx)
            return word
        if not math.isfinite(number):
            self.fail(f"'{word}' is no finite number; give one, or a word", param, ctx)
        return number


def _comment(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and len(value) > COMMENT_CHARS:
        raise click.BadParameter(f"it has {len(value)} characters; shorten it to {COMMENT_CHARS}")
    return value.strip() or None if value else None


# So that a number below zero is a value and no option.
@click.command("score", context_settings={"ignore_unknown_options": True})
@click.argument("session_id")
@click.argument("value", type=_Value())
@click.option("--name", type=_Word(), default="quality", show_default=True, help="What is scored.")
@click.option("--comment", type=TEXT, callback=_comment, help="Why.")
@click.option("--span", metavar="SPAN_ID", help="Score this step of it, instead of the whole session.")
@common
def score(
    common: Common, session_id: str, value: float | str, name: str, comment: str | None, span: str | None
) -> int:
    """Score a session: VALUE is a number, or a word such as good.

    The score is kept with the session. Where Langfuse is set up it is sent there, too, now or later.
    """
    check_given(session_id)

    async def work() -> int:
        settings = common.settings
        async with open_store(settings) as database:
            whole = await Sessions(database, settings.tenant).find(session_id)
            given = Score(
                id=str(uuid.uuid4()),
                session_id=whole,
                span_id=await _find_span(database, whole, span) if span is not None else None,
                name=name,
                value=value,
                comment=comment,
                given_at=now(),
            )
            await add_score(database, given)
            found = await send_scores(database, settings, whole)
            (kept,) = [each for each in await read_scores(database, whole) if each.id == given.id]
        if common.as_json:
            answer_json({"score": kept, "problem": kept.refused or found.problem})
        else:
            answer(f"{line(kept)} is kept with session {whole}.")
            answer(_whereabouts(kept, found, receives(settings)))
        return 0

    return run_whole(work())


def lines(scores: Iterable[KeptScore]) -> list[str]:
    """Write scores for a person, one on a line."""
    return [f"{line(each)}, {words.moment(each.given_at)}{_why(each)}" for each in scores]


def line(score: Score) -> str:
    """Name a score and its value."""
    value = score.value if isinstance(score.value, str) else f"{score.value:.4g}"
    return f"Score {score.name}: {value}"


def _why(score: KeptScore) -> str:
    said = f" ({words.one_line(score.comment)})" if score.comment else ""
    return f"{said}; not taken: {words.one_line(score.refused)}" if score.refused else said


def _whereabouts(kept: KeptScore, found: Sent, receives: bool) -> str:
    if kept.sent_at is not None:
        return "Langfuse has it."
    if kept.refused:
        return f"{kept.refused}."
    if not receives:
        return "Langfuse is not set up to get it."
    why = f"{found.problem} " if found.problem else ""
    return f"{why}It waits to be sent, with the next score of the session or by: harness trace flush"


async def _find_span(database: Database, session_id: str, given: str) -> str:
    ids = [each.span_id for each in await read_spans(database, session_id)]
    meant = [each for each in ids if each.startswith(given.strip().lower()) and len(given) >= SHORTEST]
    if len(meant) != 1:
        raise BadInput(
            f"--span '{given}' names {'no' if not meant else 'more than one'} step of session {session_id}; "
            "see: harness show --spans"
        )
    return meant[0]
