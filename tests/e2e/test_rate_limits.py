"""Rate limits and models that cannot answer, with the real CLI: who waits, who stops, who answers instead."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.e2e.crew import make_project, who
from tests.e2e.running import Command, Desk
from tests.e2e.scripts import ALONE
from tests.kit.processes import until_sync
from tests.kit.scripted_api import ScriptedProcess, scripted_process

ANOTHER = "claude-haiku-5-5"
RUN = ("run", "How?", "--sources", "notes.md", "--flow", "single")


@contextmanager
def served(home: Path, dsn: str, script: str, **given: Any) -> Iterator[tuple[Desk, ScriptedProcess]]:
    """A desk before a model that plays a script of `rate_scripts`."""
    (home / "notes.md").write_text("# Notes\n\nTides, winds and stars.\n")
    played = scripted_process(f"tests.e2e.rate_scripts:{script}", home / "calls.jsonl", given=given)
    with played as api, closing(Desk(home, api.base_url, dsn)) as desk:
        yield desk, api


def statuses(api: ScriptedProcess) -> list[int | None]:
    """How each request was answered, in order."""
    return [call.status for call in api.calls().messages()]


def kinds(dsn: str) -> list[str]:
    """The kinds of all events."""
    with psycopg.connect(dsn) as connection:
        return [kind for (kind,) in connection.execute("select kind from event order by seq")]


def test_two_workers_honour_what_one_was_told(home: Path, dsn: str) -> None:
    """One process is refused for a while; another one, begun meanwhile, sends nothing before that is over."""
    with served(home, dsn, "refusing_once", retry_after=8) as (desk, api):
        first = desk.start(*RUN, HARNESS_TENANT="a")
        until_sync(lambda: statuses(api) == [429], "the refusal")
        second = desk.start(*RUN, HARNESS_TENANT="b")
        assert (first.wait(), second.wait()) == (0, 0)
        for command in (first, second):
            assert command.finished is not None
            assert command.finished["report"] == ALONE
        refusal, *after = api.calls().messages()
        assert min(call.received_at for call in after) - (refusal.ended_at or 0) >= 7.5
        assert statuses(api).count(429) == 1


def test_two_workers_keep_to_one_limit(home: Path, dsn: str) -> None:
    """Three processes of two tenants ask for more than there is: the service has nobody to refuse."""
    with served(home, dsn, "metered", requests=120, left=1) as (desk, api):
        commands = [desk.start(*RUN, HARNESS_TENANT=tenant) for tenant in ("a", "a", "b")]
        assert [command.wait() for command in commands] == [0, 0, 0]
        # Before the first answer nobody knows of a limit; a call sent then may be refused.
        first_answer = next(call for call in api.calls().messages() if call.status == 200)
        late = [c for c in api.calls().messages() if c.received_at > (first_answer.ended_at or 0) + 0.5]
        assert {call.status for call in late} == {200}
        assert len(late) > 5


def test_a_long_wait_suspends_the_session(home: Path, dsn: str) -> None:
    """It says until when; a resume before that does not ask the service again, and one after it goes on."""
    with served(home, dsn, "refusing_once", retry_after=3600) as (desk, api):
        code, finished = desk.run(*RUN)
        assert (code, finished["status"]) == (3, "suspended")
        assert "with this key until 20" in finished["problem"]
        assert "UTC; the session can be resumed then." in finished["problem"]
        again, finished = desk.run("resume", finished["session_id"])
        assert (again, finished["status"]) == (3, "suspended")
        assert len(api.calls().messages()) == 1
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("update rate_limit set blocked_until = now()")
        assert desk.run("resume", finished["session_id"])[1]["report"] == ALONE


def test_a_router_that_would_wait_long_suspends_the_session(home: Path, dsn: str) -> None:
    """It has no process of its own, and is held back as agents are; nothing of its group has failed."""
    make_project(home, "ab")
    (home / "flow.yaml").write_text("flow: {pattern: supervisor, members: [a, b]}\n")
    with served(home, dsn, "router_refused", retry_after=3600) as (desk, api):
        code, finished = desk.run("run", "Do it. !once", "--flow", "flow.yaml")
        assert (code, finished["status"]) == (3, "suspended")
        assert "UTC; the session can be resumed then." in finished["problem"]
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("update rate_limit set blocked_until = now()")
        assert desk.run("resume", finished["session_id"])[1]["status"] == "done"
        assert statuses(api).count(429) == 1


def test_workers_leave_a_session_until_the_wait_is_over(home: Path, dsn: str) -> None:
    """It is due when the service takes calls again, and has spent no try, also when taken up too early."""
    with (
        served(home, dsn, "refusing_once", retry_after=3600) as (desk, api),
        psycopg.connect(dsn, autocommit=True) as connection,
    ):
        assert desk.run("submit", *RUN[1:])[0] == 0
        worker = desk.start("worker")
        for times in (1, 2):
            connection.execute("update session set due_at = now()")
            until_sync(partial(has_left, worker, times), "the session to be left", timeout_s=60)
            ((status, claims, due_s),) = connection.execute(
                "select status, claims, extract(epoch from due_at - now()) from session"
            ).fetchall()
            assert (status, claims) == ("queued", 0)
            assert 3480 < due_s <= 3601
        assert statuses(api) == [429]
        connection.execute("update rate_limit set blocked_until = now()")
        connection.execute("update session set due_at = now()")
        until_sync(partial(has_left, worker, 3), "the session to end", timeout_s=60)
        assert worker.lines[-1]["status"] == "done"


def has_left(worker: Command, times: int) -> bool:
    """Whether a worker has left sessions so often."""
    return [line["event"] for line in list(worker.lines)].count("session.left") == times


def test_an_answer_on_the_wire_outlasts_another_agents_long_wait(home: Path, dsn: str, holds: Path) -> None:
    """It is being paid for: it is read to its end and committed, and nobody asks for it again."""
    make_project(home, "ab")
    (home / "flow.yaml").write_text("flow: {pattern: fan_out, branches: [a, b]}\n")
    with served(home, dsn, "one_refused", holds=str(holds), retry_after=3600) as (desk, api):
        command = desk.start("run", "Go !once", "--flow", "flow.yaml")
        until_sync(lambda: "agent_run.interrupted" in kinds(dsn), "the refused agent to end", timeout_s=60)
        # Longer than a CLI that was stopped at once would have to end in.
        time.sleep(8)
        assert not {"model.finished", "session.suspended"} & set(kinds(dsn))
        (holds / "go").touch()
        assert command.wait() == 3
        assert command.finished is not None
        assert command.finished["status"] == "suspended"
        assert "UTC; the session can be resumed then." in command.finished["problem"]
        assert {"model.failed", "model.finished", "agent_run.finished"} <= set(kinds(dsn))
        assert command.finished["usage"]["unattributed_calls"] == 0
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("update rate_limit set blocked_until = now()")
        assert desk.run("resume", command.finished["session_id"])[1]["status"] == "done"
        assert sorted(who(call.request) for call in api.calls().messages()) == ["a", "b", "b"]


@pytest.mark.parametrize("status", [404, 529])
def test_another_model_answers(home: Path, dsn: str, status: int) -> None:
    """The session ends as ever; who answered is in its journal, and its price is paid."""
    (home / "harness.toml").write_text(f'[models]\nfallback = "{ANOTHER}"\n')
    with served(home, dsn, "without", status=status, instead=ANOTHER) as (desk, api):
        code, finished = desk.run(*RUN, "--budget-usd", "5")
        assert (code, finished["report"]) == (0, ALONE)
        answered = [call for call in api.calls().messages() if call.status == 200]
        assert {call.request.model for call in answered} == {ANOTHER}
        assert finished["cost_usd"] == pytest.approx(
            sum(1e-7 * (c.usage.input_tokens + 5 * c.usage.output_tokens) for c in answered if c.usage)
        )
        with psycopg.connect(dsn) as connection:
            told = connection.execute(
                "select distinct payload->>'model' from event where kind = 'model.retried'"
                " and payload->>'model' is not null"
            ).fetchall()
        assert told == [(ANOTHER,)]


def test_without_a_fallback_a_missing_model_suspends_the_session(home: Path, dsn: str) -> None:
    """It concerns the key, and a person is told which model it has not."""
    with served(home, dsn, "without", status=404, instead=ANOTHER) as (desk, _):
        code, finished = desk.run(*RUN)
        assert (code, finished["status"]) == (3, "suspended")
        assert "has no model 'claude-sonnet-5-5' for this key" in finished["problem"]
