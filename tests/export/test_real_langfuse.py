"""What Langfuse shows of a session that was sent to it: one that is played here, and one that the reader has.

    LANGFUSE_BASE_URL=... LANGFUSE_PUBLIC_KEY=... LANGFUSE_SECRET_KEY=... pytest -m langfuse tests/export

The second leaves a trace of 15 spans and two scores in the project of these keys. Its server must be 4.59.0
or newer, so that it serves what is read here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest

from harness.export.address import required
from harness.export.langfuse import auth_check
from harness.export.receiver import Receiver
from harness.export.scores import send_scores
from harness.export.shipper import Shipper
from harness.settings import Settings, from_environment
from harness.store.database import Database
from harness.store.scores import add_score
from harness.store.spans import Outbox
from harness.tracing.scores import Score
from harness.tracing.span import trace_id
from tests.kit.langfuse_api import LangfuseApi, settings_for
from tests.kit.langfuse_reading import differences, read
from tests.kit.scores import score_of
from tests.kit.spans import Sheet, content, keep, research

ROUNDS, PAUSE_S = 60, 3.0
"""How often a real server is asked for what it has taken, and the seconds in between."""

_VARIABLES = ("LANGFUSE_BASE_URL", "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY")


async def send(database: Database, settings: Settings) -> tuple[Sheet, list[Score]]:
    """Send a made session, with a score of all of it and one of its first agent run."""
    sheet = research()
    await keep(database, sheet)
    step = next(span for span in sheet.spans if span.kind == "agent_run")
    given = [
        score_of(sheet.session_id, value=0.75, comment="To the point."),
        score_of(sheet.session_id, name="gate verifier", value="pass", span_id=step.span_id),
    ]
    for score in given:
        await add_score(database, score)
    async with Receiver(required(settings)) as receiver:
        outbox = Outbox(database, settings.tenant)
        drained = await Shipper(outbox, receiver, settings.tracing.environment).drain()
    assert (drained.sent, drained.refused, drained.problem) == (len(sheet.spans), 0, "")
    scores = await send_scores(database, settings)
    assert (scores.sent, scores.refused, scores.left) == (2, 0, 0), scores
    return sheet, given


async def wrong(settings: Settings, sheet: Sheet, scores: list[Score]) -> list[str]:
    """Read it back, and say what is not as it was sent."""
    found = await read(settings, trace_id(sheet.session_id))
    return differences(found, sheet.ended(), scores, settings.tracing.environment)


@pytest.mark.langfuse
@pytest.mark.timeout(300)
async def test_a_real_langfuse_shows_what_was_sent(database: Database) -> None:
    """Each span once, below its parent, with its kind, words, tokens and cost; the trace; both scores."""
    given = {name: os.environ.get(name, "") for name in _VARIABLES}
    assert all(given.values()), f"set {' and '.join(name for name, value in given.items() if not value)}"
    settings = from_environment(None, {"tracing.environment": "harness-test"}, given)
    examined = await auth_check(settings)
    assert examined is not None
    assert examined.ok, examined
    sheet, scores = await send(database, settings)
    for _ in range(ROUNDS):
        if not (left := await wrong(settings, sheet, scores)):
            break
        await asyncio.sleep(PAUSE_S)
    assert left == [], examined.detail


@pytest.mark.parametrize("events_only", [False, True])
async def test_a_played_langfuse_shows_what_was_sent(events_only: bool, database: Database) -> None:
    """The same, read back in the same way, from a server that serves traces and one that does not."""
    async with LangfuseApi() as api:
        api.events_only = events_only
        settings = settings_for(api.url, {"tracing.environment": "harness-test"})
        sheet, scores = await send(database, settings)
        found = await read(settings, trace_id(sheet.session_id))
        assert (found.trace is None) == events_only
        assert await wrong(settings, sheet, scores) == []


def _spoil(name: str, **given: Any) -> Callable[[LangfuseApi, Sheet], None]:
    """A server that shows another attribute of the first span of this name."""

    def spoil(api: LangfuseApi, sheet: Sheet) -> None:
        about = next(span for span in api.spans.values() if span.name == name).attributes
        assert isinstance(about, dict)
        about |= {key.replace("__", "."): value for key, value in given.items()}

    return spoil


def _lose(api: LangfuseApi, sheet: Sheet) -> None:
    del api.spans[sheet.spans[-1].span_id]


def _lose_score(api: LangfuseApi, sheet: Sheet) -> None:
    api.scores.popitem()


def _misplace_score(api: LangfuseApi, sheet: Sheet) -> None:
    for score in api.scores.values():
        score["observationId"] = sheet.root.span_id


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_lose, "is missing"),
        (_lose_score, "score gate verifier is missing"),
        (_misplace_score, "score quality is"),
        (
            _spoil("chat claude-opus-5-5", langfuse__observation__cost_details='{"total": 0.1}'),
            "totalCost is",
        ),
        (_spoil("chat claude-opus-5-5", langfuse__observation__usage_details='{"input": 1}'), "usage is"),
        (_spoil("chat claude-opus-5-5", langfuse__observation__output="Else."), "output is 'Else.'"),
        (_spoil("invoke_agent lead", langfuse__observation__type="span"), "type is 'SPAN'"),
        (_spoil("wait", langfuse__observation__level="ERROR"), "level is 'ERROR'"),
        (_spoil("wait", langfuse__session__id="other"), "session is 'other'"),
        (_spoil("wait", langfuse__trace__tags=["x"]), "tags is ['x']"),
    ],
)
async def test_reading_back_notices_what_is_wrong(
    spoil: Callable[[LangfuseApi, Sheet], None], says: str, database: Database
) -> None:
    """A comparison that finds nothing wrong with a wrong answer would prove nothing."""
    async with LangfuseApi() as api:
        settings = settings_for(api.url)
        sheet, scores = await send(database, settings)
        spoil(api, sheet)
        assert any(says in each for each in await wrong(settings, sheet, scores))


async def test_the_trace_is_its_newest_root(database: Database) -> None:
    """With several turns it shows the newest one's question and answer."""
    sheet = Sheet()
    first, second = (
        sheet.add("agent_run", "turn", input=content(f"{name}?"), output=content(f"{name}."), agent="lead")
        for name in ("First", "Second")
    )
    sheet.spans[:] = [span.model_copy(update={"parent_span_id": None}) for span in (first, second)]
    await keep(database, sheet)
    async with LangfuseApi() as api:
        settings = settings_for(api.url)
        async with Receiver(required(settings)) as receiver:
            drained = await Shipper(Outbox(database, "default"), receiver, "default").drain()
        assert drained.sent == 2
        found = await read(settings, trace_id(sheet.session_id))
        assert found.trace is not None
        assert (found.trace["input"], found.trace["output"]) == ("Second?", "Second.")
        assert await wrong(settings, sheet, []) == []


async def test_a_trace_that_is_not_there_is_missed(database: Database) -> None:
    """Nothing sent: every span is missing, and so is the trace."""
    sheet = research()
    async with LangfuseApi() as api:
        left = await wrong(settings_for(api.url), sheet, [score_of(sheet.session_id)])
    assert len([each for each in left if each.endswith(" is missing")]) == len(sheet.spans) + 1
    assert any(each.startswith("trace: name is None") for each in left)
