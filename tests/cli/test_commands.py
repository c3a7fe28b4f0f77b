"""Every command explains itself, and those around a session tell people and programs the same."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner, Result

from harness import events as ev
from harness.__main__ import COMMANDS, cli
from harness.store.database import Database
from harness.store.lease import Lease, acquire
from tests.cli.hand_made import REPORT, halfway, keep, worked
from tests.cli.processes import ROOT, document, run_process
from tests.kit.journals import tool_requested


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it."""
    found: list[tuple[tuple[str, ...], click.Command]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append(((*path, name), command))
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
    return found


EVERY = commands(cli)


def call(*args: str, dsn: str | None = None) -> Result:
    """Run a command in this process, without anything of this process's environment that it reads."""
    env: dict[str, str | None] = dict.fromkeys(("HARNESS_HOME", "HARNESS_TENANT", "ANTHROPIC_BASE_URL"))
    return CliRunner().invoke(cli, args, env={**env, "HARNESS_DSN": dsn}, standalone_mode=False)


@pytest.mark.parametrize(
    ("path", "command"), EVERY, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_every_command_explains_itself(path: tuple[str, ...], command: click.Command) -> None:
    """Each command has a help text and says of each option what it does."""
    result = call(*path, "--help")
    assert result.exit_code == 0
    assert command.help
    assert "Usage: " in result.output
    for parameter in command.params:
        assert isinstance(parameter, click.Argument) or parameter.help, parameter.name


@pytest.mark.parametrize(
    ("path", "command"), EVERY, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_every_command_takes_dsn_and_json(path: tuple[str, ...], command: click.Command) -> None:
    """A program can rely on --json and --dsn after the name of any command that does something."""
    if path not in (("db",), ("rollout",), ("tenants",), ("trace",)):
        assert {"--dsn", "--tenant", "--json"} <= {name for each in command.params for name in each.opts}


def test_the_readme_names_every_command() -> None:
    """Whoever reads the README knows what there is."""
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in COMMANDS if f"harness {name}" not in readme] == []


def test_help_is_quick_because_it_imports_no_sdk() -> None:
    """The list of commands does not wait for the Claude Agent SDK or the database driver."""
    code = (
        "import sys; from harness.__main__ import main; main(['--help']); "
        "print(sorted(sys.modules), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for module in ("claude_agent_sdk", "psycopg", "pydantic", "rich.console"):
        assert f"'{module}'" not in ended.stderr
    for name, (_, short_help) in COMMANDS.items():
        assert name in ended.stdout
        assert short_help.split()[0] in ended.stdout


async def test_sessions_are_listed_newest_first(dsn: str, database: Database) -> None:
    """The list holds the tenant's sessions, tells who is at work, and leaves out those never begun."""
    first = await keep(database, worked(), status="done")
    second = await keep(database, worked(), status="running", at_work=True)
    await keep(database, worked(), tenant="other", status="done")
    listed = (await document("sessions", dsn=dsn))["sessions"]
    assert [row["session_id"] for row in listed] == [second, first]
    assert [row["at_work"] for row in listed] == [True, False]
    assert listed[1].keys() == {
        *("session_id", "tenant", "flow", "question", "status"),
        *("at_work", "replays", "events", "created_at", "updated_at", "forked_from"),
    }
    assert [
        row["session_id"] for row in (await document("sessions", "--limit", "1", dsn=dsn))["sessions"]
    ] == [second]


async def test_a_session_that_was_cut_off_is_told_from_one_at_work(dsn: str, database: Database) -> None:
    """A person sees "cut off" where the journal says running and nobody runs it."""
    await keep(database, worked(), status="running", at_work=True)
    await keep(database, worked(), status="running")
    listed = await asyncio.to_thread(run_process, "sessions", dsn=dsn)
    states = [" ".join(line.split()[1:3]) for line in listed.stdout.splitlines()[1:]]
    assert states == ["cut off", "running research"]


async def test_show_gives_what_finished_gives_and_what_led_there(dsn: str, database: Database) -> None:
    """The document has what session.finished tells, the tree of agent runs, and every checkpoint."""
    book = worked()
    session_id = await keep(database, book, status="done")
    shown = await document("show", session_id[:8], dsn=dsn)
    assert shown["session_id"] == session_id
    assert shown["report"] == REPORT
    assert shown["usage"] == book.state.usage.model_dump()
    assert {
        "status",
        "problem",
        "citations",
        "cost_usd",
        "tenant",
        "flow",
        "questions",
        "at_work",
    } <= shown.keys()
    lead, *children = shown["agent_runs"]
    assert [run["parent_id"] for run in children] == [lead["id"], lead["id"]]
    assert lead["parent_id"] is None
    assert {run["id"]: run["status"] for run in shown["agent_runs"]} == {
        run.id: run.status for run in book.state.runs.values()
    }
    kinds = ("model.requested", "tool.requested", "delegation.requested", "delegation.joined")
    expected = [event.seq for event in book.events if event.payload.kind in kinds]
    assert [point["seq"] for point in shown["checkpoints"]] == expected
    assert {point["what"] for point in shown["checkpoints"]} >= {"m", "mcp__corpus__search"}


async def test_show_tells_a_person_the_same(dsn: str, database: Database) -> None:
    """The text has the tree with the lead first, the checkpoints, the citations and the report."""
    session_id = await keep(database, worked(), status="done")
    text = (await asyncio.to_thread(run_process, "show", session_id, dsn=dsn)).stdout
    tree = [line for line in text.splitlines() if "done" in line or "needs help" in line]
    assert [line.split()[0] for line in tree if line.startswith(("lead", "├", "└"))] == ["lead", "├", "└"]
    for part in ("Checkpoints: ", "Citations: 1 checked", "Out of steps.", REPORT.strip()):
        assert part in text


async def test_an_answer_from_the_cache_is_shown_as_one(dsn: str, database: Database) -> None:
    """The checkpoint of the call says so, and that of a call whose tool ran does not."""
    book = halfway()
    lead = next(iter(book.state.runs))
    for name, cached in (("toolu_ran", False), ("toolu_hit", True)):
        book.add(tool_requested(name), lead)
        book.add(ev.ToolFinished(tool_use_id=name, tool="mcp__corpus__search", cached=cached), lead)
    session_id = await keep(database, book, status="suspended")
    text = (await asyncio.to_thread(run_process, "show", session_id, dsn=dsn)).stdout
    ran, hit = [line for line in text.splitlines() if "tool corpus search" in line][-2:]
    assert not ran.endswith("(cached)")
    assert hit.endswith("(cached)")
    shown = await document("show", session_id, dsn=dsn)
    assert [run["cached_calls"] for run in shown["agent_runs"] if run["id"] == lead] == [["toolu_hit"]]


async def test_a_payload_with_a_nul_can_be_shown(dsn: str, database: Database) -> None:
    """What Postgres cannot hold as text does not stop a person from looking at the session."""
    book = halfway()
    lead = next(iter(book.state.runs))
    book.add(tool_requested("toolu_odd", input={"query": "a \x00 b \ud800"}), lead)
    shown = await document("show", await keep(database, book, status="suspended"), dsn=dsn)
    assert shown["checkpoints"][-1]["what"] == "mcp__corpus__search"


async def test_a_session_held_by_a_living_process_is_left_to_it(dsn: str, database: Database) -> None:
    """Whoever resumes it is told which process it is and what can be done, and changes nothing."""
    session_id = await keep(database, worked(), status="suspended")
    lease: Lease
    lease, _ = await acquire(database, session_id, ttl_s=3)
    lease.start()
    try:
        refused = await asyncio.to_thread(run_process, "resume", session_id, dsn=dsn)
    finally:
        await lease.release()
    assert (refused.returncode, refused.stdout) == (2, "")
    *waiting, error = refused.stderr.splitlines()
    assert any("Waiting for the lease" in line for line in waiting)
    assert "is being advanced by process" in error
    assert "harness cancel" in error


async def test_cancel_ends_a_session_that_nobody_advances(dsn: str, database: Database) -> None:
    """It is cancelled at once, and can be seen to be."""
    session_id = await keep(database, halfway(), status="suspended")
    assert await document("cancel", session_id, dsn=dsn) == {"session_id": session_id, "status": "cancelled"}
    assert (await document("show", session_id, dsn=dsn))["status"] == "cancelled"


async def test_cancel_needs_no_key(dsn: str, database: Database) -> None:
    """Whoever left a live session to workers can take it back without one, and its wait is over."""
    session_id = await keep(database, halfway(upstream="live"), status="queued")
    answer = await document("cancel", session_id, dsn=dsn, ANTHROPIC_API_KEY="")
    assert answer == {"session_id": session_id, "status": "cancelled"}
    assert (await document("show", session_id, dsn=dsn))["status"] == "cancelled"


def test_a_fault_of_the_harness_is_told_from_bad_input() -> None:
    """It ends with 1 and one sentence; --debug shows the traceback."""
    code = (
        "import sys, harness.cli.db as db; from harness.__main__ import main\n"
        "def broken(home): raise RuntimeError('no such luck')\n"
        "db.embedded.stop = broken; sys.exit(main(sys.argv[1:]))"
    )
    plain, debug = (
        subprocess.run(
            [sys.executable, "-c", code, "db", "stop", *flags],
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        for flags in ((), ("--debug",))
    )
    assert (plain.returncode, plain.stdout) == (1, "")
    assert "Traceback" not in plain.stderr
    assert "no such luck" in plain.stderr
    assert "--debug" in plain.stderr
    assert debug.returncode == 1
    assert "Traceback" in debug.stderr
