"""A tenant with hundreds of queued sessions holds up another's single one no longer than is promised.

That is until the next place gets free, or when none does, until a session of the first has made room: after
`worker.share_after_s` seconds, at its next checkpoint, which it reaches within `limits.stop_grace_s`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.e2e.crew import make_project
from tests.e2e.running import Command, Desk
from tests.kit.processes import until_sync
from tests.kit.scripted_api import ScriptedProcess, scripted_process

MANY = 500
PLACES = 2

COPIES = """
with copy as (
    insert into session (id, tenant, flow, question, status, head, queue, due_at)
    select gen_random_uuid(), tenant, flow, question, status, head, queue, due_at
      from session, generate_series(2, %(many)s)
     where id = %(id)s
    returning id
)
insert into event (session_id, seq, id, kind, version, token, payload)
select copy.id, seq, gen_random_uuid(), kind, version, token, payload
  from copy, event
 where session_id = %(id)s
"""
"""A session that was submitted, again and again."""


@pytest.fixture
def api(home: Path, holds: Path) -> Iterator[ScriptedProcess]:
    """Agents `a` and `b`; a test holds `a`."""
    with scripted_process("tests.e2e.crew:crew", home / "calls.jsonl", given={"holds": str(holds)}) as played:
        yield played


def crowded(desk: Desk, dsn: str, holds: Path, settings: str) -> Command:
    """A worker all of whose places are taken by sessions of `many`, which has hundreds more."""
    make_project(desk.home)
    (desk.home / "harness.toml").write_text(settings)
    for name in "ab":
        (desk.home / f"{name}.yaml").write_text(f"flow: {{pattern: agent, agent: {name}}}\n")
    (holds / "a.hold").touch()
    first = submit(desk, "many", "a")
    with psycopg.connect(dsn) as connection:
        connection.execute(COPIES, {"id": first, "many": MANY})
    worker = desk.start("worker", "--concurrency", str(PLACES))
    until_sync(lambda: len(worker.lines) == PLACES and len(worker.clis()) == PLACES, "all places to be taken")
    return worker


def submit(desk: Desk, tenant: str, agent: str) -> str:
    command = desk.start("submit", f"!once by {tenant}", "--flow", f"{agent}.yaml", HARNESS_TENANT=tenant)
    assert command.wait() == 0, command.errors
    assert command.session_id is not None
    return command.session_id


def story(worker: Command, since: int) -> list[tuple[str, str]]:
    """What the worker has done since its line of this number: claimed or left whose session."""
    return [(str(line["event"]), str(line["tenant"])) for line in worker.lines[since:]]


def test_a_single_session_gets_the_next_free_place(desk: Desk, dsn: str, holds: Path) -> None:
    """Not one of the five hundred that were there before it is begun first."""
    worker = crowded(desk, dsn, holds, "")
    submit(desk, "single", "b")
    assert story(worker, PLACES) == []
    (holds / "a.go").touch()
    claimed = ("session.claimed", "single")
    until_sync(lambda: claimed in story(worker, PLACES), "the single session's turn", timeout_s=60)
    turns = [line for line in story(worker, PLACES) if line[0] == "session.claimed"]
    assert turns[0] == claimed


def test_room_is_made_when_no_place_gets_free(desk: Desk, dsn: str, holds: Path) -> None:
    """One of the many, and not more, goes back to the queue, and none of the others gets its place."""
    settings = "[worker]\nshare_after_s = 1\npoll_s = 0.2\n[limits]\nstop_grace_s = 1\n"
    worker = crowded(desk, dsn, holds, settings)
    single = submit(desk, "single", "b")
    assert desk.run("wait", single, HARNESS_TENANT="single")[0] == 0
    assert story(worker, PLACES)[:2] == [("session.left", "many"), ("session.claimed", "single")]
    left = worker.lines[PLACES]
    assert left["status"] == "queued"
    assert left["problem"] == "It makes room for another tenant."
    until_sync(lambda: len(worker.lines) >= PLACES + 4, "the place to be given back")
    assert story(worker, PLACES + 2)[:2] == [("session.left", "single"), ("session.claimed", "many")]
