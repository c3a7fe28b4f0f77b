"""Langfuse by its REST API: keys, addresses and scores, with a server in every mood."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.errors import StoreUnavailable
from harness.export.langfuse import auth_check, receives, trace_address
from harness.export.scores import SUSPICIOUS, Sent, send_scores, settle_scores
from harness.settings import Settings
from harness.store.database import Database, Json
from harness.store.scores import add_score, read_scores
from harness.tracing.span import span_id, trace_id
from tests.cli.hand_made import keep, worked
from tests.cli.processes import ROOT
from tests.kit.langfuse_api import VERSION, LangfuseApi, Mode, settings_for
from tests.kit.processes import clean_env
from tests.kit.scores import arrived, score_of

SOON = 60.0
"""Seconds in which whatever is bounded has long ended."""


@pytest.fixture
async def api() -> AsyncIterator[LangfuseApi]:
    """A Langfuse of this test's own."""
    async with LangfuseApi() as made:
        yield made


async def unreachable() -> str:
    """An address on which nobody listens any more."""
    async with LangfuseApi() as gone:
        return gone.url


async def due_again(database: Database) -> None:
    """Let the pauses of all scores pass."""
    await database.run("update score set next_try = '-infinity'")


async def test_good_keys_are_found_good(api: LangfuseApi) -> None:
    """The finding names the project, the server and its version, and no key."""
    found = await auth_check(settings_for(api.url))
    assert found is not None
    assert (found.ok, found.remedy) == (True, None)
    assert found.detail == f"project 'Research' at {api.url}, version {VERSION}"


@pytest.mark.parametrize(
    ("mode", "detail", "remedy"),
    [
        ("401", "does not take the keys", "LANGFUSE_SECRET_KEY"),
        ("no_project", "knows no project of these keys", "LANGFUSE_SECRET_KEY"),
        ("page", "not as Langfuse does", "correct LANGFUSE_BASE_URL"),
        ("json", "not as Langfuse does", "correct LANGFUSE_BASE_URL"),
        ("moved", "not as Langfuse does (301)", "correct LANGFUSE_BASE_URL"),
        ("500", "answered 500", "try again later"),
    ],
)
async def test_what_is_wrong_comes_with_a_remedy(
    api: LangfuseApi, mode: Mode, detail: str, remedy: str
) -> None:
    """Wrong keys are told from a wrong address, and both from a server in trouble."""
    api.mode = mode
    found = await auth_check(settings_for(api.url))
    assert found is not None
    assert not found.ok
    assert detail in found.detail
    assert found.remedy is not None
    assert remedy in found.remedy
    assert "sk-lf" not in str(found)


async def test_a_server_that_does_not_answer_is_given_up(
    api: LangfuseApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that hangs and one that is not there cost a bounded wait, and are told as what they are."""
    monkeypatch.setattr("harness.export.langfuse.CHECK_WITHIN_S", 0.3)
    api.mode = "hang"
    async with asyncio.timeout(SOON):
        hanging = await auth_check(settings_for(api.url))
        absent = await auth_check(settings_for(await unreachable()))
    assert hanging is not None
    assert "did not answer in time" in hanging.detail
    assert absent is not None
    assert "cannot be reached" in absent.detail


async def test_half_a_pair_of_keys_is_a_problem(api: LangfuseApi) -> None:
    """Which one is missing is said without asking anybody; with none there is nothing to examine."""
    half = settings_for(api.url).model_copy(
        update={"langfuse": settings_for(api.url).langfuse.model_copy(update={"secret_key": None})}
    )
    found = await auth_check(half)
    assert found is not None
    assert not found.ok
    assert "LANGFUSE_SECRET_KEY is not set" in found.detail
    assert not receives(half)
    assert await auth_check(Settings()) is None
    assert api.asked == []


async def test_the_address_is_the_one_langfuse_shows(api: LangfuseApi) -> None:
    """It has the project's id and the trace's, and no name or password of the base URL."""
    address = await trace_address(settings_for(api.url), "session-1")
    assert address == f"{api.url}/project/project-1/traces/{trace_id('session-1')}"
    hidden = settings_for(api.url.replace("http://", "http://me:secret@") + "/")
    assert await trace_address(hidden, "session-1") == address
    assert api.asked == ["/api/public/projects"] * 2


@pytest.mark.parametrize("mode", ["401", "500", "hang", "page", "json", "moved", "no_project"])
async def test_no_address_is_better_than_a_wrong_one(
    api: LangfuseApi, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever Langfuse says instead of its project, nothing is shown, and soon."""
    monkeypatch.setattr("harness.export.langfuse.ADDRESS_WITHIN_S", 0.3)
    api.mode = mode
    async with asyncio.timeout(SOON):
        assert await trace_address(settings_for(api.url), "session-1") is None


async def test_spans_that_go_elsewhere_have_no_address_at_langfuse(api: LangfuseApi) -> None:
    """With another receiver, or without spans, Langfuse is not even asked."""
    elsewhere = settings_for(api.url, {"tracing.otlp_url": "http://127.0.0.1:4318"})
    assert await trace_address(elsewhere, "session-1") is None
    assert await trace_address(settings_for(api.url, {"tracing.enabled": False}), "session-1") is None
    assert await trace_address(Settings(), "session-1") is None
    assert api.asked == []


async def test_scores_arrive_as_they_were_given(api: LangfuseApi, database: Database) -> None:
    """Number and category, of a span and of the whole trace, with comment, time and environment."""
    session_id = await keep(database, worked())
    await add_score(database, score_of(session_id, name="quality", value=0.5, comment="so so"))
    step = span_id(session_id, "agent_run", "1")
    await add_score(database, score_of(session_id, name="gate reviewer", value="fix", span_id=step))
    settings = settings_for(api.url, {"tracing.environment": "trial"})
    assert await send_scores(database, settings) == Sent(sent=2, refused=0, left=0)
    kept = await read_scores(database, session_id)
    quality = arrived(api.scores.values(), kept, step)["quality"]
    assert quality.get("observationId") is None
    assert quality["timestamp"].startswith("2026-03-01T12:00:00")


async def test_a_score_that_is_sent_twice_is_there_once(api: LangfuseApi, database: Database) -> None:
    """Whoever dies between the answer and its note sends it again, even days later, and changes nothing."""
    session_id = await keep(database, worked())
    await add_score(database, score_of(session_id))
    settings = settings_for(api.url)
    await send_scores(database, settings)
    before = dict(api.scores)
    await database.run("update score set sent_at = null, next_try = '-infinity'")
    assert (await send_scores(database, settings)).sent == 1
    assert len(api.asked) == 2
    assert api.scores == before
    assert len(before) == 1
    assert (await send_scores(database, settings)).sent == 0
    assert len(api.asked) == 2, "what has arrived is not sent again"


async def test_scores_survive_a_server_that_is_down(api: LangfuseApi, database: Database) -> None:
    """They wait in the store, one connection is tried, and they arrive once it is back."""
    session_id = await keep(database, worked())
    for name in ("first", "second", "third"):
        await add_score(database, score_of(session_id, name=name))
    await api.stop()
    async with asyncio.timeout(SOON):
        away = await send_scores(database, settings_for(api.url))
    assert (away.sent, away.left) == (0, 3)
    assert away.problem is not None
    assert "cannot be reached" in away.problem
    await api.start()
    assert (await send_scores(database, settings_for(api.url))).sent == 0, "its pause is not over"
    await due_again(database)
    assert await send_scores(database, settings_for(api.url)) == Sent(sent=3, refused=0, left=0)
    assert len(api.scores) == 3


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("401", "set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY"),
        ("429", "answered 429"),
        ("500", "answered 500"),
        ("hang", "did not answer in time"),
        ("page", "correct LANGFUSE_BASE_URL"),
        ("json", "correct LANGFUSE_BASE_URL"),
        ("moved", "correct LANGFUSE_BASE_URL"),
    ],
)
async def test_a_server_in_trouble_is_asked_once(
    api: LangfuseApi, database: Database, mode: Mode, says: str
) -> None:
    """Three scores make one request; none is lost, none is counted as sent, and all go later."""
    session_id = await keep(database, worked())
    for name in ("first", "second", "third"):
        await add_score(database, score_of(session_id, name=name))
    api.mode = mode
    settings = settings_for(api.url)
    async with asyncio.timeout(SOON):
        found = await send_scores(database, settings, deadline_s=0.3 if mode == "hang" else 30)
    assert (found.sent, found.refused, found.left) == (0, 0, 3)
    assert says in (found.problem or "")
    assert "sk-lf" not in (found.problem or "")
    assert len(api.asked) == 1
    api.mode = "ok"
    await due_again(database)
    assert (await send_scores(database, settings)).sent == 3


async def test_a_server_is_left_alone_as_long_as_it_asks(api: LangfuseApi, database: Database) -> None:
    """Its Retry-After counts, and without one the pauses grow."""
    session_id = await keep(database, worked())
    await add_score(database, score_of(session_id))
    api.mode, api.retry_after = "429", "7200"

    async def pause() -> float:
        await due_again(database)
        await send_scores(database, settings_for(api.url))
        row = await database.one("select extract(epoch from next_try - clock_timestamp()) as s from score")
        assert row is not None
        return float(row["s"])

    assert await pause() > 7000
    api.retry_after = None
    pauses = [await pause() for _ in range(6)]
    assert all(later > earlier for earlier, later in zip(pauses, pauses[2:], strict=False))


async def test_a_deadline_leaves_the_rest_for_the_next_time(api: LangfuseApi, database: Database) -> None:
    """Scores for which there was no time are due at once, and nothing was wrong with them."""
    session_id = await keep(database, worked())
    await add_score(database, score_of(session_id))
    assert await send_scores(database, settings_for(api.url), deadline_s=0) == Sent(0, 0, 1)
    assert api.asked == []
    assert (await send_scores(database, settings_for(api.url))).sent == 1


async def test_a_refused_score_does_not_hold_up_the_others(api: LangfuseApi, database: Database) -> None:
    """A 400 and a rejection within an accepted batch end that score alone, with the reason beside it."""
    session_id = await keep(database, worked())
    for name in ("bad", "worse", "fine"):
        await add_score(database, score_of(session_id, name=name))
    api.book.refuses, api.book.rejects = {"bad"}, {"worse"}
    found = await send_scores(database, settings_for(api.url))
    assert (found.sent, found.refused, found.left) == (1, 2, 0)
    assert "Invalid request data" in (found.refusal or "")
    reasons = {score.name: score.refused for score in await read_scores(database, session_id)}
    assert reasons["fine"] is None
    assert "Invalid request data" in (reasons["bad"] or "")
    assert "Bad score worse" in (reasons["worse"] or "")
    await due_again(database)
    assert (await send_scores(database, settings_for(api.url))).sent == 0


async def test_a_server_that_takes_no_score_at_all_costs_none(api: LangfuseApi, database: Database) -> None:
    """One of another version finds everything unfit: after a few tries it is left alone, and all wait."""
    session_id = await keep(database, worked())
    names = [f"n{number}" for number in range(2 * SUSPICIOUS)]
    for name in names:
        await add_score(database, score_of(session_id, name=name))
    api.book.refuses = set(names)
    found = await send_scores(database, settings_for(api.url))
    assert (found.sent, found.refused, found.left) == (0, 0, len(names))
    assert "unfit (Invalid request data)" in (found.problem or "")
    assert len(api.asked) == 2 * (SUSPICIOUS + 1), "each in a list and alone"
    api.book.refuses = set()
    await due_again(database)
    assert (await send_scores(database, settings_for(api.url))).sent == len(names)


async def test_two_senders_send_each_score_once(api: LangfuseApi, database: Database) -> None:
    """However they share them, the server is asked as often as there are scores."""
    session_id = await keep(database, worked())
    for number in range(60):
        await add_score(database, score_of(session_id, name=f"n{number}"))
    settings = settings_for(api.url)
    found = await asyncio.gather(*(send_scores(database, settings, deadline_s=SOON) for _ in range(2)))
    assert sum(each.sent for each in found) == 60
    assert len(api.asked) == len(api.scores) == 60


async def test_a_session_that_stops_settles_its_scores(
    api: LangfuseApi, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Its citations are scored and sent; wrong keys are one loud line; it never raises."""
    session_id = await keep(database, worked(), status="done")
    api.mode = "401"
    with caplog.at_level(logging.WARNING, logger="harness"):
        await settle_scores(database, settings_for(api.url), session_id)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "does not take the keys" in line
    assert api.scores == {}
    api.mode = "ok"
    await due_again(database)
    await settle_scores(database, settings_for(api.url), session_id)
    assert [score["name"] for score in api.scores.values()] == ["citations_held"]
    await settle_scores(database, settings_for(api.url), session_id)
    assert api.asked == ["/api/public/scores"] * 2


async def test_scores_are_kept_where_they_are_not_to_be_sent_yet(
    api: LangfuseApi, database: Database
) -> None:
    """Without keys, and where spans are sent by command only, settling asks nobody."""
    session_id = await keep(database, worked(), status="done")
    await settle_scores(database, Settings(), session_id)
    await settle_scores(database, settings_for(api.url, {"tracing.export": False}), session_id)
    assert api.asked == []
    assert [score.name for score in await read_scores(database, session_id)] == ["citations_held"]


async def test_a_store_that_is_away_costs_a_line_and_no_session(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be kept is said, not raised into the session that has ended."""

    async def away(*given: object) -> None:
        raise StoreUnavailable("The store is away.")

    monkeypatch.setattr(database, "all", away)
    with caplog.at_level(logging.WARNING, logger="harness"):
        await settle_scores(database, Settings(), "s")
    assert "The store is away." in caplog.text


async def test_a_gates_words_stay_here_unless_content_is_kept(api: LangfuseApi, database: Database) -> None:
    """Where spans hold sizes and hashes only, a verdict goes without what the gate quoted."""
    session_id = await keep(database, worked(), status="done")
    event = {"by": "reviewer", "verdict": "fix", "problem": "Private.", "kind": "gate.decided"}
    await database.run(
        "update event set kind = 'gate.decided', payload = %(payload)s "
        "where session_id = %(id)s and kind = 'session.finished'",
        {"payload": Json(event), "id": session_id},
    )
    await settle_scores(database, settings_for(api.url, {"tracing.capture": "metadata"}), session_id)
    (score,) = api.scores.values()
    assert (score["name"], score["value"], score.get("comment")) == ("gate reviewer", "fix", None)


async def test_no_threads_are_started(api: LangfuseApi, database: Database) -> None:
    """Nor is a tracer provider set for the whole process."""
    from opentelemetry import trace

    session_id = await keep(database, worked())
    await add_score(database, score_of(session_id))
    before = set(threading.enumerate())
    await send_scores(database, settings_for(api.url))
    await auth_check(settings_for(api.url))
    await trace_address(settings_for(api.url), session_id)
    assert set(threading.enumerate()) == before
    assert "sdk" not in type(trace.get_tracer_provider()).__module__


def test_without_keys_the_package_is_not_even_imported(home: Path, dsn: str) -> None:
    """A child without keys settles, asks for the address and examines, and has no langfuse in it."""
    code = (
        "import asyncio, sys\n"
        "from harness.export.langfuse import auth_check, trace_address\n"
        "from harness.export.scores import settle_scores\n"
        "from harness.settings import from_environment\n"
        "from harness.store.database import Database\n"
        "async def main():\n"
        "    settings = from_environment()\n"
        "    async with await Database.open(settings.dsn.get_secret_value()) as database:\n"
        "        await settle_scores(database, settings, '00000000-0000-4000-8000-000000000000')\n"
        "    assert await trace_address(settings, 's') is None\n"
        "    assert await auth_check(settings) is None\n"
        "asyncio.run(main())\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('langfuse', 'opentelemetry')])"
    )
    env = clean_env(home, "http://127.0.0.1:9", HARNESS_DSN=dsn)
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, "[]", "")
