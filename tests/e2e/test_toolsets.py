"""Toolsets, MCP servers and the tool cache through the real CLI: what an agent is offered and gets."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import events as ev
from harness.store.database import Database
from harness.store.journal import read_events
from tests.e2e.crew import make_project
from tests.e2e.running import ROOT, Desk
from tests.kit.processes import API_KEY
from tests.kit.script import Reply, Request, text, tool_use
from tests.kit.scripted_api import ScriptedProcess, scripted_process
from tests.toolsets import mcp_notes, pages

BUNDLE = """---
name: analyst
role: analyst
description: Answers a question alone.
tools: [{tools}]
output: markdown
limits: {{max_steps: 9, timeout_s: 120}}
---
You answer questions.
"""

CALLS = "calls.json"
"""What the agent is to call: a list of turns, each a list of [tool, input]; read at every request."""


def caller(request: Request, home: str) -> Reply:
    """Make the calls of this turn; at the end tell what came of all of them."""
    turns = json.loads((Path(home) / CALLS).read_text())
    if request.turn < len(turns):
        return Reply([tool_use(name, given) for name, given in turns[request.turn]])
    # Calls of one turn end in any order; they are told in the order they were made.
    ended = {result.id: [result.is_error, result.text] for result in request.tool_results()}
    return Reply([text(json.dumps([ended[call.id] for call in request.tool_uses()]))])


@pytest.fixture
def api(home: Path) -> Iterator[ScriptedProcess]:
    """The played model."""
    given = {"home": str(home)}
    with scripted_process("tests.e2e.test_toolsets:caller", home / "calls.jsonl", given=given) as played:
        yield played


def project(desk: Desk, tools: str, *turns: list[tuple[str, dict[str, Any]]], settings: str = "") -> Path:
    """Make the desk's home a project with one agent, and say what it is to call. Give the agent's folder."""
    (desk.home / "harness.toml").write_text(settings)
    folder = desk.home / "subagents" / "analyst"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "AGENT.md").write_text(BUNDLE.format(tools=tools))
    (desk.home / CALLS).write_text(json.dumps(turns))
    return folder


def run(desk: Desk, **variables: str) -> tuple[dict[str, Any], list[tuple[bool, str]]]:
    """Run the agent; give the last line, and for each call whether it was an error and what it gave."""
    code, finished = desk.run("run", "What is it?", "--flow", "single", **variables)
    assert code == 0, finished
    return finished, [(failed, said) for failed, said in json.loads(finished["report"])]


def tool_events(desk: Desk, session_id: str) -> list[ev.ToolRequested | ev.ToolFinished]:
    """The beginnings and ends of tool calls in the journal, in order."""

    async def read() -> list[ev.Event]:
        assert desk.dsn is not None
        async with await Database.open(desk.dsn) as database:
            return await read_events(database, session_id)

    payloads = [event.payload for event in asyncio.run(read())]
    return [each for each in payloads if isinstance(each, ev.ToolRequested | ev.ToolFinished)]


def offered(api: ScriptedProcess) -> set[str]:
    """The tools of the agent's first request."""
    return set(api.calls().messages()[0].request.tools)


LOOK, ENVIRONMENT = "mcp__notes__look", "mcp__notes__environment"


class TestMcpServers:
    def stdio(self) -> str:
        """The settings of a server that is started as a process."""
        return (
            f'[mcp_servers.notes]\ncommand = "{sys.executable}"\nargs = ["-m", "tests.toolsets.mcp_notes"]\n'
            f'env = {{ NOTES_TOKEN = "${{NOTES_TOKEN}}", PYTHONPATH = "{ROOT}" }}\n'
        )

    def http(self, address: str) -> str:
        """The settings of a server that is reached by its address."""
        return (
            f'[mcp_servers.notes]\nurl = "{address}"\n'
            'headers = { Authorization = "Bearer ${NOTES_TOKEN}" }\n'
        )

    def test_one_that_is_a_process(self, desk: Desk, api: ScriptedProcess) -> None:
        """Its tools are offered, its answer and its refusal reach the agent, and both calls are journaled."""
        calls = [(LOOK, {"topic": "tides"})], [(LOOK, {"topic": "winds"})]
        project(desk, "notes", *calls, settings=self.stdio())
        finished, results = run(desk, NOTES_TOKEN=mcp_notes.TOKEN)
        assert {LOOK, ENVIRONMENT} <= offered(api)
        assert results[0] == (False, "The tide turns twice a day.")
        assert results[1][0], "a tool that fails is an error"
        assert "There is no note on winds." in results[1][1]
        first, answered, second, refused = tool_events(desk, finished["session_id"])
        assert isinstance(first, ev.ToolRequested)
        assert (first.tool, first.input, first.replay) == (LOOK, {"topic": "tides"}, "unsafe")
        assert isinstance(answered, ev.ToolFinished)
        assert (answered.tool_use_id, answered.error, answered.cached) == (first.tool_use_id, None, False)
        assert isinstance(second, ev.ToolRequested)
        assert isinstance(refused, ev.ToolFinished)
        assert refused.tool_use_id == second.tool_use_id
        assert "There is no note on winds." in (refused.error or "")

    def test_it_gets_its_own_variables_and_no_secret(
        self, desk: Desk, api: ScriptedProcess, dsn: str
    ) -> None:
        """What the settings give it, and what any agent's process inherits; no key and no DSN."""
        project(desk, "notes", [(ENVIRONMENT, {})], settings=self.stdio())
        _, ((failed, said),) = run(desk, NOTES_TOKEN=mcp_notes.TOKEN, OTHER_SECRET="other-canary")
        assert not failed
        assert mcp_notes.TOKEN not in said, "what is stored holds no secret"
        # As it was on the wire: what is stored would hold none in any case.
        (result,) = api.calls().messages()[-1].request.tool_results(ENVIRONMENT)
        said = result.text
        assert f"NOTES_TOKEN={mcp_notes.TOKEN}" in said
        for word in ("other-canary", API_KEY, "HARNESS_DSN", dsn):
            assert word not in said

    def test_one_on_the_network(self, desk: Desk, api: ScriptedProcess, home: Path) -> None:
        """It is reached at its address, with the header that the settings take from the environment."""
        with mcp_notes.serving(home) as address:
            project(desk, "notes", [(LOOK, {"topic": "tides"})], settings=self.http(address))
            _, results = run(desk, NOTES_TOKEN=mcp_notes.TOKEN)
        assert {LOOK, ENVIRONMENT} <= offered(api)
        assert results == [(False, "The tide turns twice a day.")]

    @pytest.mark.parametrize(
        ("settings", "says"),
        [
            ('command = "/no/such/program"', "/no/such/program: No such file or directory"),
            (
                """command = "sh"\nargs = ["-c", "echo cannot import notes >&2; echo bye >&2; exit 1"]""",
                "The last it said: cannot import notes | bye",
            ),
            ('url = "http://127.0.0.1:9/mcp"', "see that it starts"),
        ],
        ids=["missing", "ends", "nobody"],
    )
    def test_without_its_server_no_agent_works(
        self, desk: Desk, api: ScriptedProcess, settings: str, says: str
    ) -> None:
        """The session is suspended at the first start and says which server is away and what that has said.

        It goes on when the server is there.
        """
        project(desk, "notes", [(LOOK, {"topic": "tides"})], settings=f"[mcp_servers.notes]\n{settings}\n")
        began = time.monotonic()
        code, finished = desk.run("run", "What is it?", "--flow", "single")
        assert finished["status"] == "suspended"
        assert code != 0
        assert "The MCP server 'notes' cannot be reached" in finished["problem"]
        assert says in finished["problem"]
        assert [run["attempts"] for run in finished["agent_runs"]] == [1]
        assert api.calls().messages() == []
        assert time.monotonic() - began < 25, "one start, on a machine with much to do"
        assert finished["report"] is None
        (desk.home / "harness.toml").write_text(self.stdio())
        code, finished = desk.run("resume", finished["session_id"], NOTES_TOKEN=mcp_notes.TOKEN)
        assert code == 0, finished
        assert json.loads(finished["report"]) == [[False, "The tide turns twice a day."]]

    def test_a_bundle_says_that_a_call_can_be_repeated(self, desk: Desk) -> None:
        """The harness cannot know it of a foreign tool; the front matter can."""
        folder = project(desk, "notes", [(LOOK, {"topic": "tides"})], settings=self.stdio())
        front = (folder / "AGENT.md").read_text()
        (folder / "AGENT.md").write_text(
            front.replace("output:", "replay: {mcp__notes__look: read_only}\noutput:")
        )
        finished, _ = run(desk, NOTES_TOKEN=mcp_notes.TOKEN)
        requested = tool_events(desk, finished["session_id"])[0]
        assert isinstance(requested, ev.ToolRequested)
        assert requested.replay == "read_only"


def test_the_files_of_the_project_are_read(desk: Desk) -> None:
    """And nothing beside them: a way out is refused in words."""
    project(
        desk,
        "files",
        [
            ("mcp__files__grep", {"pattern": "sails", "files": "*.md"}),
            ("mcp__files__read", {"path": "../../etc/passwd"}),
        ],
        [("mcp__files__read", {"path": "notes.md"}), ("mcp__files__read", {"path": "harness.toml"})],
        settings=f'dsn = "{desk.dsn}"\n',
    )
    _, (found, out, notes, hidden) = run(desk)
    assert [line["path"] for line in json.loads(found[1])["lines"]] == ["notes.md"]
    assert json.loads(notes[1])["text"].startswith("# Notes")
    assert (out[0], hidden[0]) == (True, True)
    assert out[1].startswith("invalid_input: '../../etc/passwd' leads out of the workspace")
    assert hidden[1].startswith("invalid_input: There is no 'harness.toml'")


def test_a_page_that_was_fetched_can_be_cited(desk: Desk, api: ScriptedProcess) -> None:
    """It is a document of the session: read on in, quoted, and the quote is found when it is checked."""
    with pages.serving() as served:
        project(
            desk,
            "web",
            [("mcp__web__fetch", {"url": served.url("tides")})],
            [("mcp__corpus__search", {"query": "tide"})],
            settings="[web]\nallow_private = true\n",
        )
        finished, (fetched, found) = run(desk)
        assert {"WebSearch", "mcp__web__fetch", "mcp__corpus__search", "mcp__corpus__read"} <= offered(api)
        page = json.loads(fetched[1])
        assert (page["source"], page["title"], page["locator"]) == ("S1", "On tides", served.url("tides"))
        assert [hit["source"] for hit in json.loads(found[1])["hits"]] == ["S1"]
        ended = [
            each for each in tool_events(desk, finished["session_id"]) if isinstance(each, ev.ToolFinished)
        ]
        assert [each.sources for each in ended] == [("S1",), ("S1",)]


def test_this_machine_is_not_fetched_by_default(desk: Desk) -> None:
    """The agent is told why; the server is not asked."""
    with pages.serving() as served:
        project(desk, "web", [("mcp__web__fetch", {"url": served.url("tides")})])
        _, ((failed, said),) = run(desk)
        assert (failed, served.asked("tides")) == (True, 0)
        assert said.startswith("refused: ")
        assert "is not a public address" in said


TOOLS = '''from pathlib import Path

from harness import Tool, ToolContext, ToolProblem, Toolset
from harness.records import Record


class Asked(Record):
    """What to find."""

    topic: str
    limit: int = 8


async def find(context: ToolContext, asked: Asked) -> str:
    """Find it, and leave a line."""
    with (Path(__file__).parent / "ran.log").open("a") as log:
        log.write(asked.topic + "\\n")
    if asked.topic == "winds":
        raise ToolProblem("There is nothing on winds.")
    return f"All about {asked.topic}."


TOOLSET = Toolset(
    "almanac", (Tool("find", "Finds a topic.", Asked, find, replay="read_only", cache_s=600),)
)
'''

FIND = "mcp__almanac__find"


def test_a_repeated_call_is_answered_from_the_cache(desk: Desk) -> None:
    """At once, later and in another session; each hit is marked in the journal. No failure is kept."""
    tides = (FIND, {"topic": "tides"})
    turns = [tides, tides, (FIND, {"topic": "winds"})], [(FIND, {"topic": "tides", "limit": 8})]
    folder = project(desk, "", *turns)
    (folder / "tools.py").write_text(TOOLS)
    finished, results = run(desk)
    about, nothing = (False, "All about tides."), (True, "refused: There is nothing on winds.")
    assert results == [about, about, nothing, about]
    assert (folder / "ran.log").read_text().split() == ["tides", "winds"]
    marks = cached(desk, finished["session_id"])
    assert sorted(marks[:3]) == [False, False, True]
    assert marks[3:] == [True]
    later, results = run(desk)
    assert results == [about, about, nothing, about]
    assert (folder / "ran.log").read_text().split() == ["tides", "winds", "winds"]
    assert cached(desk, later["session_id"]).count(True) == 3
    _, shown = desk.run("show", later["session_id"])
    (agent,) = shown["agent_runs"]
    assert len(agent["cached_calls"]) == 3


def cached(desk: Desk, session_id: str) -> list[bool]:
    """Whether each ended call was answered from the cache, in the order of their beginnings."""
    events = tool_events(desk, session_id)
    ends = {each.tool_use_id: each.cached for each in events if isinstance(each, ev.ToolFinished)}
    return [ends[each.tool_use_id] for each in events if isinstance(each, ev.ToolRequested)]


BOARD_FLOW = """name: shared
description: The second agent reads what the first has written.
state:
  notes: {kind: text}
flow:
  pattern: pipeline
  stages:
    - {agent: a, write: {notes: note}}
    - {agent: analyst, take: {objective: question}}
"""


class TestBoard:
    @pytest.fixture
    def api(self, home: Path) -> Iterator[ScriptedProcess]:
        """The played model: the crew, and the one who calls."""
        given = {"home": str(home)}
        played = "tests.e2e.test_toolsets:crew_and_caller"
        with scripted_process(played, home / "calls.jsonl", given=given) as api:
            yield api

    def test_an_agent_reads_what_another_has_written(self, desk: Desk) -> None:
        """The state as it stands, and nothing of fields that are not declared."""
        make_project(desk.home, "a")
        reads = [("mcp__board__read", {}), ("mcp__board__read", {"field": "note"})]
        project(desk, "board", reads)
        (desk.home / "flows").mkdir()
        (desk.home / "flows" / "shared.yaml").write_text(BOARD_FLOW)
        code, finished = desk.run("run", "What is it?", "--flow", "shared", "--sources", "notes.md")
        assert code == 0, finished
        whole, unknown = json.loads(finished["report"])
        assert json.loads(whole[1]) == {"state": {"notes": "a did: What is it?"}}
        assert unknown[0]
        assert unknown[1].startswith(
            "invalid_input: There is no field 'note' on the board (did you mean 'notes'?)"
        )


def crew_and_caller(request: Request, home: str) -> Reply:
    """Play the crew, and the agent that reads the board."""
    from tests.e2e.crew import crew

    return caller(request, home) if "You answer questions." in request.system_text else crew(request)
