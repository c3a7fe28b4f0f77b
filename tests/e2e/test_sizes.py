"""What is large, through the whole harness and the real CLI: pictures, long texts, and what is too long."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.e2e.running import ROOT, Desk
from tests.e2e.test_toolsets import CALLS, project
from tests.kit.processes import clean_env, until_sync
from tests.kit.script import Reply, Request, structured, text, tool_use
from tests.kit.scripted_api import ScriptedProcess, scripted_process
from tests.toolsets import mcp_large

TELL, SHOW, READ_ON = "mcp__large__tell", "mcp__large__show", "mcp__harness__read_result"
SETTINGS = (
    f'[mcp_servers.large]\ncommand = "{sys.executable}"\nargs = ["-m", "tests.toolsets.mcp_large"]\n'
    f'env = {{ PYTHONPATH = "{ROOT}" }}\n'
)
RUN = ("run", "What is it?", "--flow", "single")

OUTLINE = {"title": "Tides", "points": [{"title": "Moon", "points": []}, {"title": "Sun", "points": []}]}
OUTLINER = """---
name: analyst
role: analyst
description: Answers with an outline.
tools: [corpus]
limits: {max_steps: 3}
---
You answer questions.
"""
SELF_REFERRING = '''from pydantic import Field

from harness.records import Record


class Input(Record):
    """A question."""

    objective: str = Field(description="What to find out.")


class Output(Record):
    """A heading with headings below it."""

    title: str
    points: list["Output"]
'''

ASK = """import asyncio, sys
from harness import Harness

async def main():
    async with Harness() as harness:
        session = await harness.start("Why? " * int(sys.argv[1]), flow="single")
        print((await session.result()).status)

asyncio.run(main())
"""


def caller(request: Request, home: str) -> Reply:
    """Make this turn's call; turns go by results, as a resume puts messages in. A file may hold the last."""
    if request.answer_schema is not None:
        return Reply([structured(OUTLINE)])
    turns = json.loads((Path(home) / CALLS).read_text())
    turn = len(request.tool_results())
    if turn < len(turns):
        ((name, given),) = turns[turn]
        return Reply([tool_use(name, given)])
    held = (Path(home) / "last.hold").exists()
    return Reply([text("# Report\n\nSeen.")], hold=Path(home) / "last.go" if held else None)


@pytest.fixture
def api(home: Path) -> Iterator[ScriptedProcess]:
    """The played model."""
    given = {"home": str(home)}
    with scripted_process("tests.e2e.test_sizes:caller", home / "calls.jsonl", given=given) as played:
        yield played


def stored_results(desk: Desk) -> int:
    """How many entries of transcripts hold a tool's result."""
    assert desk.dsn is not None
    with psycopg.connect(desk.dsn) as connection:
        found = "select count(*) from transcript where entry::text like '%\"tool_result\"%'"
        ((count,),) = connection.execute(found).fetchall()
    return int(count)


def killed_and_resumed(desk: Desk, api: ScriptedProcess, calls: int) -> dict[str, Any]:
    """Run until the last of so many calls is on the wire and its results are stored, kill all, and resume."""
    before = stored_results(desk)
    tools = len(json.loads((desk.home / CALLS).read_text()))
    (desk.home / "last.hold").touch()
    command = desk.start(*RUN)
    until_sync(
        lambda: stored_results(desk) - before == tools or command.process.poll() is not None,
        "the last result",
        timeout_s=60,
    )
    until_sync(lambda: len(api.calls().messages()) == calls, "the last call")
    assert command.process.poll() is None, command.lines
    assert command.session_id is not None
    command.kill(clis_too=True)
    (desk.home / "last.hold").unlink()
    (desk.home / "last.go").touch()
    code, finished = desk.run("resume", command.session_id)
    assert (code, finished["status"]) == (0, "done"), finished
    return finished


def pictures(request: Request) -> list[int]:
    """The lengths of the pictures and documents that tools have shown, in base64."""
    results = [b for m in request.messages for b in m["content"] if b["type"] == "tool_result"]
    within = [part for result in results for part in result["content"] if isinstance(part, dict)]
    beside = [block for message in request.messages for block in message["content"]]
    shown = [each for each in (*within, *beside) if each["type"] in ("image", "document")]
    return [len(each["source"]["data"]) for each in shown]


def pdf(bytes_inside: int) -> bytes:
    """A document of one page, with so many bytes of noise in it that no reader looks at."""
    noise = base64.b85encode(mcp_large.png(600))[:bytes_inside]
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(noise), noise),
    ]
    whole, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(whole))
        whole += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 5\n0000000000 65535 f \n%strailer << /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return whole + end % (table, len(whole))


@pytest.mark.parametrize("kind", ["png", "pdf"])
def test_a_large_file_is_read_also_over_a_kill(desk: Desk, api: ScriptedProcess, kind: str) -> None:
    """The CLI tells the harness of it in a line of more than a megabyte; the model is shown it, twice."""
    file = desk.home / f"large.{kind}"
    file.write_bytes(mcp_large.png(1000) if kind == "png" else pdf(900_000))
    project(desk, "Read", [("Read", {"file_path": str(file)})])
    killed_and_resumed(desk, api, 2)
    calls = api.calls().messages()
    assert len(calls) == 3, "the read is not repeated, only the call that was cut off"
    for call in calls[1:]:
        assert sum(pictures(call.request)) > 500_000


def test_an_mcp_server_shows_a_large_picture_also_over_a_kill(desk: Desk, api: ScriptedProcess) -> None:
    """With words around it that are too many: they are cut, and the picture stays."""
    project(desk, "large", [(SHOW, {"side": 800, "characters": 100_000})], settings=SETTINGS)
    killed_and_resumed(desk, api, 2)
    calls = api.calls().messages()
    assert len(calls) == 3
    for call in calls[1:]:
        (shown,) = pictures(call.request)
        assert shown > 400_000
        (result,) = call.request.tool_results(SHOW)
        assert len(result.text) < 21_000
        assert result.text.startswith("Before. 0000000 words")


def test_a_long_result_of_an_mcp_server_is_begun_and_read_on(
    desk: Desk, api: ScriptedProcess, dsn: str
) -> None:
    """As one of the harness's own tools: the agent gets `result_limit` characters, the rest by reference."""
    size = 400_000
    project(desk, "large", [(TELL, {"characters": size})], settings=SETTINGS)
    code, finished = desk.run(*RUN)
    assert code == 0, finished
    (told,) = api.calls().messages()[-1].request.tool_results(TELL)
    whole = mcp_large.words(size)
    assert told.text.startswith(whole[:20_000])
    assert f"[Cut after 20000 of {size} characters. Read on with read_result: " in told.text
    reference = json.loads(told.text.rpartition("read_result: ")[2].rstrip("]\n"))
    with psycopg.connect(dsn) as connection:
        ((kept,),) = connection.execute(
            "select body from result where session_id = %s", [finished["session_id"]]
        )
    assert kept == whole

    reads = [(READ_ON, {**reference, "offset": 399_000, "length": 2_000})]
    (desk.home / CALLS).write_text(json.dumps([[(TELL, {"characters": size})], reads]))
    killed_and_resumed(desk, api, 5)
    last = api.calls().messages()[-1].request
    (again,), (rest,) = last.tool_results(TELL), last.tool_results(READ_ON)
    assert again.text == told.text, "the transcript holds what the agent was given"
    assert rest.json()["text"] == whole[399_000:]


def test_a_line_that_is_too_long_ends_the_run_once_and_for_good(desk: Desk, api: ScriptedProcess) -> None:
    """No second start could end otherwise; the sentence names the tool, and no traceback follows it."""
    desk.prefix = (sys.executable, "-m", "tests.e2e.short_lines")
    project(desk, "large", [(SHOW, {"side": 800})], settings=SETTINGS)
    command = desk.start(*RUN, PYTHONPATH=str(ROOT))
    assert command.wait() == 1
    finished = command.finished
    assert finished is not None
    assert finished["status"] == "failed"
    assert f"The result of the tool '{SHOW}' is too large to be given to a model" in finished["problem"]
    assert len(api.calls().messages()) == 1
    assert "Traceback" not in "".join(command.errors)
    assert "Event loop" not in "".join(command.errors)
    assert [run["attempts"] for run in finished["agent_runs"]] == [1]


def test_an_output_that_refers_to_itself_is_asked_for_and_checked(desk: Desk, api: ScriptedProcess) -> None:
    """The model is given an object at the top, and its answer passes both the CLI's check and ours."""
    folder = desk.home / "subagents" / "analyst"
    folder.mkdir(parents=True)
    (desk.home / "harness.toml").write_text("")
    (folder / "AGENT.md").write_text(OUTLINER)
    (folder / "schemas.py").write_text(SELF_REFERRING)
    code, finished = desk.run(*RUN)
    assert code == 0, finished
    schema = api.calls().messages()[0].request.answer_schema
    assert schema is not None
    assert (schema["type"], "$ref" in schema) == ("object", False)
    assert "Moon" in json.dumps(finished["report"])


def test_a_long_prompt_is_told_whole(home: Path, dsn: str) -> None:
    """Longer than any argument of a process may be."""
    prompt = "You answer questions. " * 10_000
    script = "tests.kit.scripted_api:generic"
    with (
        scripted_process(script, home / "calls.jsonl") as played,
        closing(Desk(home, played.base_url, dsn)) as desk,
    ):
        folder = home / "subagents" / "analyst"
        folder.mkdir(parents=True)
        front = "---\nname: analyst\ndescription: Answers.\noutput: markdown\n---\n"
        (folder / "AGENT.md").write_text(f"{front}{prompt}\n")
        code, finished = desk.run(*RUN)
        assert (code, finished["report"]) == (0, "Understood.")
        (call,) = played.calls().messages()
        assert prompt.strip() in call.request.system_text


@pytest.mark.parametrize(("words", "code"), [(300_000, 0), (7_000_000, 1)])
def test_a_long_question_is_asked_and_one_that_no_request_holds_is_refused(
    desk: Desk, api: ScriptedProcess, dsn: str, words: int, code: int
) -> None:
    """A question of 1.5 MB goes its way, though no argument could hold it; of 35 MB no session is made."""
    project(desk, "corpus")
    environment = clean_env(desk.home, api.base_url, HARNESS_HOME=str(desk.home / "harness"), HARNESS_DSN=dsn)
    asked = subprocess.run(
        [sys.executable, "-c", ASK, str(words)],
        cwd=desk.home,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert asked.returncode == code, asked.stderr[-2000:]
    with psycopg.connect(dsn) as connection:
        ((sessions,),) = connection.execute("select count(*) from session").fetchall()
    if code == 0:
        assert (asked.stdout.split()[-1], sessions) == ("done", 1)
    else:
        assert (sessions, api.calls().messages()) == (0, [])
        last = asked.stderr.strip().splitlines()[-1]
        assert (
            "BadInput: The question has 35,000,001 bytes, and a request to a model holds 32,000,000" in last
        )
