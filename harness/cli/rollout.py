"""`harness rollout`: a new version of a bundle or a flow for some sessions first, and how they do with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from harness.bundles.load import load_bundles
from harness.candidate import read_candidate, start_rollout
from harness.cli import words
from harness.cli.options import TEXT, Common, common
from harness.cli.output import answer, answer_json, answer_text, draw
from harness.cli.signals import run_whole
from harness.errors import BadInput
from harness.redaction import Redactor
from harness.rollout import Arm, Bounds, Rollout, RolloutStatus, Tally
from harness.settings import known_secrets
from harness.store.open import open_store
from harness.store.rollouts import end_rollout, judge, read_rollouts, tallies

ARMS: tuple[Arm, ...] = ("old", "new")
_FIRST_PERCENT = 10.0
_BOUNDS = Bounds()


class _Number(click.FloatRange):
    """A finite number in a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"'{value}' is no finite number", param, ctx)
        return number


@click.group("rollout")
def rollout() -> None:
    """Give a new version of an agent or a flow to some sessions first.

    A session keeps the version that it begins with. A new version that does worse than the old one is
    aborted.
    """


@rollout.command("start")
@click.argument("new", metavar="FOLDER_OR_FILE", type=click.Path(path_type=Path))
@click.option(
    "--percent",
    type=_Number(0, 100, min_open=True),
    help="How many of the sessions begin with it: 10 percent, or all of the tenants that are named.",
)
@click.option(
    "--for-tenant", "tenants", multiple=True, type=TEXT, metavar="NAME", help="Only for this tenant."
)
@click.option(
    "--min-sessions",
    type=click.IntRange(min=1),
    default=_BOUNDS.min_sessions,
    show_default=True,
    help="Nothing is decided before so many sessions have ended with each version.",
)
@click.option(
    "--max-failure-rate",
    type=_Number(0, 1),
    default=_BOUNDS.max_failure_rate,
    show_default=True,
    help="Abort when the share of failed sessions is above the old version's by more than this.",
)
@click.option(
    "--max-gate-rate",
    type=_Number(0, 1),
    default=_BOUNDS.max_gate_rate,
    show_default=True,
    help="Abort when the share of answers sent back is above the old version's by more than this.",
)
@click.option(
    "--max-cost-ratio",
    type=_Number(0, min_open=True),
    default=_BOUNDS.max_cost_ratio,
    show_default=True,
    help="Abort when a session costs more than so many times as much as with the old version.",
)
@common
def rollout_start(
    common: Common, new: Path, percent: float | None, tenants: tuple[str, ...], **bounds: Any
) -> int:
    """Begin to give a new version to sessions: an agent's folder, or a flow's file, from anywhere.

    It takes the place of the agent or flow of the same name that is in force now, and is examined like any
    before a session begins.
    """
    if any(not name.strip() for name in tenants):
        raise BadInput("--for-tenant is empty; name a tenant, or leave the option out.")
    settings, bundles = common.settings, load_bundles(common.folder)
    candidate = read_candidate(new, bundles, common.folder, Redactor(known_secrets(settings)))

    async def work() -> int:
        async with open_store(settings) as database:
            begun = await start_rollout(
                database,
                settings.home,
                candidate,
                bundles,
                common.folder,
                percent=percent or (100.0 if tenants else _FIRST_PERCENT),
                tenants=[name.strip() for name in tenants] or None,
                bounds=Bounds(**bounds),
            )
            (found,) = [each for each in await read_rollouts(database) if each.id == begun]
        if common.as_json:
            answer_json({"rollout": found})
        else:
            answer(f"{_heading(found)}.")
            answer("See how it does with: harness rollout status")
        return 0

    return run_whole(work())


@rollout.command("status")
@common
def rollout_status(common: Common) -> int:
    """Show the rollouts, the newest first, with how sessions do with either version."""
    settings = common.settings

    async def work() -> int:
        async with open_store(settings) as database:
            for each in await read_rollouts(database):
                if each.status == "running":
                    await judge(database, each.id)
            found = [(each, await tallies(database, each.id)) for each in await read_rollouts(database)]
        if common.as_json:
            answer_json(
                {
                    "rollouts": [
                        each.model_dump(mode="json") | {"arms": {arm: _figures(tally[arm]) for arm in ARMS}}
                        for each, tally in found
                    ]
                }
            )
        elif not found:
            answer("There are no rollouts yet; begin one with: harness rollout start FOLDER_OR_FILE")
        for each, tally in [] if common.as_json else found:
            answer(f"{_heading(each)}.")
            draw(_table(each, tally))
            answer_text(each.reason or _outlook(each, tally))
            answer("")
        return 0

    return run_whole(work())


@rollout.command("promote")
@click.argument("name", required=False)
@common
def rollout_promote(common: Common, name: str | None) -> int:
    """Let all sessions that would begin with the old version begin with the new one.

    NAME is the agent or flow, or the id of the rollout; it may be left out when one rollout is running. Once
    the files on disk are others than the old version's, they are what sessions begin with again.
    """
    return _end(common, name, "promoted", ("running",), None)


@rollout.command("abort")
@click.argument("name", required=False)
@common
def rollout_abort(common: Common, name: str | None) -> int:
    """Let all sessions begin with the old version again; those that have begun keep theirs.

    NAME is the agent or flow, or the id of the rollout; it may be left out when one rollout is running. A
    version that was promoted is taken back.
    """
    return _end(common, name, "aborted", ("running", "promoted"), "It was aborted by a person.")


def _end(
    common: Common,
    name: str | None,
    status: RolloutStatus,
    where: Sequence[RolloutStatus],
    reason: str | None,
) -> int:
    settings = common.settings

    async def work() -> int:
        async with open_store(settings) as database:
            meant = one_meant(await read_rollouts(database), name, where)
            if not await end_rollout(database, meant, status, reason):
                raise BadInput("The rollout has ended meanwhile; see: harness rollout status")
        if common.as_json:
            answer_json({"rollout": meant.id, "status": status})
        else:
            answer(f"The rollout of the {meant.kind} {meant.name} is {status}.")
        return 0

    return run_whole(work())


def one_meant(found: Sequence[Rollout], name: str | None, where: Sequence[RolloutStatus]) -> Rollout:
    """Give the one rollout that is meant by a name or the beginning of an id, a running one first.

    `found` are all there are, the newest first; `where` are the states that it may be in. Without a name it
    is the one that is running.

    Raises:
        BadInput: there is none, or more than one.
    """
    states: Sequence[RolloutStatus] = where if name is not None else ("running",)
    for status in states:
        meant = [each for each in found if each.status == status and (name is None or _is(each, name))]
        if status == "promoted":
            meant = meant[:1]
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise BadInput("More than one rollout is meant; give the id of one: see harness rollout status.")
    about = f" of '{name}'" if name is not None else ""
    raise BadInput(f"There is no rollout{about} that is {' or '.join(states)}; see: harness rollout status")


def _is(each: Rollout, name: str) -> bool:
    return name == each.name or (len(name) >= 4 and each.id.startswith(name.lower()))


def _figures(tally: Tally) -> dict[str, Any]:
    rates = {"failure_rate": tally.failure_rate, "gate_rate": tally.gate_rate, "mean_usd": tally.mean_usd}
    return tally.model_dump() | rates


def _heading(each: Rollout) -> str:
    whom = f" of {', '.join(each.tenants)}" if each.tenants else ""
    return (
        f"Rollout {words.short(each.id)} of the {each.kind} {each.name}, {each.status}: "
        f"{words.short(each.old_version)} to {words.short(each.new_version)} "
        f"for {each.percent:g} % of the sessions{whom}, since {words.moment(each.started_at)}"
    )


def _outlook(each: Rollout, tally: dict[Arm, Tally]) -> str:
    if each.status != "running":
        return "It was promoted."
    bounds = each.bounds
    enough = min(tally[arm].ended for arm in ARMS) >= bounds.min_sessions
    return (
        f"{'It is within its limits' if enough else 'It is too early to tell'}. With {bounds.min_sessions} "
        f"sessions ended with each it is aborted for {bounds.max_failure_rate * 100:g} points more failures, "
        f"{bounds.max_gate_rate * 100:g} points more answers sent back, or {bounds.max_cost_ratio:g} times "
        "the cost of a session."
    )


def _table(each: Rollout, tally: dict[Arm, Tally]) -> Table:
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for heading in ("version", "begun", "ended", "failed", "sent back", "no opinion", "mean cost"):
        made.add_column(heading, no_wrap=True)
    for arm in ARMS:
        figures = tally[arm]
        made.add_row(
            f"{arm} {words.short(each.old_version if arm == 'old' else each.new_version)}",
            str(figures.begun),
            str(figures.ended),
            _share(figures.failed, figures.failure_rate),
            _share(figures.sent_back, figures.gate_rate),
            str(figures.abstained),
            words.dollars(figures.mean_usd),
        )
    return made


def _share(count: int, rate: float | None) -> str:
    return str(count) if rate is None else f"{count} ({rate * 100:.3g} %)"
