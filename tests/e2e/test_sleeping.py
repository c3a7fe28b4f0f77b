"""Sessions that wait, for a person or for a slow subagent, cost no process; they lie in Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from harness import Harness
from harness.settings import Settings
from tests.e2e.crew import make_project
from tests.e2e.running import Desk
from tests.kit.processes import API_KEY, tree, until_sync
from tests.kit.scripted_api import ScriptedProcess, scripted_process

SLEEPERS = 12


@pytest.fixture
def api(home: Path, holds: Path) -> Iterator[ScriptedProcess]:
    """A crew, and a lead with a researcher."""
    with scripted_process(
        "tests.e2e.sleepers:asleep", home / "calls.jsonl", given={"holds": str(holds)}
    ) as played:
        yield played


@pytest.fixture
def project(desk: Desk) -> Path:
    """The crew's bundles, and a flow for one of them."""
    (desk.home / "one.yaml").write_text("flow: {pattern: agent, agent: a}\n")
    return make_project(desk.home)


def submit(desk: Desk, *words: str) -> str:
    command = desk.start("submit", *words, "--sources", "notes.md")
    assert command.wait() == 0, command.errors
    assert command.session_id is not None
    return command.session_id


def statuses(dsn: str) -> dict[str, str]:
    with psycopg.connect(dsn) as connection:
        return {str(id): status for id, status in connection.execute("select id, status from session")}


def last_event(dsn: str, session_id: str, kind: str) -> int:
    """The number of the newest event of a kind; 0 when there is none yet."""
    asked = "select coalesce(max(seq), 0) from event where session_id = %s and kind = %s"
    with psycopg.connect(dsn) as connection:
        row = connection.execute(asked, (session_id, kind)).fetchone()
    assert row is not None
    return int(row[0])


def many_like(dsn: str, project: Path, session_id: str, at: int) -> list[str]:
    """Fork a session again and again, and leave the forks to the workers."""

    async def fork() -> list[str]:
        settings = Settings.model_validate(
            {"dsn": dsn, "home": project / "harness", "upstream": {"api_key": API_KEY}}
        )
        async with Harness(project=project, settings=settings) as harness:
            forks = [await harness.fork(session_id, at=at) for _ in range(SLEEPERS)]
            for each in forks:
                await harness.hand_over(each)
            return forks

    return asyncio.run(fork())


def test_sessions_that_wait_for_a_person_have_no_process_and_go_on_when_they_are_answered(
    desk: Desk, dsn: str, project: Path, api: ScriptedProcess
) -> None:
    """A worker takes each of them up, sees that nobody can go on, and starts nothing for it."""
    first = submit(desk, "Go !help:a", "--flow", "one.yaml")
    assert desk.run("worker", "--until-empty")[0] == 0
    assert statuses(dsn) == {first: "needs_help"}
    forks = many_like(dsn, project, first, last_event(dsn, first, "session.finished") - 1)
    asked = len(api.calls().messages())
    worker = desk.start("worker", "--concurrency", "2")
    seen = set[int]()

    def all_asleep() -> bool:
        seen.update(process.pid for process in tree(worker.process.pid))
        return set(statuses(dsn).values()) == {"needs_help"}

    until_sync(all_asleep, "every session to wait for a person", timeout_s=90)
    assert len(statuses(dsn)) == SLEEPERS + 1
    assert seen == set(), "a session that sleeps had a process"
    assert len(api.calls().messages()) == asked
    assert not list((desk.home / "harness" / "sessions").glob("*"))
    assert desk.start("resume", forks[0], "--submit", "--answer", "It is 42.").wait() == 0
    assert desk.run("wait", forks[0])[0] == 0
    assert "It is 42." in desk.run("resume", forks[0])[1]["report"]
    assert [id for id, status in statuses(dsn).items() if status != "needs_help"] == [forks[0]]


def test_leads_that_wait_for_slow_subagents_have_no_process(
    desk: Desk, dsn: str, project: Path, api: ScriptedProcess, holds: Path
) -> None:
    """Of many sessions as many have a process as are at work, and that is their subagent's."""
    (holds / "search-tides.hold").touch()
    first = submit(desk, "How?")
    worker = desk.start("worker", "--concurrency", "1")
    asleep = until_sync(
        lambda: last_event(dsn, first, "agent_run.suspended"), "the lead to sleep", timeout_s=60
    )
    worker.kill(clis_too=True)
    many_like(dsn, project, first, asleep)
    before = len(api.calls().messages())
    worker = desk.start("worker", "--concurrency", "2")

    def asked() -> int:
        return len(api.calls().messages()) - before

    until_sync(lambda: asked() >= 2, "two researchers to ask their model", timeout_s=60)
    assert len(worker.clis()) == 2
    assert sorted(statuses(dsn).values()).count("running") == 2
    assert asked() == 2, "somebody else has asked the model"
    (holds / "search-tides.go").touch()
    until_sync(lambda: "done" in statuses(dsn).values(), "a session to end", timeout_s=60)
