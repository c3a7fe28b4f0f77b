"""Secrets planted wherever they can come from, and looked for wherever something is kept or told.

Each canary enters by one way only, so that one that is found says by which way it got there.
"""

from __future__ import annotations

import base64
import json
import stat
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from harness.redaction import REDACTED
from tests.e2e.running import ROOT, Command, Desk
from tests.kit.otlp_receiver import OtlpReceiver
from tests.kit.processes import API_KEY, tree, until_sync
from tests.kit.script import Reply, Request, text, tool_use
from tests.kit.scripted_api import ScriptedProcess, scripted_process
from tests.toolsets import mcp_notes

KNOWN = "Quiet-Heron-41x77"
"""No form gives it away: it is known because a variable named like a secret holds it."""

PEM_LINE = "MIIEowIBAAKCAQEAcanaryCANARYcanaryCANARY0123456789abcdefghijABCDEF"
CANARIES = {
    "question": "sk-ant-api03-canary-of-the-question",
    "question, by value": KNOWN,
    "tool input": "ghp_canary0OF0the0TOOL0INPUT0123456789ab",
    "tool output": "glpat-canary-of-the-output",
    "document": "AKIACANARYOFDOCUMENT",
    "document, a DSN": "canary-of-a-dsn",
    "document, a key file": PEM_LINE,
    "report": "xoxb-000000-canaryofthereport",
    "exception of a tool": "npm_canary0of0an0exception01234567890123",
    "exception of a hook": "gho_canary0of0a0hook0123456789abcdefgh",
    "kept answer": "github_pat_canary_of_the_kept_answer_0123",
    "long result": "eyJjYW5hcnkiOiJjYW5hcnkifQ.eyJjYW5hcnkiOiJjYW5hcnkifQ.canary-of-a-long-result",
}

NOTES = f"""# Notes

The deployment uses {CANARIES["document"]} and postgres://app:{CANARIES["document, a DSN"]}@db/app.

## Keys

-----BEGIN RSA PRIVATE KEY-----
{PEM_LINE}
-----END RSA PRIVATE KEY-----

## Tides

The tides turn twice a day.
"""

BUNDLE = """---
name: analyst
role: analyst
description: Answers a question alone.
tools: [corpus, Bash]
output: markdown
limits: {max_steps: 9, timeout_s: 120}
---
You answer questions.
"""

TOOLS = '''from harness import Tool, ToolContext, Toolset
from harness.records import Record


class Asked(Record):
    """What to find."""

    topic: str


async def find(context: ToolContext, asked: Asked) -> str:
    """Find it."""
    return "The token is {kept}."


async def dump(context: ToolContext, asked: Asked) -> str:
    """Give much."""
    return "{long} and so on. " + "Much text. " * 3_000


async def burst(context: ToolContext, asked: Asked) -> str:
    """Fail as nobody expects."""
    raise RuntimeError("cannot log in with {exception}")


TOOLSET = Toolset(
    "almanac",
    (
        Tool("find", "Finds a topic.", Asked, find, replay="read_only", cache_s=600),
        Tool("dump", "Gives all.", Asked, dump, replay="read_only"),
        Tool("burst", "Fails.", Asked, burst, replay="read_only", tries=1),
    ),
)
'''

HOOK = """from harness.hooks import Hook


async def fail(call, run):
    raise RuntimeError("no access with {secret}")


HOOK = Hook(name="watcher", order=99, on_failure="ignore", after_tool=fail)
"""


def spill(request: Request, holds: str) -> Reply:
    """Call everything that holds a canary, and write one into the report; `third.hold` holds that turn."""
    echoed = base64.b64encode(CANARIES["tool output"].encode()).decode()
    turns = [
        [
            tool_use("Bash", {"command": f"echo {CANARIES['tool input']}", "description": "say it"}),
            tool_use("Bash", {"command": f"echo {echoed} | base64 -d", "description": "say another"}),
        ],
        [
            tool_use("mcp__corpus__search", {"query": "deployment"}),
            tool_use("mcp__corpus__read", {"source": "S1"}),
        ],
        [tool_use(f"mcp__almanac__{name}", {"topic": "tides"}) for name in ("find", "dump", "burst")],
    ]
    # By results and not by messages: a resume puts messages in.
    turn = len(request.tool_results()) // 2
    if turn < len(turns):
        held = turn == 2 and (Path(holds) / "third.hold").exists()
        return Reply(turns[turn], hold=Path(holds) / "third.go" if held else None)
    return Reply([text(f"# Report\n\nThe key of the question was {CANARIES['report']}.")])


@pytest.fixture
def api(home: Path, holds: Path) -> Iterator[ScriptedProcess]:
    """The played model."""
    given = {"holds": str(holds)}
    with scripted_process("tests.e2e.test_canaries:spill", home / "calls.jsonl", given=given) as played:
        yield played


@pytest.fixture
def project(desk: Desk) -> Path:
    """A project whose documents, tools and hooks hold canaries."""
    folder = desk.home / "subagents" / "analyst"
    folder.mkdir(parents=True)
    (folder / "AGENT.md").write_text(BUNDLE)
    tools = TOOLS.replace("{kept}", CANARIES["kept answer"]).replace("{long}", CANARIES["long result"])
    (folder / "tools.py").write_text(tools.replace("{exception}", CANARIES["exception of a tool"]))
    (desk.home / "hooks").mkdir()
    (desk.home / "hooks" / "watcher.py").write_text(HOOK.format(secret=CANARIES["exception of a hook"]))
    (desk.home / "harness.toml").write_text("")
    (desk.home / "secret-notes.md").write_text(NOTES)
    return desk.home


def dumped(dsn: str) -> dict[str, str]:
    """Give every table of the database as text, what is compressed in it unpacked."""
    with psycopg.connect(dsn) as connection:
        names = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'public'"
        ).fetchall()
        return {name: _table(connection, name) for (name,) in names}


def _table(connection: psycopg.Connection[Any], name: str) -> str:
    rows = connection.execute(sql.SQL("select to_json(t)::text from {} t").format(sql.Identifier(name)))
    texts = [row for (row,) in rows]
    for column in _binary_columns(connection, name):
        packed = sql.SQL("select {} from {}").format(sql.Identifier(column), sql.Identifier(name))
        bodies = [zlib.decompress(body).decode() for (body,) in connection.execute(packed)]
        texts += [part for body in bodies for part in (body, _said(body))]
    return "\n".join(texts)


def _said(stream: str) -> str:
    """Put together what a streamed answer tells in pieces: a secret may be cut anywhere."""
    events = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: ")]
    deltas = [event.get("delta") or {} for event in events]
    return "".join(str(delta.get("text") or delta.get("partial_json") or "") for delta in deltas)


def _binary_columns(connection: psycopg.Connection[Any], table: str) -> list[str]:
    rows = connection.execute(
        "select column_name from information_schema.columns where table_name = %s and data_type = 'bytea'",
        (table,),
    )
    return [name for (name,) in rows]


def found_in(text: str) -> list[str]:
    """Name the canaries in a text, whatever their case."""
    lower = text.lower()
    return [way for way, canary in CANARIES.items() if canary.lower() in lower]


def leaks(dsn: str) -> dict[str, list[str]]:
    """Name the tables that are not clean, with the canaries in them."""
    found = {name: found_in(rows) for name, rows in dumped(dsn).items()}
    return {name: ways for name, ways in found.items() if ways}


def start(desk: Desk, *options: str, **extra: str) -> Command:
    """Ask the question, with two canaries in it."""
    question = f"Why does {CANARIES['question']} work, and {KNOWN} not?"
    asked = ("run", question, "--flow", "single", "--sources", "secret-notes.md", "--log-json")
    return desk.start(*asked, *options, MY_SERVICE_TOKEN=KNOWN, **extra)


@pytest.mark.usefixtures("project")
def test_no_secret_is_kept_or_told(desk: Desk, dsn: str, api: ScriptedProcess) -> None:
    """Not in a table, a log line, a file, a page or a post, nor on stderr; what stood there is marked."""
    with OtlpReceiver() as receiver:
        command = start(desk, "--record", **receiver.environment())
        assert command.wait() == 0, command.errors
    assert receiver.violations == []
    posted = receiver.raw().decode(errors="replace")
    assert found_in(posted) == []
    assert posted.count(REDACTED) > 10
    sent = json.dumps([call.request.body for call in api.calls().messages()])
    assert found_in(sent) == ["tool input", "tool output", "exception of a tool"], "what passes is not stored"

    assert leaks(dsn) == {}
    tables = dumped(dsn)
    stored = ("session", "event", "span", "recording", "transcript", "passage", "result", "tool_answer")
    for name in stored:
        assert REDACTED in tables[name], f"{name} holds nothing of what was planted"
    assert tables["session"].count(REDACTED) == 2
    assert tables["passage"].count(REDACTED) == 3

    errors = "".join(command.errors)
    assert found_in(errors) == []
    assert f"no access with {REDACTED}" in errors

    (log,) = (desk.home / "harness" / "logs").iterdir()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    expected = {"session.created", "model.finished", "tool.finished", "session.finished", "log.hook_failed"}
    assert expected <= {line["event"] for line in lines}
    assert any(REDACTED in line["message"] for line in lines if line["event"] == "log.hook_failed")
    assert {line["session_id"] for line in lines} == {json.loads(tables["session"])["id"]}

    code, _ = desk.run("report", str(command.session_id), "--html", "page.html")
    page = (desk.home / "page.html").read_text()
    assert (code, found_in(page)) == (0, [])
    assert REDACTED in page

    files = [path for path in (desk.home / "harness").rglob("*") if path.is_file()]
    assert [path for path in files if found_in(path.read_text(errors="replace"))] == []


@pytest.mark.usefixtures("project")
def test_a_session_at_work_keeps_none_either_and_goes_on_without(
    desk: Desk, dsn: str, api: ScriptedProcess, holds: Path
) -> None:
    """While answers are kept and spans are open; after a kill the agent goes on with its redacted past."""
    (holds / "third.hold").touch()
    command = start(desk)
    until_sync(lambda: len(api.calls().messages()) == 3, "the third call", timeout_s=60)
    assert command.session_id is not None
    assert dumped(dsn)["kept_response"], "answers are kept while the agent is at work"
    assert leaks(dsn) == {}
    command.kill(clis_too=True)
    (holds / "third.hold").unlink()
    (holds / "third.go").touch()
    code, finished = desk.run("resume", command.session_id, "--log-json")
    assert (code, finished["status"]) == (0, "done")
    calls = api.calls().messages()
    assert len(calls) == 5, "only the call that was cut off is made again"
    past = json.dumps(calls[3].request.body)
    assert found_in(past) == [], "the transcript that it goes on from holds no secret"
    assert leaks(dsn) == {}
    code, whole = desk.run("doctor", "--session", command.session_id)
    assert (code, whole["ok"]) == (0, True), whole


SERVERS = f"""
[mcp_servers.notes]
command = "{sys.executable}"
args = ["-m", "tests.toolsets.mcp_notes"]
env = {{ NOTES_TOKEN = "${{OWN_TOKEN}}", PYTHONPATH = "{ROOT}" }}

[mcp_servers.wiki]
url = "ADDRESS"
headers = {{ Authorization = "Bearer ${{WIKI_TOKEN}}" }}
"""

OWN_TOKEN = "canary-of-the-environment-of-a-server"


def test_no_argument_of_any_process_holds_a_secret_or_a_prompt(
    desk: Desk, api: ScriptedProcess, holds: Path, project: Path
) -> None:
    """Any local user can read arguments: of the CLI, of its MCP servers, and of whatever they start."""
    agent = project / "subagents" / "analyst" / "AGENT.md"
    agent.write_text(BUNDLE.replace("[corpus, Bash]", "[corpus, Bash, notes, wiki]"))
    (holds / "third.hold").touch()
    with mcp_notes.serving(project) as address:
        (project / "harness.toml").write_text(SERVERS.replace("ADDRESS", address))
        command = start(desk, OWN_TOKEN=OWN_TOKEN, WIKI_TOKEN=mcp_notes.TOKEN)
        until_sync(lambda: len(api.calls().messages()) == 3, "the third call", timeout_s=60)
        (cli,) = command.clis()
        processes = tree(command.process.pid)
        said = {process.pid: "\n".join(process.cmdline()) for process in processes}
        environment = "\n".join(cli.environ().values())
        kept = [path for path in (project / "harness" / "sessions").rglob("*") if path.is_file()]
        private = {
            path: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in kept if _holds(path, OWN_TOKEN)
        }
        command.kill(clis_too=True)
    assert any("mcp_notes" in line for line in said.values()), "the server that is a process is among them"
    for secret in (*CANARIES.values(), OWN_TOKEN, mcp_notes.TOKEN, API_KEY, "You answer questions."):
        assert [line for line in said.values() if secret in line] == []
    for secret in (OWN_TOKEN, mcp_notes.TOKEN, API_KEY):
        assert secret not in environment
    assert private == {0o600}, "its value is in a file that nobody else can read"


def _holds(path: Path, secret: str) -> bool:
    return secret in path.read_text(errors="replace")
