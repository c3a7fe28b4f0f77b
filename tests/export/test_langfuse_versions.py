"""Servers of Langfuse as they are met: what each takes, and what the doctor says of it."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import subprocess

import pytest

from harness.export.langfuse import auth_check
from harness.export.langfuse_version import fitness, parsed
from harness.export.scores import Sent, send_scores, settle_scores
from harness.store.database import Database
from harness.store.scores import add_score, read_scores
from harness.tracing.span import span_id
from tests.checkout import ROOT
from tests.cli.hand_made import keep, worked
from tests.cli.processes import run_process
from tests.kit.langfuse_api import VERSION, LangfuseApi, Mode, settings_for, variables
from tests.kit.langfuse_scores import problems
from tests.kit.scores import arrived, score_of

OLD = ("3.63.0", "3.225.4", "4.16.0", "v4.58.9")
NEW = ("4.59.0", "v4.60", VERSION, "unknown")


async def command(*args: str, dsn: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(lambda: run_process(*args, dsn=dsn, cwd=ROOT, **extra))


@pytest.mark.parametrize("version", [*OLD, *NEW])
async def test_scores_arrive_whatever_the_server(version: str, database: Database) -> None:
    """Number and category, of a step and of the whole; an old server is asked once more, and only once."""
    session_id = await keep(database, worked())
    step = span_id(session_id, "agent_run", "1")
    await add_score(database, score_of(session_id, name="quality", value=0.5, comment="so so"))
    await add_score(database, score_of(session_id, name="gate reviewer", value="fix", span_id=step))
    await add_score(database, score_of(session_id, name="tone", value=-1))
    async with LangfuseApi(version=version) as api:
        settings = settings_for(api.url, {"tracing.environment": "trial"})
        assert await send_scores(database, settings) == Sent(sent=3, refused=0, left=0)
    assert len(api.asked) == (4 if version in OLD else 3)
    arrived(api.scores.values(), await read_scores(database, session_id), step)


@pytest.mark.parametrize("version", [OLD[-1], NEW[0]])
async def test_a_score_that_is_sent_twice_is_there_once(version: str, database: Database) -> None:
    """Also at a server that dates it by itself."""
    session_id = await keep(database, worked())
    await add_score(database, score_of(session_id))
    async with LangfuseApi(version=version) as api:
        await send_scores(database, settings_for(api.url))
        await database.run("update score set sent_at = null, next_try = '-infinity'")
        assert (await send_scores(database, settings_for(api.url))).sent == 1
        assert len(api.scores) == 1


@pytest.mark.parametrize("version", [OLD[-1], NEW[0]])
@pytest.mark.parametrize("refused_first", [True, False])
async def test_an_unfit_score_is_told_apart(version: str, refused_first: bool, database: Database) -> None:
    """Whichever form the server wants: the bad one is refused with its reason, the good ones arrive."""
    session_id = await keep(database, worked())
    names = ["bad", "fine", "good"] if refused_first else ["fine", "good", "bad"]
    for name in names:
        await add_score(database, score_of(session_id, name=name))
    async with LangfuseApi(version=version) as api:
        api.book.refuses = {"bad"}
        found = await send_scores(database, settings_for(api.url))
    assert (found.sent, found.refused, found.left) == (2, 1, 0)
    assert "Invalid request data" in (found.refusal or "")
    refused = {score.name: score.refused for score in await read_scores(database, session_id)}
    assert refused == {"fine": None, "good": None, "bad": found.refusal}


async def test_what_is_wrong_with_a_score_is_told(database: Database) -> None:
    """Not only that it is unfit, but what Langfuse says of it, in the form that the server knows."""
    session_id = await keep(database, worked())
    await add_score(database, score_of(session_id, name="fine"))
    await add_score(database, score_of(session_id, name=""))
    async with LangfuseApi(version="4.16.0") as api:
        found = await send_scores(database, settings_for(api.url))
    assert (found.sent, found.refused) == (1, 1)
    assert "String must contain at least 1 character" in (found.refusal or "")
    assert "array" not in (found.refusal or "")


@pytest.mark.parametrize(
    ("mode", "says"),
    [("500", "answered 500"), ("401", "does not take the keys"), ("hang", "did not answer in time")],
)
async def test_trouble_of_an_old_server_is_told_as_it_is(mode: Mode, says: str, database: Database) -> None:
    """Between the list that it refuses and the score itself it breaks down: all wait."""
    session_id = await keep(database, worked())
    for name in ("first", "second"):
        await add_score(database, score_of(session_id, name=name))
    async with LangfuseApi(version="4.16.0") as api:
        api.then = mode
        found = await send_scores(database, settings_for(api.url), deadline_s=0.5 if mode == "hang" else 30)
        assert (found.sent, found.refused, found.left) == (0, 0, 2)
        assert says in (found.problem or "")
        assert len(api.asked) == 2


async def test_settling_says_which_scores_will_never_arrive(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """One that is refused for good does not vanish without a word."""
    session_id = await keep(database, worked(), status="done")
    async with LangfuseApi() as api:
        api.book.rejects = {"citations_held"}
        with caplog.at_level(logging.WARNING, logger="harness"):
            await settle_scores(database, settings_for(api.url), session_id)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "will not be sent again: 1. Langfuse has rejected it (Bad score citations_held)" in line


async def test_flush_says_why_scores_are_left(dsn: str, database: Database) -> None:
    """A server that takes none: the reason on stderr and in JSON, and, until the next try, when that is."""
    session_id = await keep(database, worked())
    await add_score(database, score_of(session_id, name="odd"))
    async with LangfuseApi() as api:
        api.book.refuses = {"odd"}
        told = await command("trace", "flush", dsn=dsn, **variables(api.url))
        assert (told.returncode, told.stdout) == (3, "12 spans sent, 0 left.\n0 scores sent, 1 left.\n")
        assert "finds a score unfit (Invalid request data)" in told.stderr
        assert told.stderr.count("\n") == 1
        # However long this machine took: the pause is not over.
        await database.run("update score set next_try = clock_timestamp() + interval '1 hour'")
        told = await command("trace", "flush", dsn=dsn, **variables(api.url))
        assert re.fullmatch(r"Scores wait for their next try, \d+ s from now\.\n", told.stderr)
        await database.run("update score set next_try = '-infinity'")
        told = await command("trace", "flush", "--json", dsn=dsn, **variables(api.url))
        assert told.returncode == 3
        assert "finds a score unfit" in json.loads(told.stdout)["scores_problem"]


async def test_flush_says_what_was_refused(dsn: str, database: Database) -> None:
    """A score that will never be taken is counted and explained; `harness show` tells it later, too."""
    session_id = await keep(database, worked(), status="done")
    await add_score(database, score_of(session_id, name="odd"))
    async with LangfuseApi() as api:
        api.book.rejects = {"odd"}
        told = await command("trace", "flush", dsn=dsn, **variables(api.url))
    assert (told.returncode, told.stdout.splitlines()[-1]) == (0, "0 scores sent, 1 refused, 0 left.")
    assert told.stderr == "Refused for good: Langfuse has rejected it (Bad score odd).\n"
    shown = await command("show", session_id, dsn=dsn)
    assert "not taken: Langfuse has rejected it (Bad score odd)" in shown.stdout


@pytest.mark.parametrize(
    ("version", "ok", "lacks"),
    [
        (VERSION, True, []),
        ("4.59.0-rc.1", True, []),
        ("v4.60", True, []),
        ("4.16.0", True, ["scores go one by one"]),
        ("3.225.4", True, ["spans take its older path", "scores go one by one"]),
        ("3.99.0", True, ["plain spans there", "spans take its older path", "scores go one by one"]),
        ("3.62.9", False, ["does not read the names", "spans take its older path", "scores go one by one"]),
        ("2.95.11", False, ["takes no spans", "scores go one by one"]),
        ("unknown", True, ["no version known here"]),
        ("", True, ["no version known here"]),
    ],
)
async def test_the_doctor_says_what_a_server_does_less(version: str, ok: bool, lacks: list[str]) -> None:
    """Nothing of the newest; of an older one what is lacking; of one too old what to do about it."""
    async with LangfuseApi(version=version) as api:
        found = await auth_check(settings_for(api.url))
    assert found is not None
    start, *told = found.detail.split("; ")
    assert start == f"project 'Research' at {api.url}, version {version}"
    assert (found.ok, found.remedy is None) == (ok, ok)
    assert all(lack in clause for lack, clause in zip(lacks, told, strict=True))
    if found.remedy:
        assert "update that server to 4.59.0, or at least to 3.63.0" in found.remedy


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("4.59.0", (4, 59, 0)),
        ("v4.60", (4, 60, 0)),
        (" V4.59.0-rc.1 ", (4, 59, 0)),
        ("4.59.0+build.7", (4, 59, 0)),
        ("4", None),
        ("4.59.0.1", None),
        ("nightly-2026.12", None),
        ("٤.٥", None),
        ("4." + "9" * 5000, None),
    ],
)
def test_odd_versions_are_read_or_left(said: str, version: tuple[int, int, int] | None) -> None:
    """Nothing that a server calls its version is an error."""
    assert parsed(said) == version
    assert bool(fitness(said).lacks) == (version is None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"value": True},
        {"value": "5"},
        {"dataType": "NUMBER"},
        {"traceId": None},
        {"sessionId": "s"},
        {"traceId": "not hexadecimal"},
        {"traceId": None, "sessionId": "s", "observationId": "o"},
        {"comment": 7},
    ],
)
def test_the_played_server_knows_a_bad_score(wrong: dict[str, object]) -> None:
    """What our own tests are held to."""
    good = {"id": "1", "name": "q", "value": 5, "dataType": "NUMERIC", "traceId": "0" * 32}
    assert not list(problems(good))
    assert list(problems({**good, **wrong}))
