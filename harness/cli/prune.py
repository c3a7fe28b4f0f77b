"""`harness prune`: deletes old sessions, and what nobody uses any more."""

from __future__ import annotations

import re
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any, get_args

import click
from rich.table import Table

from harness.cli import words
from harness.cli.lazy import importing
from harness.cli.options import Common, common
from harness.cli.output import answer, answer_json, draw
from harness.cli.signals import run_whole
from harness.errors import BadInput
from harness.records import ENDED, SessionStatus
from harness.settings import Settings
from harness.store.open import open_store
from harness.store.prunable import Choice, Prunable, ago, choice_of, prunable
from harness.store.storage import freed_bytes

if TYPE_CHECKING:
    from harness.housekeeping import Tidied

_SHOWN = 20
"""Sessions a person is shown before being asked."""

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE = re.compile(rf"(\d{{1,4}})([{''.join(_UNITS)}])")


class _Age(click.ParamType[timedelta]):
    """How long ago: a number with a unit."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        found = _AGE.fullmatch(str(value).strip().lower())
        if found is None:
            self.fail(f"'{value}' is no age; write it like 30d, 12h or 2w", param, ctx)
        return timedelta(**{_UNITS[found[2]]: int(found[1])})


@click.command("prune")
@click.option(
    "--older-than", "age", type=_Age(), help="Sessions in which nothing has happened for so long, as 30d."
)
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(get_args(SessionStatus)),
    help=f"Sessions in this state; again for another. By default {', '.join(ENDED)}.",
)
@click.option("--dry-run", is_flag=True, help="Show what would go, and delete nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
def prune(
    common: Common, age: timedelta | None, statuses: tuple[SessionStatus, ...], dry_run: bool, yes: bool
) -> int:
    """Delete old sessions with all that hangs on them; without options, those that the settings let go.

    Only sessions that have ended go, unless --status names others. One that is at work or queued never goes.
    What is kept can still be resumed: that is proved before a deletion is committed. Nothing brings back what
    was deleted; keep it with: harness export
    """
    settings = common.settings
    choice = _choice(settings, age, statuses)
    if not (dry_run or yes) and (common.as_json or not sys.stdin.isatty()):
        raise BadInput("Nobody can be asked here; say --yes to delete, or --dry-run to see what would go.")
    chosen, freed = run_whole(_look(settings, choice))
    if not common.as_json and (dry_run or not yes):
        _show(chosen, freed)
    if not dry_run and not yes and chosen and not click.confirm("Delete them for good?"):
        answer("Nothing was deleted.")
        return 0
    done = None if dry_run else run_whole(_tidy(settings, chosen, choice))
    if common.as_json:
        answer_json({"sessions": chosen, "freed_bytes": freed, "dry_run": dry_run, "deleted": done})
    elif done is not None:
        answer(_told(done))
    return 0


def _choice(settings: Settings, age: timedelta | None, statuses: tuple[SessionStatus, ...]) -> Choice | None:
    """What a person chooses, else what the settings let go."""
    if age is not None:
        return Choice(tenant=settings.tenant, before=ago(age), statuses=statuses or ENDED)
    chosen = choice_of(settings)
    if chosen is None and (statuses or settings.housekeeping.span_days is None):
        raise BadInput("Nothing says how old is old; give --older-than 30d, or set housekeeping.keep_days.")
    return chosen and chosen.model_copy(update={"statuses": statuses or ENDED})


async def _look(settings: Settings, choice: Choice | None) -> tuple[list[Prunable], int]:
    async with open_store(settings) as database:
        chosen = await prunable(database, choice) if choice else []
        return chosen, await freed_bytes(database, chosen)


async def _tidy(settings: Settings, chosen: list[Prunable], choice: Choice | None) -> Tidied:
    with importing():
        from harness.housekeeping import tidy  # here, because importing the SDK takes a second

    async with open_store(settings) as database:
        return await tidy(database, settings, chosen, choice)


def _show(chosen: list[Prunable], freed: int) -> None:
    if not chosen:
        answer("No session would be deleted.")
        return
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", expand=True)
    for name in ("session", "state", "last event"):
        made.add_column(name, no_wrap=True)
    made.add_column("question", ratio=1, no_wrap=True, overflow="ellipsis")
    for each in chosen[:_SHOWN]:
        status = each.status.replace("_", " ") if each.events else "never begun"
        question = words.one_line(each.question)
        made.add_row(words.short(each.session_id), status, words.moment(each.updated_at), question)
    draw(made)
    if len(chosen) > _SHOWN:
        answer(f"... and {len(chosen) - _SHOWN} more: --dry-run --json names all.")
    sessions = words.number(len(chosen), "session")
    answer(f"{sessions} would be deleted with all that hangs on them: about {words.size(freed)}.")


def _told(done: Tidied) -> str:
    parts = [
        words.number(done.sessions, "session"),
        words.number(done.documents, "unused document"),
        words.number(done.spans, "sent span"),
        words.number(done.tool_answers, "outdated tool answer"),
    ]
    return f"Deleted: {', '.join(parts)}."
