"""Another tenant's session: whoever asks for it hears what is said of one that does not exist."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from harness.__main__ import cli, main
from harness.errors import NoSuchSession
from harness.library import Harness
from harness.settings import Settings
from harness.store.database import Database
from harness.store.embedded import EmbeddedServer
from tests.cli.hand_made import keep, worked
from tests.cli.processes import NO_MODEL
from tests.kit.databases import fresh_database

FOREIGN = "cccc0000-0000-4000-8000-000000000004"
MISSING = "ffff0000-0000-4000-8000-00000000000f"
OWN = "aaaa0000-0000-4000-8000-000000000001"

COMMANDS: dict[str, tuple[str, ...]] = {
    "ask": ("ask", "ID", "And?"),
    "cancel": ("cancel", "ID"),
    "doctor": ("doctor", "--session", "ID"),
    "export": ("export", "ID"),
    "fork": ("fork", "ID", "--at", "1"),
    "fork at a span": ("fork", "ID", "--at", "abcd"),
    "pause": ("pause", "ID"),
    "replay": ("replay", "ID"),
    "replay against": ("replay", "ID", "--against", "."),
    "report": ("report", "ID", "--html", "page.html"),
    "resume": ("resume", "ID"),
    "resume at": ("resume", "ID", "--at", "1"),
    "resume with an answer": ("resume", "ID", "--answer", "Yes."),
    "resume, submitted": ("resume", "ID", "--submit"),
    "score": ("score", "ID", "1"),
    "score a span": ("score", "ID", "1", "--span", "abcd"),
    "show": ("show", "ID"),
    "show as JSON": ("show", "ID", "--json"),
    "show at": ("show", "ID", "--at", "1"),
    "show checkpoints": ("show", "ID", "--checkpoints"),
    "show messages": ("show", "ID", "--messages"),
    "show spans": ("show", "ID", "--spans"),
    "tail": ("tail", "ID"),
    "trace export": ("trace", "export", "ID", "--json"),
    "trace export, posted": ("trace", "export", "ID", "--otlp", NO_MODEL),
    "trace flush": ("trace", "flush", "ID"),
    "trace status": ("trace", "status", "ID"),
    "wait": ("wait", "ID"),
    "wait for several": ("wait", OWN, "ID"),
}
"""Every command that takes a session, and each of its ways to use one."""

METHODS: dict[str, Callable[[Harness, str], Awaitable[object]]] = {
    "ask": lambda harness, id: harness.ask(id, "And?"),
    "cancel": lambda harness, id: harness.cancel(id),
    "compared": lambda harness, id: harness.compared(id),
    "events": lambda harness, id: anext(harness.events(id, follow=False)),
    "fork": lambda harness, id: harness.fork(id, at=1),
    "hand_over": lambda harness, id: harness.hand_over(id),
    "pause": lambda harness, id: harness.pause(id),
    "replay": lambda harness, id: harness.replay(id),
    "resume": lambda harness, id: harness.resume(id),
    "state": lambda harness, id: harness.state(id),
    "wait": lambda harness, id: harness.wait(id),
}
"""Every method of the library that takes a session."""


@dataclass(frozen=True)
class Told:
    """What a command said, with the session's id left out."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def shared(postgres: EmbeddedServer, migrated_template: str) -> Iterator[str]:
    """A database with a finished session of this tenant and one of another's, which stay as they are."""
    with fresh_database(postgres.dsn, migrated_template) as dsn:
        asyncio.run(_sessions(dsn))
        yield dsn


async def _sessions(dsn: str) -> None:
    async with await Database.open(dsn) as database:
        await keep(database, worked(OWN), status="done")
        await keep(database, worked(FOREIGN), tenant="other", status="suspended")
        # What this version cannot read is not looked at either.
        await database.run(
            "update event set version = 99 where session_id = %(id)s and seq = 2", {"id": FOREIGN}
        )


@pytest.mark.parametrize("prefix", [None, 4, 8], ids=["whole id", "4 characters", "8 characters"])
@pytest.mark.parametrize("args", COMMANDS.values(), ids=COMMANDS.keys())
def test_a_command_says_what_it_says_of_no_session(
    args: tuple[str, ...],
    prefix: int | None,
    shared: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same sentence and exit code 2, by whole id and by prefix, and neither a row nor a file is made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_TENANT", raising=False)
    keys = {"LANGFUSE_PUBLIC_KEY": "pk", "LANGFUSE_SECRET_KEY": "sk", "LANGFUSE_BASE_URL": NO_MODEL}
    for name, value in {**keys, "HARNESS_DSN": shared, "HARNESS_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)
    before = asyncio.run(_counts(shared))

    def said_of(session_id: str) -> Told:
        given = session_id[:prefix]
        code = main([given if arg == "ID" else arg for arg in args])
        out, err = capsys.readouterr()
        return Told(code, out.replace(given, "ID"), err.replace(given, "ID"))

    found = said_of(FOREIGN)
    assert found == said_of(MISSING)
    assert found.code == 2
    assert "There is no session" in found.err
    assert found.err.count("\n") == 1
    assert found.out == ""
    assert asyncio.run(_counts(shared)) == before
    assert list(tmp_path.iterdir()) == []


async def _counts(dsn: str) -> list[dict[str, Any]]:
    async with await Database.open(dsn) as database:
        return await database.all(
            "select id, head, token, stop_requested, due_at, (select count(*) from score) as scores"
            "  from session order by id"
        )


@pytest.mark.parametrize("name", METHODS)
async def test_a_method_says_what_it_says_of_no_session(name: str, shared: str, tmp_path: Path) -> None:
    """The same error with the same sentence."""
    settings = Settings.model_validate({"dsn": shared, "home": tmp_path})
    said = []
    async with Harness(project=tmp_path, settings=settings) as harness:
        for session_id in (FOREIGN, MISSING, FOREIGN.upper()):
            with pytest.raises(NoSuchSession) as refused:
                await METHODS[name](harness, session_id)
            said.append(str(refused.value).replace(session_id, "ID"))
    assert said[0] == said[1] == said[2]


def test_every_command_that_takes_a_session_is_asked() -> None:
    """A new command cannot be forgotten: it takes SESSION_ID, or an option --session."""
    taking = {words for words, command in _commands(cli) if any(_takes(each) for each in command.params)}
    asked = {" ".join(word for word in args[:2] if word in _words()) for args in COMMANDS.values()}
    assert taking == asked


def test_every_method_that_takes_a_session_is_asked() -> None:
    """A new method cannot be forgotten either."""
    taking = {
        name
        for name, method in inspect.getmembers(Harness, inspect.isfunction)
        if not name.startswith("_") and "session_id" in inspect.signature(method).parameters
    }
    assert taking == set(METHODS)


def _takes(parameter: click.Parameter) -> bool:
    return parameter.name in ("session_id", "session_ids", "session")


def _words() -> set[str]:
    return {word for words, _ in _commands(cli) for word in words.split()}


def _commands(group: click.Group, words: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{words} {name}".strip(), command
        if isinstance(command, click.Group):
            yield from _commands(command, f"{words} {name}".strip())
