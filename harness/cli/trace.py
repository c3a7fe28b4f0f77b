"""`harness trace`: how a session's spans stand, sending them, and writing them out."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import words
from harness.cli.options import Common, Out, common
from harness.cli.output import answer, answer_json
from harness.cli.signals import run_whole
from harness.cli.stderr import say
from harness.errors import BadInput
from harness.export.address import Address, address, otlp, required
from harness.export.langfuse import receives
from harness.records import Record
from harness.sections import http_url
from harness.store.database import Database
from harness.store.open import open_store
from harness.store.sessions import Sessions, check_given
from harness.store.spans import Ended, Outbox, Standing, read_ended, refusals, standing

if TYPE_CHECKING:
    from harness.export.scores import Sent
    from harness.settings import Settings

LEFT = 3
"""The exit code when spans or scores are left that were not delivered."""


class Refusal(Record):
    """Why spans will never be taken by the receiver, and how many they are."""

    problem: str
    spans: int


@click.group("trace")
def trace() -> None:
    """See whether spans have reached their receiver, send them, or write them out."""


@trace.command("status")
@click.argument("session_id", required=False)
@common
def trace_status(common: Common, session_id: str | None) -> int:
    """Say where spans are sent, how many were, and how many wait. SESSION_ID narrows it to one session."""
    if session_id is not None:
        check_given(session_id)

    async def work() -> int:
        settings = common.settings
        async with open_store(settings) as database:
            found = await _session(database, settings, session_id)
            stands = await standing(database, settings.tenant, found)
            reasons = await refusals(database, settings.tenant, found)
        to = address(settings)
        if common.as_json:
            refused = [Refusal(problem=problem, spans=count) for problem, count in reasons]
            answer_json({"receiver": to.place if to else None, **_counts(stands), "refusals": refused})
        else:
            _tell(to, settings, stands, reasons)
        return 0

    return run_whole(work())


@trace.command("flush")
@click.argument("session_id", required=False)
@common
def trace_flush(common: Common, session_id: str | None) -> int:
    """Send all spans that have ended and all scores that wait, or those of one session.

    It ends with 3 when some are left.
    """
    if session_id is not None:
        check_given(session_id)
    settings = common.settings
    to = required(settings)

    async def work() -> int:
        from harness.export.receiver import Receiver  # here, because HTTP takes a quarter of a second
        from harness.export.scores import send_scores
        from harness.export.shipper import Shipper

        async with open_store(settings) as database, Receiver(to) as receiver:
            found = await _session(database, settings, session_id)
            outbox = Outbox(database, settings.tenant, found)
            drained = await Shipper(outbox, receiver, settings.tracing.environment).drain()
            left = await outbox.standing()
            scores = await send_scores(database, settings, found)
        if common.as_json:
            counts = {"sent": drained.sent, "refused": drained.refused, "left": left.waiting}
            counts |= {"scores_sent": scores.sent, "scores_left": scores.left}
            counts |= {"scores_refused": scores.refused}
            problems = {"problem": drained.problem or None, "scores_problem": _why_not(scores)}
            answer_json({"receiver": to.place, **counts, **problems})
        else:
            answer(_counted("span", drained.sent, drained.refused, left.waiting))
            if scores.sent or scores.refused or (scores.left and receives(settings)):
                answer(_counted("score", scores.sent, scores.refused, scores.left))
            if left.held:
                answer(
                    f"{left.held} of those are with another exporter; if it has died, try again in 2 minutes."
                )
            # What keeps spans is said by the log as it happens; sending scores logs nothing.
            if why := _why_not(scores):
                say(why)
        unsent = left.waiting or (scores.left and receives(settings))
        return LEFT if unsent else 0

    return run_whole(work())


def _counted(what: str, sent: int, refused: int, left: int) -> str:
    return f"{words.number(sent, what)} sent{f', {refused} refused' if refused else ''}, {left} left."


def _why_not(scores: Sent) -> str | None:
    """Say why scores wait or were refused; None when there is nothing to say."""
    why = []
    if scores.refusal:
        why.append(f"Refused for good: {scores.refusal}.")
    if scores.problem:
        why.append(scores.problem)
    elif scores.left and scores.pause_s:
        why.append(f"Scores wait for their next try, {round(scores.pause_s)} s from now.")
    return " ".join(why) or None


@trace.command("export")
@click.argument("session_id")
@click.option("--otlp", "url", metavar="URL", help="Post them to this OpenTelemetry receiver instead.")
@click.option("--out", "path", type=click.Path(path_type=Path), help="Write the JSON to this file.")
@click.option("--force", is_flag=True, help="Let --out overwrite the file.")
@common
def trace_export(common: Common, session_id: str, url: str | None, path: Path | None, force: bool) -> int:
    """Write out all spans of a session that have ended, as OTLP/JSON with --json, or post them with --otlp.

    It needs no Langfuse, and does not count as sending: `harness trace flush` still sends what waits.
    """
    check_given(session_id)
    if common.as_json == (url is not None):
        raise click.UsageError("Give either --json or --otlp URL")
    if url is not None and path is not None:
        raise click.UsageError("Give --out with --json only")
    out = Out(path, force) if path else None
    if out is not None:
        out.check()
    settings = common.settings
    to = otlp(settings, _checked(url)) if url is not None else None

    async def work() -> int:
        async with open_store(settings) as database:
            ended = await _ended(database, settings, session_id)
        if to is None:
            await _write(ended, settings, out)
            return 0
        return await _post(ended, settings, to)

    return run_whole(work())


async def _write(ended: list[Ended], settings: Settings, out: Out | None) -> None:
    from harness.export.otlp import as_json, request
    from harness.export.parcels import pack

    environment = settings.tracing.environment
    parcels, spoilt = pack(ended, environment)
    _tell_spoilt(len(spoilt))
    document = as_json(request([parcel.message for parcel in parcels], environment))
    if out is None:
        answer_json(document)
        return
    out.write(json.dumps(document, ensure_ascii=False) + "\n")
    say(f"{words.number(len(parcels), 'span')} in {out.path}.")


async def _post(ended: list[Ended], settings: Settings, to: Address) -> int:
    from harness.export.parcels import body, pack, piles
    from harness.export.receiver import Receiver

    environment = settings.tracing.environment
    parcels, spoilt = pack(ended, environment)
    _tell_spoilt(len(spoilt))
    sent, refused, why = 0, 0, ""
    async with Receiver(to) as receiver:
        for pile in piles(parcels):
            verdict = await receiver.post(await asyncio.to_thread(body, pile, environment))
            if verdict.kind not in ("taken", "partly"):
                say(f"Error: {verdict.problem}; {sent} of {words.number(len(ended), 'span')} were sent.")
                return 1
            sent += len(pile) - verdict.refused
            refused += verdict.refused
            why = verdict.problem or why
    answer(f"{words.number(sent, 'span')} sent to {to.place}.")
    if refused:
        say(f"{words.number(refused, 'span')} refused by the receiver: {why or 'it did not say why'}")
    return 0


def _tell_spoilt(count: int) -> None:
    if count:
        say(f"{words.number(count, 'span')} left out, which this version cannot read.")


async def _ended(database: Database, settings: Settings, session_id: str) -> list[Ended]:
    sessions = Sessions(database, settings.tenant)
    row = await sessions.row(await sessions.find(session_id))
    return await read_ended(database, row.session_id)


async def _session(database: Database, settings: Settings, session_id: str | None) -> str | None:
    return None if session_id is None else await Sessions(database, settings.tenant).find(session_id)


def _checked(url: str) -> str:
    try:
        return http_url(url)
    except ValueError as problem:
        raise BadInput(f"--otlp: '{url}' {problem}.") from problem


def _counts(stands: Standing) -> dict[str, object]:
    return {
        "open": stands.open,
        "waiting": stands.waiting,
        "held": stands.held,
        "oldest": stands.oldest.isoformat() if stands.oldest else None,
        "sent": stands.sent,
        "sent_again": stands.sent_again,
        "refused": stands.refused,
    }


def _tell(to: Address | None, settings: Settings, stands: Standing, reasons: list[tuple[str, int]]) -> None:
    off = "" if settings.tracing.export else ", by harness trace flush only"
    answer(f"Receiver: {to.name.removeprefix('The ')} at {to.place}{off}" if to else "Receiver: none is set")
    since = f", the longest since {words.moment(stands.oldest)}" if stands.oldest else ""
    twice = f", {stands.sent_again} of them perhaps twice" if stands.sent_again else ""
    answer(f"Sent:     {stands.sent}{twice}")
    answer(f"Waiting:  {stands.waiting}{since}")
    answer(f"Open:     {stands.open}")
    if stands.refused:
        answer(f"Refused:  {stands.refused}")
    for problem, count in reasons:
        answer(f"  {count}: {words.one_line(problem)}")
    if stands.waiting and to:
        answer("Send what waits with: harness trace flush")
