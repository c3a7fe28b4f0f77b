"""A tenant that has nothing but a plain role of Postgres: what it can do, all of it, and what it cannot."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.__main__ import main
from harness.store.database import Database
from harness.store.embedded import EmbeddedServer
from harness.store.tenant_roles import grant
from tests.cli.hand_made import halfway, keep, worked
from tests.e2e.running import Desk
from tests.kit.databases import fresh_database
from tests.kit.plain_roles import as_role, plain_role

NO_MODEL = "http://127.0.0.1:9"
ASKED = ("How do the tides turn?", "--offline", "--flow", "single", "--sources", "notes.md")


@dataclass(frozen=True)
class Place:
    """The DSN of the service, who owns the tables, and that of the role that works for the tenant acme."""

    home: Path
    service: str
    acme: str


@pytest.fixture
def place(postgres: EmbeddedServer, migrated_template: str, home: Path) -> Iterator[Place]:
    """A fresh database in which a role has been granted acme."""
    (home / "notes.md").write_text("# Tides\n\nThe tides turn twice a day.\n\nWinds turn often.\n")
    # The role goes after the database, in which it has rights.
    with plain_role(postgres.dsn) as role, fresh_database(postgres.dsn, migrated_template) as dsn:
        asyncio.run(_granted(dsn, role))
        yield Place(home, dsn, as_role(dsn, role))


async def _granted(dsn: str, role: str) -> None:
    async with await Database.open(dsn) as database:
        await grant(database, "acme", role)


@pytest.fixture
def desk(place: Place) -> Iterator[Desk]:
    """Where acme runs commands."""
    with closing(Desk(place.home, NO_MODEL, place.acme)) as made:
        yield made


def test_a_role_runs_a_session_and_goes_on_in_it(desk: Desk) -> None:
    """With agents, documents, spans and transcripts, all through policies; its report is there afterwards."""
    code, first = desk.run("run", *ASKED, "--tenant", "acme", "--record")
    assert (code, first["status"]) == (0, "done")
    one = str(first["session_id"])
    code, view = desk.run("show", one[:8], "--tenant", "acme")
    assert (code, view["tenant"], view["sources"], view["report"]) == (0, "acme", 1, first["report"])
    code, fork = desk.run("fork", one, "--at", "4", "--tenant", "acme")
    assert code == 0
    code, again = desk.run("resume", str(fork["session_id"]), "--tenant", "acme")
    assert (code, again["status"]) == (0, "done")


def test_a_role_leaves_what_is_paid_for_to_the_service(desk: Desk, place: Place) -> None:
    """It could not be held to its budget; nothing is created, and submitting is not refused."""
    refused = desk.start("run", "Why?", "--flow", "single", "--tenant", "acme")
    assert refused.wait() == 2
    assert "leave the session to the service's workers" in "".join(refused.errors)
    code, left = desk.run("submit", "Why?", "--flow", "single", "--tenant", "acme")
    assert (code, left["status"]) == (0, "queued")
    code, known = desk.run("sessions", "--tenant", "acme")
    assert [each["session_id"] for each in known["sessions"]] == [left["session_id"]]


def test_a_worker_of_the_service_advances_what_a_role_has_submitted(desk: Desk, place: Place) -> None:
    """The role waits for it and reads the outcome; the worker sees all tenants' sessions."""
    code, left = desk.run("submit", *ASKED, "--tenant", "acme")
    assert (code, left["status"]) == (0, "queued")
    assert desk.start("worker", "--until-empty", "--dsn", place.service).wait() == 0
    waited = desk.run("wait", str(left["session_id"]), "--tenant", "acme")
    assert waited == (0, {"session_id": left["session_id"], "status": "done"})


@dataclass
class Told:
    """Runs commands in this process, and gives what they said."""

    place: Place
    capsys: pytest.CaptureFixture[str]

    def answer(self, *args: str, tenant: str = "acme") -> dict[str, Any]:
        """The document that a command of the role answers with."""
        assert main([*args, "--json", "--tenant", tenant, "--dsn", self.place.acme]) == 0
        found: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        return found

    def refusal(self, *args: str, tenant: str = "acme") -> str:
        """The sentence with which a command of the role is refused."""
        assert main([*args, "--tenant", tenant, "--dsn", self.place.acme]) == 2
        out, err = self.capsys.readouterr()
        assert out == ""
        return err.splitlines()[-1]


@pytest.fixture
def told(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    """Commands of the role, in this process."""
    monkeypatch.chdir(place.home)
    monkeypatch.setenv("HARNESS_HOME", str(place.home / "data"))
    monkeypatch.delenv("HARNESS_TENANT", raising=False)
    return Told(place, capsys)


def test_a_role_does_with_its_sessions_what_a_tenant_does(told: Told) -> None:
    """It finds, shows, scores, forks, exports and cancels them, and has no schema to bring up to date."""
    one, two = asyncio.run(_kept(told.place.service, "acme"))
    assert {row["session_id"] for row in told.answer("sessions")["sessions"]} == {one, two}
    assert told.answer("show", one)["status"] == "done"
    assert told.answer("score", one, "good")["score"]["value"] == "good"
    assert told.answer("report", one, "--html", "page.html")["session_id"] == one
    assert told.answer("trace", "status", one)["waiting"] > 0
    assert told.answer("trace", "export", one)["resourceSpans"]
    assert told.answer("fork", one, "--at", "2")["origin"] == one
    assert told.answer("cancel", two)["status"] == "cancelled"
    assert told.answer("db", "migrate") == {"applied": []}
    assert told.answer("db", "status")["pending"] == []


def test_a_role_has_no_part_in_another_tenant_whatever_it_calls_itself(told: Told) -> None:
    """Under the other name it finds an empty house; to write there, or to serve all, is refused."""
    theirs, open_one = asyncio.run(_kept(told.place.service, "beta"))
    assert told.answer("sessions", tenant="beta") == {"sessions": []}
    for verb, *args in (["show", theirs], ["fork", theirs, "--at", "1"], ["cancel", open_one]):
        assert "There is no session" in told.refusal(verb, *args, tenant="beta")
    for tenant, *args in (
        ["beta", "run", *ASKED],
        ["beta", "submit", *ASKED],
        ["gamma", "submit", *ASKED],
        ["acme", "worker", "--until-empty"],
        ["acme", "tenants", "revoke", "acme", "anyone"],
    ):
        said = told.refusal(*args, tenant=tenant)
        assert "does not let the role of the DSN do this" in said
    assert asyncio.run(_sessions(told.place.service)) == {theirs, open_one}


async def _kept(dsn: str, tenant: str) -> tuple[str, str]:
    """A finished session of a tenant, and one that was stopped."""
    async with await Database.open(dsn) as database:
        done = await keep(database, worked(), tenant=tenant, status="done")
        return done, await keep(database, halfway(), tenant=tenant, status="suspended")


async def _sessions(dsn: str) -> set[str]:
    async with await Database.open(dsn) as database:
        return {str(row["id"]) for row in await database.all("select id from session")}
