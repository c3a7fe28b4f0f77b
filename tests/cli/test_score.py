"""`harness score`, and what a person sees of scores and of the trace."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from harness.store.database import Database, Json
from harness.store.scores import add_score, read_scores
from harness.tracing.span import span_id, trace_id
from tests.cli.hand_made import keep, worked
from tests.cli.processes import ROOT, document, run_process
from tests.kit.langfuse_api import LangfuseApi, Mode, variables
from tests.kit.scores import score_of


async def told(*args: str, dsn: str, **extra: str) -> str:
    """What a command that succeeds says on stdout."""
    ended = await asyncio.to_thread(run_process, *args, dsn=dsn, cwd=ROOT, **extra)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


async def add_span(database: Database, session_id: str, *, sent: bool = False) -> str:
    """Store a span that has ended, perhaps one that was exported."""
    given = span_id(session_id, "agent_run", str(uuid.uuid4()))
    await database.run(
        "insert into span (session_id, span_id, kind, name, seq, started_at, ended_at, status, opened, "
        "sent_at) values (%(session_id)s, %(span_id)s, 'agent_run', 'invoke_agent lead', 1, now(), now(), "
        "'ok', %(opened)s, case when %(sent)s then now() end)",
        {"session_id": session_id, "span_id": given, "opened": Json({}), "sent": sent},
    )
    return given


async def test_a_score_needs_no_langfuse(dsn: str, database: Database) -> None:
    """It is kept with the session and shown with it, to a person and to a program."""
    session_id = await keep(database, worked(), status="done")
    said = await told("score", session_id[:8], "good", "--comment", "To the point.", dsn=dsn)
    assert f"Score quality: good is kept with session {session_id}." in said
    assert "Langfuse is not set up" in said
    given = await document("score", session_id, "-0.5", "--name", "tone", dsn=dsn)
    assert given["score"]["value"] == -0.5
    assert given["problem"] is None
    shown = await told("show", session_id, dsn=dsn)
    assert "Score quality: good, 2" in shown
    assert "(To the point.)" in shown
    assert "Score tone: -0.5, 2" in shown
    listed = (await document("show", session_id, dsn=dsn))["scores"]
    assert [(each["name"], each["value"], each["comment"]) for each in listed] == [
        ("quality", "good", "To the point."),
        ("tone", -0.5, None),
    ]
    assert all(each["given_at"] and each["sent_at"] is None for each in listed)


async def test_a_score_is_sent_at_once(dsn: str, database: Database) -> None:
    """Where Langfuse is set up and there, it has the score when the command ends: of a step, if told."""
    session_id = await keep(database, worked(), status="done")
    step, _ = [await add_span(database, session_id) for _ in range(2)]
    async with LangfuseApi() as api:
        said = await told("score", session_id, "4", "--span", step[:9].upper(), dsn=dsn, **variables(api.url))
    assert "Langfuse has it." in said
    (score,) = api.scores.values()
    assert (score["value"], score["observationId"], score["traceId"]) == (4, step, trace_id(session_id))


async def test_a_score_waits_for_a_langfuse_that_is_away(dsn: str, database: Database) -> None:
    """The command says so and succeeds; the session's next score takes it along once its pause is over."""
    session_id = await keep(database, worked(), status="done")
    async with LangfuseApi() as api:
        await api.stop()
        said = await told("score", session_id, "good", dsn=dsn, **variables(api.url))
        assert "cannot be reached" in said
        assert "waits to be sent" in said
        api.mode = "401"
        await api.start()
        said = await told("score", session_id, "bad", dsn=dsn, **variables(api.url))
        assert "set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY" in said
        api.mode = "ok"
        await database.run("update score set next_try = '-infinity'")
        await told("score", session_id, "fair", dsn=dsn, **variables(api.url))
    assert [score["value"] for score in api.scores.values()] == ["good", "bad", "fair"]


async def test_a_score_that_langfuse_rejects_is_still_kept(dsn: str, database: Database) -> None:
    """The reason is told and stands beside it."""
    session_id = await keep(database, worked(), status="done")
    async with LangfuseApi() as api:
        api.book.rejects = {"odd"}
        said = await document("score", session_id, "1", "--name", "odd", dsn=dsn, **variables(api.url))
    assert "rejected it (Bad score odd)" in said["problem"]
    assert said["score"]["refused"] == said["problem"]
    assert len(await read_scores(database, session_id)) == 1


async def test_a_session_is_shown_with_the_scores_it_had_then(dsn: str, database: Database) -> None:
    """With --at, one that was given later is left out."""
    session_id = await keep(database, worked(), status="done")
    await add_score(database, score_of(session_id, name="early"))
    await document("score", session_id, "late", dsn=dsn)
    then = (await document("show", session_id, "--at", "3", dsn=dsn))["scores"]
    assert [each["name"] for each in then] == ["early"]


@pytest.mark.parametrize("mode", ["ok", "hang", "401"])
async def test_the_trace_is_named_once_langfuse_has_it(mode: Mode, dsn: str, database: Database) -> None:
    """The summary ends with its address, or soon goes without; a session of no exported span asks nobody."""
    session_id = await keep(database, worked(), status="done")
    await add_span(database, session_id)
    async with LangfuseApi(mode) as api:

        async def resumed() -> str:
            ended = await asyncio.to_thread(
                run_process, "resume", session_id, dsn=dsn, cwd=ROOT, **variables(api.url)
            )
            assert ended.returncode == 0
            assert "Trace: " not in ended.stdout
            return ended.stderr

        assert "Trace: " not in await resumed()
        assert "/api/public/projects" not in api.asked
        await add_span(database, session_id, sent=True)
        said = await resumed()
    address = f"Trace: {api.url}/project/project-1/traces/{trace_id(session_id)}\n"
    assert (address in said) == (mode == "ok")
    assert "Trace: " not in said.replace(address, "")
    assert "Done after" in said
